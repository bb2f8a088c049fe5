"""Dot transparency (RFC 1939 section 3), judged by a strict client."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.pop3.splits import every_split, in_pieces, piece_lengths
from tests.reference_client import unstuff

from mailkeep.pop3 import TERMINATOR, DotStuffer
from mailkeep.pop3 import stuff as stuff_whole
from mailkeep.pop3.dots import _OCTETS_A_DOT

HAZARDS = (
    b".first\r\n..\r\n.\r\n\r\n.\r\n...\r\nmid . dot\r\n"
    b"lone\r.cr\r\n\0\r\n.\0\r\n\xff.\xff\r\n\r\r\n.\r\n.last\r\n"
)

stored_messages = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"\n.", b"a", b"\0", b"\xff"]),
        max_size=40,
    ).map(b"".join),
)


def wire_form(stored: bytes) -> bytes:
    """Every LF gets a CR before it, the end gets CRLF, nothing stays nothing."""
    wire = re.sub(rb"(?<!\r)\n", b"\r\n", stored)
    return wire if not wire or wire.endswith(b"\r\n") else wire + b"\r\n"


def stuff(pieces: list[bytes]) -> bytes:
    stuffer = DotStuffer()
    return b"".join(stuffer.feed(piece) for piece in pieces) + stuffer.finish()


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b"", b".\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..\r\n", b"...\r\n.\r\n"),
        (b".a\r\n", b"..a\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n.\r\n.\r\n", b"a\r\n..\r\n..\r\n.\r\n"),
        (b"a.\r\n", b"a.\r\n.\r\n"),
        (b"a\r.b\r\n", b"a\r.b\r\n.\r\n"),
        (b"a\r\r\n.\r\n", b"a\r\r\n..\r\n.\r\n"),
        (b"\0\r\n.\0\r\n", b"\0\r\n..\0\r\n.\r\n"),
    ],
)
def test_a_dot_is_doubled_at_the_start_of_a_line_and_nowhere_else(body: bytes, sent: bytes) -> None:
    """RFC 1939 section 3: byte-stuffing, the first octet of a body and a lone CR included."""
    for pieces in every_split(body):
        assert stuff(pieces) == sent, pieces


@pytest.mark.parametrize("dots", [1, 4, 5, 6, 7, 8, 300])
@pytest.mark.parametrize("line", [b".x\r\n", b"x.\r\n", b"..\r\n", b"a.b\r\n.\r\n"])
def test_few_dots_and_many_are_doubled_alike(dots: int, line: bytes) -> None:
    """Few are looked for one by one, many by pairs."""
    body = line * (dots // line.count(b".")) + b"no more\r\n" * (5 * _OCTETS_A_DOT // 9)
    for pieces in ([body], in_pieces(body, [50])):
        assert stuff(pieces) == re.sub(rb"(?m)^\.", b"..", body) + TERMINATOR
    assert stuff_whole(body) == re.sub(rb"(?m)^\.", b"..", body)


def test_what_is_known_to_need_no_stuffing_is_not_looked_at() -> None:
    """Whoever stored it has looked; the end is looked at all the same."""
    stuffer = DotStuffer(is_dot_free=True)
    piece = b"a\r\nb.c\r\n"
    assert stuffer.feed(piece) is piece
    assert stuffer.finish() == TERMINATOR
    stuffer.feed(b"no end")
    with pytest.raises(ValueError, match="ends with CRLF"):
        stuffer.finish()


def test_hazards_survive_every_split() -> None:
    """RFC 1939 section 3: where a store cuts a body is not to be seen on the wire."""
    for pieces in every_split(HAZARDS):
        assert unstuff(stuff(pieces) + b"+OK next\r\n") == (HAZARDS, b"+OK next\r\n"), pieces


def test_empty_pieces_change_nothing() -> None:
    """RFC 1939 section 3: a line's start is still a line's start after a piece of nothing."""
    assert stuff([b"", b".a\r\n", b"", b".b\r", b"", b"\n", b"", b".c\r\n", b""]) == (
        b"..a\r\n..b\r\n..c\r\n.\r\n"
    )


def test_the_dots_are_added_to_nothing_else() -> None:
    """RFC 1939 section 11: stuffing adds one octet for each line with a dot, no other."""
    dotted = sum(line.startswith(b".") for line in HAZARDS.split(b"\r\n"))
    assert len(stuff([HAZARDS])) == len(HAZARDS) + dotted + len(TERMINATOR)


@pytest.mark.parametrize(
    "body", [b"a", b"a\r", b"a\n", b"\n", b".", b"\r", b"a\r\nb", b"a\r\n\n", b"a\r\n.", b"a\n\r"]
)
def test_no_terminator_goes_behind_a_body_that_does_not_end_with_crlf(body: bytes) -> None:
    """RFC 1939 section 3: only CRLF, dot, CRLF ends a body; anything else would be a lie."""
    for pieces in every_split(body):
        stuffer = DotStuffer()
        for piece in pieces:
            stuffer.feed(piece)
        with pytest.raises(ValueError, match="CRLF"):
            stuffer.finish()


@settings(deadline=None, max_examples=300)
@given(stored_messages, piece_lengths)
@example(b"a\r\n.b", [3])
@example(b"a\r\n.b", [2, 1])
def test_a_strict_client_gets_the_wire_form_back(stored: bytes, cut: list[int]) -> None:
    """RFC 1939 section 3: unstuff(stuff(wire form)) is the wire form, for any octets and cuts."""
    body = wire_form(stored)
    assert unstuff(stuff(in_pieces(body, cut))) == (body, b"")


@settings(deadline=None)
@given(stored_messages)
def test_no_body_holds_an_early_terminator(stored: bytes) -> None:
    """RFC 1939 section 3: the octets CRLF, dot, CRLF stand at the end of a body only."""
    sent = b"\r\n" + stuff([wire_form(stored)])
    assert sent.find(b"\r\n.\r\n") == len(sent) - 5


@pytest.mark.parametrize(
    ("octets", "body", "rest"),
    [
        (b".\r\n", b"", b""),
        (b"a\r\n.\r\n", b"a\r\n", b""),
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b"...\r\n.\r\n", b"..\r\n", b""),
        (b"a\r\n.\r\n+OK\r\nx", b"a\r\n", b"+OK\r\nx"),
        (b"a\r\r\n.\r\n", b"a\r\r\n", b""),
    ],
)
def test_the_judge_unstuffs_as_the_rfc_says(octets: bytes, body: bytes, rest: bytes) -> None:
    """RFC 1939 section 3: the reference client strips one dot and stops at the lone one."""
    assert unstuff(octets) == (body, rest)


@pytest.mark.parametrize(
    "octets", [b"", b".", b".\r", b".\n", b"a\r\n", b"a\n.\r\n", b"a\r\n.\n", b"a.\r\n", b"..\r\n"]
)
def test_the_judge_takes_no_other_end(octets: bytes) -> None:
    """RFC 1939 section 3: a bare LF ends no line, and a body without a lone dot has no end."""
    with pytest.raises(ValueError, match=r"terminator|bare LF"):
        unstuff(octets)


@given(stored_messages.map(wire_form), st.data())
def test_known_dots_are_doubled_where_they_are(body: bytes, data: st.DataObject) -> None:
    """What is known spares the search and changes nothing; a place that is none is seen."""
    dots = [it.start() for it in re.finditer(rb"(?m)^\.", body)]
    assert stuff_whole(body, dots) == stuff_whole(body)
    wrong = data.draw(st.integers(0, len(body) + 2).filter(lambda at: at not in dots))
    assert stuff_whole(body, sorted([*dots, wrong])) == stuff_whole(body)


def test_a_body_without_an_end_is_refused_whatever_is_known() -> None:
    """The client would wait for ever."""
    with pytest.raises(ValueError, match="ends with CRLF"):
        stuff_whole(b".a", [0])
