"""The wire form: what is announced is what is sent (RFC 1939 sections 3 and 11)."""

import hashlib
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.message import WireCounter, WireDigest, WireForm, digest_of

HAZARDS = {
    "nothing": (b"", b""),
    "one LF": (b"\n", b"\r\n"),
    "one CR": (b"\r", b"\r\r\n"),
    "one CRLF": (b"\r\n", b"\r\n"),
    "no final newline": (b"a", b"a\r\n"),
    "stored with LF": (b"a\n\nb\n", b"a\r\n\r\nb\r\n"),
    "stored with CRLF": (b"a\r\n\r\nb\r\n", b"a\r\n\r\nb\r\n"),
    "mixed ends": (b"a\r\nb\nc\r\n", b"a\r\nb\r\nc\r\n"),
    "lone CR stays": (b"a\rb\n", b"a\rb\r\n"),
    "CR CR LF keeps both": (b"a\r\r\nb\n", b"a\r\r\nb\r\n"),
    "LF CR": (b"\n\r", b"\r\n\r\r\n"),
    "CR at the end": (b"a\r", b"a\r\r\n"),
    "NUL": (b"a\0b\n\0", b"a\0b\r\n\0\r\n"),
    "8-bit and broken UTF-8": (b"\xff\xc3\n\x80", b"\xff\xc3\r\n\x80\r\n"),
    "dots are left alone": (b".\n..\n", b".\r\n..\r\n"),
}

octets_of_line_ends = st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\0", b"."])).map(b"".join)
messages = st.one_of(st.binary(max_size=200), octets_of_line_ends)


def naive(stored: bytes) -> bytes:
    """The definition itself, on a whole message."""
    wire = re.sub(rb"(?<!\r)\n", b"\r\n", stored)
    return wire if not wire or wire.endswith(b"\r\n") else wire + b"\r\n"


def wire_of(chunks: list[bytes]) -> bytes:
    form = WireForm()
    return b"".join([*map(form.feed, chunks), form.finish()])


def octets_of(chunks: list[bytes]) -> int:
    counter = WireCounter()
    for chunk in chunks:
        counter.feed(chunk)
    return counter.finish()


def cut(stored: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(stored) + 1) for place in places)
    return [stored[a:b] for a, b in zip([0, *ends], [*ends, len(stored)], strict=True)]


@pytest.mark.parametrize("stored_and_wire", HAZARDS.values(), ids=HAZARDS.keys())
def test_lines_end_with_crlf_wherever_the_chunks_are_cut(
    stored_and_wire: tuple[bytes, bytes],
) -> None:
    """RFC 1939 section 3: lines end with CRLF; a message that lacks the last one gets it."""
    stored, wire = stored_and_wire
    for first, second in product(range(len(stored) + 1), repeat=2):
        chunks = cut(stored, [first, second])
        assert wire_of(chunks) == wire
        assert octets_of(chunks) == len(wire)


def test_every_short_message_at_every_cut_is_as_defined() -> None:
    """All messages of up to five octets of CR, LF and x, octet by octet and in two chunks."""
    for length in range(6):
        for octets in product(b"\r\nx", repeat=length):
            stored = bytes(octets)
            for place in range(length + 1):
                assert wire_of(cut(stored, [place])) == naive(stored)
            assert wire_of([bytes([octet]) for octet in stored]) == naive(stored)


@given(messages, st.lists(st.integers(min_value=0), max_size=5))
def test_announced_size_is_the_length_of_what_is_sent(stored: bytes, places: list[int]) -> None:
    """RFC 1939 section 11: the size is the number of octets sent, for any octets and any cut."""
    chunks = cut(stored, places)
    assert wire_of(chunks) == naive(stored)
    assert octets_of(chunks) == len(naive(stored))


@given(messages)
def test_the_wire_form_is_its_own_wire_form(stored: bytes) -> None:
    """Mail stored as it was sent is sent as it was stored (CR CR LF is not made of CR LF)."""
    assert wire_of([naive(stored)]) == naive(stored)


def test_finish_may_be_asked_again() -> None:
    """Asking for the end does not change it, so a reader may look before it sends."""
    form = WireForm()
    form.feed(b"a")
    assert form.finish() == form.finish() == b"\r\n"


@given(messages, st.lists(st.integers(0, 300)))
def test_what_is_found_out_of_a_message_is_of_its_wire_form(
    stored: bytes, places: list[int]
) -> None:
    """What is told of a message is told of what is sent, wherever the chunks are cut."""
    digest = WireDigest()
    sent = b"".join([digest.feed(chunk) for chunk in cut(stored, places)]) + digest.finish()
    wire = naive(stored)
    assert sent == wire
    assert (digest.octets, digest.sha256) == (len(wire), hashlib.sha256(wire).hexdigest())
    assert digest.is_as_fed == (stored == wire)
    assert (digest.dots == []) == (not wire.startswith(b".") and b"\n." not in wire)
    assert digest_of(wire) == (bytes.fromhex(digest.sha256), digest.dots)
