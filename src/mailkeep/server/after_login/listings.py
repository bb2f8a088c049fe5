"""The lines of STAT, LIST and UIDL: one space between fields and nothing more (RFC 1939 5, 7)."""

from collections.abc import Callable, Iterator
from itertools import islice

from mailkeep.maildrop import Listing
from mailkeep.pop3 import TERMINATOR
from mailkeep.server.after_login.marks import Marks
from mailkeep.values import Index, number_of

LINES_A_PIECE = 1_000
"""A listing of 100,000 messages goes out in pieces, as the client takes them."""

Line = Callable[[Listing, Index], bytes]


def scan_listing(listing: Listing, index: Index) -> bytes:
    """Return `number octets`."""
    return b"%d %d" % (number_of(index), listing.octets(index))


def unique_id_listing(listing: Listing, index: Index) -> bytes:
    """Return `number uidl`."""
    return b"%d %b" % (number_of(index), listing.uidl(index))


def drop_listing(marks: Marks) -> bytes:
    """Return STAT's `count octets`."""
    return b"%d %d" % (marks.remaining_count, marks.remaining_octets)


def pieces(listing: Listing, marks: Marks, line: Line) -> Iterator[bytes]:
    """Yield the body of a whole LIST or UIDL, its terminator with the last lines."""
    remaining = marks.remaining()
    held = b""
    while lines := [line(listing, index) for index in islice(remaining, LINES_A_PIECE)]:
        yield held
        held = b"\r\n".join((*lines, b""))
    yield held + TERMINATOR
