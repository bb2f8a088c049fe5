"""The bodies of LIST and UIDL (RFC 1939 sections 5 and 7), however they are made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.maildrop import Listing
from mailkeep.pop3 import TERMINATOR
from mailkeep.server.after_login import listings
from mailkeep.server.after_login.listings import SCAN, UNIQUE_IDS, Lines
from mailkeep.server.after_login.marks import Marks
from mailkeep.values import UIDL_LIMIT_OCTETS, Index, Octets, Uidl

LINES = pytest.mark.parametrize("lines", [SCAN, UNIQUE_IDS])


def a_listing(messages: int) -> Listing:
    return Listing((Uidl(b"uid-%d" % place), Octets(place * 7)) for place in range(messages))


def expected(lines: Lines, listing: Listing, marked: set[int]) -> bytes:
    shown = [
        lines.line(listing, Index(place)) for place in range(len(listing)) if place not in marked
    ]
    return b"".join(line + b"\r\n" for line in shown) + b".\r\n"


def test_a_line_has_one_space_and_nothing_more() -> None:
    """RFC 1939 section 5, scan listing, and section 7, unique-id listing."""
    listing = a_listing(3)
    assert SCAN.line(listing, Index(2)) == b"3 14"
    assert UNIQUE_IDS.line(listing, Index(2)) == b"3 uid-2"


@LINES
@given(messages=st.integers(0, 40), marked=st.sets(st.integers(0, 39)))
def test_a_body_has_a_line_for_each_message_that_is_not_marked(
    lines: Lines, messages: int, marked: set[int]
) -> None:
    """RFC 1939 section 5: marked messages are not listed; kept or made, the octets are alike."""
    listing = a_listing(messages)
    marks = Marks(listing)
    for place in marked & set(range(messages)):
        marks.mark(Index(place), listing.uidl(Index(place)))
    for _ in range(2):
        assert b"".join(lines.pieces(listing, marks)) == expected(lines, listing, marked)
    unmarked = Marks(listing)
    assert b"".join(lines.pieces(listing, unmarked)) == expected(lines, listing, set())


@LINES
def test_a_whole_listing_is_made_once(lines: Lines) -> None:
    """As long as nothing has changed, whoever looks next is given the same octets."""
    listing = a_listing(100)
    (first,) = lines.pieces(listing, Marks(listing))
    (second,) = lines.pieces(listing, Marks(listing))
    assert first is second


@LINES
@pytest.mark.parametrize("messages", [999, 4000, listings.KEPT_MESSAGES + 1])
def test_a_long_body_goes_in_pieces_and_none_is_the_terminator_alone(
    lines: Lines, messages: int
) -> None:
    """What waits for a client is bounded; some clients go astray when a terminator comes alone."""
    listing = a_listing(messages)
    pieces = list(lines.pieces(listing, Marks(listing)))
    assert b"".join(pieces) == expected(lines, listing, set())
    assert all(len(piece) <= 2 * listings.PIECE_OCTETS for piece in pieces)
    assert len(pieces[-1]) > len(b".\r\n")


@LINES
def test_a_very_big_listing_is_not_kept(lines: Lines) -> None:
    """What is kept in memory is bounded; 100,000 messages are not too many."""
    assert listings.KEPT_MESSAGES > 100_000
    for more in (0, 1):
        listing = a_listing(listings.KEPT_MESSAGES + more)
        list(lines.pieces(listing, Marks(listing)))
        assert (listing.kept(lines.name) is None) is bool(more)


def test_the_longest_listing_that_is_kept_has_no_more_than_that() -> None:
    """Even if every unique-id is as long as one may be (RFC 1939 section 7)."""
    line = len(b"%d %b\r\n" % (listings.KEPT_MESSAGES, b"x" * UIDL_LIMIT_OCTETS))
    assert line * listings.KEPT_MESSAGES + len(TERMINATOR) <= listings.KEPT_OCTETS


@LINES
def test_who_goes_in_the_midst_leaves_no_half_a_listing(lines: Lines) -> None:
    """A client that hangs up during its listing is followed by one that gets the whole."""
    listing = a_listing(2 * listings.LINES_A_PIECE + 1)
    next(lines.pieces(listing, Marks(listing)))
    assert listing.kept(lines.name) is None
    for _ in range(2):
        assert b"".join(lines.pieces(listing, Marks(listing))) == expected(lines, listing, set())


@given(st.integers(0, 5 * listings.PIECE_OCTETS))
def test_a_cut_loses_nothing(octets: int) -> None:
    """And the last piece is a big one, if there is more than one."""
    body = bytes(octets)
    pieces = list(listings._cut(body))
    assert b"".join(pieces) == body
    assert len(pieces) == 1 or len(pieces[-1]) > listings.PIECE_OCTETS
