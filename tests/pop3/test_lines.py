"""Lines out of a stream (RFC 1939 section 3), whatever the network made of it."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pop3.splits import every_split, in_pieces, piece_lengths

from mailkeep.pop3.lines import LineBuffer, LineTooLong

STREAM = b"QUIT\r\nNOOP\n\r\n\nA\r\r\nB\rC\nnul\0\xff\n\tx  \r\nunfinished"
LINES = [b"QUIT", b"NOOP", b"", b"", b"A\r", b"B\rC", b"nul\0\xff", b"\tx  "]
LIMIT = 20


def read_all(buffer: LineBuffer, limit: int) -> Iterator[bytes]:
    while (line := buffer.next_line(limit)) is not None:
        yield line


def read_each(pieces: list[bytes], limit: int) -> Iterator[bytes | None]:
    buffer = LineBuffer()
    for piece in pieces:
        buffer.receive(piece)
        try:
            yield from read_all(buffer, limit)
        except LineTooLong:
            yield None
            return


def read_pieces(pieces: list[bytes], limit: int = LIMIT) -> list[bytes | None]:
    """Return the lines, and None at the end for a stream that passed the limit."""
    return list(read_each(pieces, limit))


@pytest.mark.parametrize(
    ("stream", "line"),
    [
        (b"STAT\r\n", b"STAT"),
        (b"STAT\n", b"STAT"),
        (b"STAT\r\r\n", b"STAT\r"),
        (b"\r\n", b""),
        (b"\n", b""),
        (b"\r\r\n", b"\r"),
        (b"a\rb\n", b"a\rb"),
    ],
)
def test_a_line_ends_with_lf_and_one_cr_before_it_belongs_to_the_ending(
    stream: bytes, line: bytes
) -> None:
    """RFC 1939 section 3 says CRLF; a bare LF ends a line too, a bare CR never does."""
    assert read_pieces([stream]) == [line]


def test_a_bare_cr_does_not_end_a_line() -> None:
    """RFC 1939 section 3: a line ends at LF, so everything before it is one line."""
    assert read_pieces([b"QUIT\rSTAT\r"]) == []


def test_lines_are_the_same_at_every_split() -> None:
    """RFC 1939 section 3: TCP has no messages, so no cut may change what was said."""
    for pieces in every_split(STREAM):
        assert read_pieces(pieces) == LINES, pieces


def test_what_is_unfinished_waits() -> None:
    """RFC 2595 section 4 needs to know of a partial line behind STLS: the buffer has a length."""
    buffer = LineBuffer()
    buffer.receive(b"STLS\r\nUS")
    assert buffer.next_line(LIMIT) == b"STLS"
    assert len(buffer) == 2
    assert buffer.next_line(LIMIT) is None
    buffer.receive(b"ER x\n")
    assert buffer.next_line(LIMIT) == b"USER x"
    assert len(buffer) == 0


def test_lines_that_were_read_are_not_kept() -> None:
    """An idle session holds half a line at most, and not the 8 KiB that it came with."""
    buffer = LineBuffer()
    buffer.receive(b"NOOP\r\n" * 1000 + b"NO")
    assert list(read_all(buffer, LIMIT)) == [b"NOOP"] * 1000
    assert buffer._octets == b"NO"
    buffer.receive(b"OP\r\n")
    assert list(read_all(buffer, LIMIT)) == [b"NOOP"]
    assert buffer._octets == b""


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_line_may_fill_its_limit_and_no_more(ending: bytes) -> None:
    """RFC 2449 section 4 counts the ending: at the limit it is read, one octet over refused."""
    fits = b"x" * (LIMIT - len(ending)) + ending
    for pieces in every_split(fits):
        assert read_pieces(pieces) == [fits.rstrip(b"\r\n")], pieces
    for pieces in every_split(b"x" + fits):
        assert read_pieces(pieces) == [None], pieces


def test_a_line_without_an_end_is_refused_as_soon_as_it_fills_the_limit() -> None:
    """RFC 2449 section 4: what cannot become a line any more is not waited for."""
    assert read_pieces([b"x" * (LIMIT - 1)]) == []
    assert read_pieces([b"x" * LIMIT]) == [None]


def test_a_long_line_behind_a_good_one_does_not_hide_the_good_one() -> None:
    """RFC 1939 section 3: lines are read in order, the limit is each line's own."""
    assert read_pieces([b"STAT\r\n" + b"x" * LIMIT + b"\r\nSTAT\r\n"]) == [b"STAT", None]


def test_many_short_lines_pass_a_small_limit() -> None:
    """RFC 2449 section 6.6: pipelined commands are each counted for themselves."""
    assert read_pieces([b"NOOP\r\n" * 500]) == [b"NOOP"] * 500


def test_the_limit_may_differ_from_line_to_line() -> None:
    """RFC 5034 section 4: SASL lines are exempt from the command limit, and only they."""
    buffer = LineBuffer()
    buffer.receive(b"x" * 30 + b"\n" + b"y" * 30 + b"\n")
    assert buffer.next_line(40) == b"x" * 30
    with pytest.raises(LineTooLong):
        buffer.next_line(LIMIT)


@pytest.mark.parametrize(
    ("stream", "starts"),
    [
        (b"AUTH PLAIN", True),
        (b"auth plain", True),
        (b"AuTh ", True),
        (b"AUTH", False),
        (b"AUTHX", False),
        (b" AUTH ", False),
        (b"", False),
    ],
)
def test_the_waiting_line_tells_how_it_starts_in_any_case(stream: bytes, starts: bool) -> None:
    """RFC 1939 section 3: keywords are compared without case."""
    buffer = LineBuffer()
    buffer.receive(stream)
    assert buffer.starts_with(b"AUTH ") is starts


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\0\xff", b"word ", b"x" * 9]), max_size=40),
    piece_lengths,
)
def test_any_stream_reads_the_same_however_it_is_cut(parts: list[bytes], cut: list[int]) -> None:
    """RFC 1939 section 3: no cut may change what was said, nor whether it was too long."""
    stream = b"".join(parts)
    assert read_pieces(in_pieces(stream, cut)) == read_pieces([stream])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_octet_is_lost_or_made_up(stream: bytes) -> None:
    """RFC 1939 section 3: lines and the waiting rest, put together, are what was sent."""
    buffer = LineBuffer()
    buffer.receive(stream)
    lines = list(read_all(buffer, len(stream) + 1))
    expected = [part.removesuffix(b"\r") for part in stream.split(b"\n")[:-1]]
    assert lines == expected
    assert len(buffer) == len(stream.split(b"\n")[-1])
