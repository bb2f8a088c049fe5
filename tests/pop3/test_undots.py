"""Where a body on the wire ends and what is in it, at every split, judged by a strict client."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.messages import CHUNK_OCTETS, HAZARDS, naive_wire_form
from tests.pop3.splits import every_split, in_pieces, piece_lengths
from tests.reference_client import unstuff

from mailkeep.pop3 import TERMINATOR, DotStuffer
from mailkeep.pop3.undots import DotUnstuffer

NEXT = b"+OK next\r\n.\r\n"
"""What follows a body when commands were pipelined."""


def read(pieces: list[bytes], before: bytes = b"") -> tuple[bytes, bytes | None]:
    """Return a body, and what follows it, or None when it has not ended.

    Args:
        pieces: as they came.
        before: what was read already and still stands before each of them.
    """
    unstuffer, body, waiting = DotUnstuffer(), [], b""
    for place, piece in enumerate(pieces):
        waiting = before + waiting + piece
        octets, consumed, ended = unstuffer.feed(waiting, len(before))
        assert len(before) <= consumed <= len(waiting)
        body.append(octets)
        waiting = waiting[consumed:]
        if ended:
            return b"".join(body), b"".join([waiting, *pieces[place + 1 :]])
        assert len(waiting) < len(b"\r\n.\r\n"), "what is held back is never more than this"
    return b"".join(body), None


def stuff(body: bytes) -> bytes:
    stuffer = DotStuffer()
    return stuffer.feed(body) + stuffer.finish()


def splits_at_seams(octets: bytes) -> Iterator[list[bytes]]:
    """Yield every split of a short stream; of a long one, those where something can go wrong."""
    if len(octets) < 2000:
        yield from every_split(octets)
        return
    yield [octets]
    for chunk in CHUNK_OCTETS:
        for shift in (-1, 0, 1):
            yield in_pieces(octets, [chunk + shift])
    dots = [octets.find(b"\n."), octets.rfind(b"\n.", 0, -20), len(octets) - len(NEXT) - 3]
    for around in (*CHUNK_OCTETS, *dots):
        for place in range(around - 4, around + 6):
            if 0 < place < len(octets):
                yield [octets[:place], octets[place:]]


@pytest.mark.parametrize("stored", HAZARDS.values(), ids=HAZARDS)
def test_every_message_that_broke_a_server_comes_back_whole(stored: bytes) -> None:
    """RFC 1939 section 3, S-47: what our own server stuffs is what was there, at every split."""
    body = naive_wire_form(stored)
    wire = stuff(body) + NEXT
    assert unstuff(wire) == (body, NEXT)
    for pieces in splits_at_seams(wire):
        assert read(pieces) == (body, NEXT), [len(piece) for piece in pieces]


ENDED: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b".\r\n", b""),
    "an empty line": (b"\r\n.\r\n", b"\r\n"),
    "a stuffed dot": (b"..\r\n.\r\n", b".\r\n"),
    "two stuffed dots": (b"...\r\n.\r\n", b"..\r\n"),
    "a dot line inside": (b"a\r\n..\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
    "dot lines in a row": (b"..\r\n..\r\n..\r\n.\r\n", b".\r\n.\r\n.\r\n"),
    "a dot behind a letter": (b"a.\r\n.\r\n", b"a.\r\n"),
    "LF dot LF": (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
    "LF dot CRLF": (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n"),
    "LF dot CRLF at the start": (b"\n.\r\nb\r\n.\r\n", b"\n.\r\nb\r\n"),
    "CR dot CRLF": (b"a\r.\r\nb\r\n.\r\n", b"a\r.\r\nb\r\n"),
    "CR dot CR": (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n"),
    "CRLF dot LF": (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n"),
    "CRLF dot CR": (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n"),
    "CRLF dot CR CRLF": (b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n"),
    "dot LF at the start": (b".\n.\r\nb\r\n.\r\n", b"\n.\r\nb\r\n"),
    "dot CR at the start": (b".\r.\r\n.\r\n", b"\r.\r\n"),
    "dot CR CRLF at the start": (b".\r\r\n.\r\n", b"\r\r\n"),
    "CR CRLF before the end": (b"a\r\r\n.\r\n", b"a\r\r\n"),
    "LF CRLF before the end": (b"a\n\r\n.\r\n", b"a\n\r\n"),
    "a dot and NUL": (b"a\r\n.\0\r\n.\r\n", b"a\r\n\0\r\n"),
    "a dot and NUL at the start": (b".\0\r\nb\r\n.\r\n", b"\0\r\nb\r\n"),
    "NUL, dot, CRLF": (b"a\r\n\0.\r\n.\r\n", b"a\r\n\0.\r\n"),
    "a dot and a space": (b"a\r\n. \r\n.\r\n", b"a\r\n \r\n"),
    "a dot that was not doubled": (b"a\r\n.b\r\n.\r\n", b"a\r\nb\r\n"),
    "a first dot that was not doubled": (b".a\r\n.\r\n", b"a\r\n"),
    "three dots for one": (b"a\r\n...b\r\n.\r\n", b"a\r\n..b\r\n"),
    "only CRs before the end": (b"\r\r\r\n.\r\n", b"\r\r\r\n"),
}
"""What is sent, and what is in it."""


@pytest.mark.parametrize(("sent", "body"), ENDED.values(), ids=ENDED)
@pytest.mark.parametrize("behind", [b"", NEXT, b".\r\n", b"\r\n.\r\n", b"\r", b"\n"])
def test_a_body_ends_at_crlf_dot_crlf_and_one_dot_is_taken_off_a_line(
    sent: bytes, body: bytes, behind: bytes
) -> None:
    """RFC 1939 section 3, S-43 to S-48: at every split, and nothing behind the end is consumed."""
    for pieces in every_split(sent + behind):
        assert read(pieces) == (body, behind), pieces


@pytest.mark.parametrize("before", [b"+OK\r\n", b"\r", b"\r\n", b"\r\n.", b"\r\n.\r", b".", b".\r"])
@pytest.mark.parametrize(("sent", "body"), ENDED.values(), ids=ENDED)
def test_what_stands_before_a_body_is_no_part_of_it(
    sent: bytes, body: bytes, before: bytes
) -> None:
    """RFC 1939 section 3: the status line's CRLF, or a body before, ends nothing here."""
    for pieces in every_split(sent + NEXT):
        assert read(pieces, before) == (body, NEXT), pieces


NOT_ENDED: dict[str, bytes] = {
    "nothing": b"",
    "a dot": b".",
    "a dot and CR": b".\r",
    "a dot and LF": b".\n",
    "LF dot LF": b"a\n.\n",
    "LF dot CRLF": b"a\n.\r\n",
    "CR dot CRLF": b"a\r.\r\n",
    "CRLF dot LF": b"a\r\n.\n",
    "CRLF dot CR": b"a\r\n.\r",
    "CRLF dot": b"a\r\n.",
    "CRLF dot NUL": b"a\r\n.\0\r\n",
    "CRLF dot CR CRLF": b"a\r\n.\r\r\n",
    "no CRLF before the dot": b"a.\r\n",
    "a stuffed dot": b"..\r\n",
    "a stuffed dot behind CRLF": b"a\r\n..\r\n",
    "a false end and a reply": b"a\n.\r\n+OK 1 2\n.\n",
}


@pytest.mark.parametrize("sent", NOT_ENDED.values(), ids=NOT_ENDED)
def test_nothing_else_ends_a_body(sent: bytes) -> None:
    """S-43, S-44, S-48: a sender who could end his message early would speak for the server."""
    for pieces in every_split(sent):
        assert read(pieces)[1] is None, pieces


def test_a_mail_without_a_last_crlf_ends_where_the_line_behind_it_ends() -> None:
    """S-43: "end.CRLF" is text; the next CRLF "." CRLF ends it, and nothing is added."""
    assert read([b"a\r\nend.\r\n.\r\n"]) == (b"a\r\nend.\r\n", b"")


def test_a_lone_dot_that_a_server_did_not_double_ends_the_body_and_the_rest_is_left() -> None:
    """S-46: the rest is for whoever reads the next answer, who finds that it is none."""
    assert read([b"a\r\n.\r\nrest of the mail\r\n.\r\n"]) == (
        b"a\r\n",
        b"rest of the mail\r\n.\r\n",
    )


def test_what_is_known_is_handed_on_at_once() -> None:
    """S-53: of a body without end nothing is kept but what may be its end."""
    unstuffer = DotUnstuffer()
    assert unstuffer.feed(b"x" * 100_000) == (b"x" * 100_000, 100_000, False)
    assert unstuffer.feed(b"y\r\n.") == (b"y", 1, False)
    assert unstuffer.feed(b"\r\n.z") == (b"\r\nz", 4, False)


def naive_read(octets: bytes) -> tuple[bytes, bytes | None]:
    """Say the same as plainly as it can be said: lines end with CRLF, the judge's way."""
    *lines, _unfinished = pieces = octets.split(b"\r\n")
    if b"." not in lines:
        return b"", None
    end = lines.index(b".")
    body = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:end])
    return body, b"\r\n".join(pieces[end + 1 :])


anything = st.lists(
    st.one_of(
        st.sampled_from(
            [b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"\n.\n", b"a", b"\0"]
        ),
        st.binary(max_size=4),
    ),
    max_size=30,
).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(anything, piece_lengths)
@example(b"a\r\n.b\r\n.\r\n", [3, 1])
def test_any_octets_are_read_as_a_plain_reader_reads_them(octets: bytes, cut: list[int]) -> None:
    """RFC 1939 section 3: whatever a server sends and however it is cut."""
    expected, rest = naive_read(octets)
    found = read(in_pieces(octets, cut))
    assert found == (expected, rest) if rest is not None else found[1] is None


@settings(deadline=None)
@given(anything, piece_lengths)
def test_an_unfinished_body_is_read_the_same_at_every_split(octets: bytes, cut: list[int]) -> None:
    """S-47: once its end has come, all of it is there, whatever was handed on before."""
    begun = octets.replace(b"\r\n.\r\n", b"").removeprefix(TERMINATOR) + b"x\r\n"
    unfinished = read(in_pieces(begun, cut))
    finished = read([*in_pieces(begun, cut), TERMINATOR])
    assert finished == naive_read(begun + TERMINATOR)
    if unfinished[1] is None:
        assert finished[0].startswith(unfinished[0])


@settings(deadline=None)
@given(anything, piece_lengths)
def test_what_our_server_stuffs_comes_back(stored: bytes, cut: list[int]) -> None:
    """RFC 1939 section 3: unstuff(stuff(body)) is the body, judged by a strict client too."""
    body = naive_wire_form(stored)
    assert read(in_pieces(stuff(body) + NEXT, cut)) == (body, NEXT) == unstuff(stuff(body) + NEXT)
