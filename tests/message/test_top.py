"""The TOP cut (RFC 1939 section 7)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.message import TopCut, WireForm

MESSAGE = b"Subject: x\r\nTo: y\r\n\r\none\r\n\r\nthree\r\n"
HEADER = b"Subject: x\r\nTo: y\r\n\r\n"

CASES = {
    "no body lines: header and empty line": (MESSAGE, 0, HEADER),
    "one line": (MESSAGE, 1, HEADER + b"one\r\n"),
    "an empty line of the body is a line": (MESSAGE, 2, HEADER + b"one\r\n\r\n"),
    "exactly the body": (MESSAGE, 3, MESSAGE),
    "more than the body": (MESSAGE, 4, MESSAGE),
    "far more than the body": (MESSAGE, 10**30, MESSAGE),
    "nothing": (b"", 0, b""),
    "no empty line: all is header": (b"Subject: x\r\nTo: y\r\n", 0, b"Subject: x\r\nTo: y\r\n"),
    "starts with an empty line: no header": (b"\r\nbody\r\nmore\r\n", 1, b"\r\nbody\r\n"),
    "only an empty line": (b"\r\n", 0, b"\r\n"),
    "a line of one CR is not empty": (b"a\r\n\r\r\nb\r\n\r\nc\r\n", 0, b"a\r\n\r\r\nb\r\n\r\n"),
    "two empty lines: the second is body": (b"a\r\n\r\n\r\nb\r\n", 1, b"a\r\n\r\n\r\n"),
    "NUL and 8-bit are octets": (b"a\0\r\n\r\n\xff\r\n\0\r\n", 1, b"a\0\r\n\r\n\xff\r\n"),
}


def naive(wire: bytes, body_lines: int) -> bytes:
    """The definition itself, on a whole message."""
    lines = wire.split(b"\r\n")[:-1]
    header_lines = lines.index(b"") + 1 if b"" in lines else len(lines)
    return b"".join(line + b"\r\n" for line in lines[: header_lines + body_lines])


def top_of(chunks: list[bytes], body_lines: int) -> bytes:
    top = TopCut(body_lines)
    return b"".join(top.feed(chunk) for chunk in chunks)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_header_empty_line_and_n_lines_of_the_body(case: tuple[bytes, int, bytes]) -> None:
    """RFC 1939 section 7: TOP sends the header, the blank line and n lines, at every two cuts."""
    wire, body_lines, expected = case
    for first in range(len(wire) + 1):
        for second in range(first, len(wire) + 1):
            chunks = [wire[:first], wire[first:second], wire[second:]]
            assert top_of(chunks, body_lines) == expected


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n", b"\r\n\r\n"])).map(b"".join),
    st.integers(min_value=0, max_value=6),
    st.lists(st.integers(min_value=0), max_size=4),
)
def test_the_cut_does_not_depend_on_the_chunks(
    stored: bytes, body_lines: int, places: list[int]
) -> None:
    """RFC 1939 section 7, for any message in wire form, any n and any cut."""
    form = WireForm()
    wire = form.feed(stored) + form.finish()
    ends = [0, *sorted(place % (len(wire) + 1) for place in places), len(wire)]
    chunks = [wire[a:b] for a, b in pairwise(ends)]
    assert top_of(chunks, body_lines) == naive(wire, body_lines)


def test_reading_can_stop_where_the_cut_is() -> None:
    """A TOP of a big message reads no further than its last line."""
    top = TopCut(1)
    progress = [(top.feed(chunk), top.done) for chunk in (HEADER, b"one\r\ntwo", b"\r\nthree\r\n")]
    assert progress == [(HEADER, False), (b"one\r\n", True), (b"", True)]


def test_no_body_lines_are_done_with_the_empty_line() -> None:
    """RFC 1939 section 7: TOP n 0 ends with the empty line, and nothing more is read."""
    top = TopCut(0)
    top.feed(HEADER)
    assert top.done


def test_fewer_than_no_lines_cannot_be_asked_for() -> None:
    """RFC 1939 section 7: a non-negative number of lines."""
    with pytest.raises(ValueError, match="-1"):
        TopCut(-1)
