"""The whole way of a message's octets: stored, counted, made into wire form, stuffed, read back."""

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.messages import naive_wire_form
from tests.pop3.splits import in_pieces, piece_lengths
from tests.reference_client import unstuff

from mailkeep.message import WireCounter, WireForm
from mailkeep.pop3 import DotStuffer

HAZARDS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"\0", b"\xff", b"a"]), max_size=60
).map(b"".join)
"""Octets that mean something to somebody on the way, in any order."""


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=200) | HAZARDS, piece_lengths, piece_lengths)
@example(b".", [1], [1])
@example(b"a\r", [1], [2])
@example(b"", [1], [1])
def test_a_strict_client_reads_the_wire_form_and_its_announced_length(
    stored: bytes, as_read: Sequence[int], as_sent: Sequence[int]
) -> None:
    """RFC 1939 sections 3 and 11: for any octets, however disk and program cut them."""
    body, rest = unstuff(sent(in_pieces(stored, as_read), as_sent))
    assert (body, rest) == (naive_wire_form(stored), b"")
    assert announced(in_pieces(stored, as_read)) == len(body)


def sent(chunks: Sequence[bytes], as_sent: Sequence[int]) -> bytes:
    """Return what goes over the wire for chunks off the disk, cut anew before they are stuffed."""
    form, stuffer = WireForm(), DotStuffer()
    wire = b"".join([*(form.feed(chunk) for chunk in chunks), form.finish()])
    return b"".join(stuffer.feed(piece) for piece in in_pieces(wire, as_sent)) + stuffer.finish()


def announced(chunks: Sequence[bytes]) -> int:
    """Return the size that is announced for them."""
    counter = WireCounter()
    for chunk in chunks:
        counter.feed(chunk)
    return counter.finish()
