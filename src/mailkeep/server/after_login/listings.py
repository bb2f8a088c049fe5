"""The lines of STAT, LIST and UIDL: one space between fields and nothing more (RFC 1939 5, 7).

A whole listing without marks is made once, and kept with the listing for as long as that is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mailkeep.maildrop import Listing
from mailkeep.pop3 import TERMINATOR
from mailkeep.server.after_login.marks import Marks
from mailkeep.values import Index, number_of

LINES_A_PIECE = 1_000
"""A listing of 100,000 messages is made in pieces, as the client takes them."""

PIECE_OCTETS = 65_536
"""And sent in such: what is encrypted at once."""

KEPT_MESSAGES = 20_000
"""Of more, a listing is made each time: it would be a megabyte for each of a few big maildrops."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What the lines of one command say of each message."""

    name: str
    """Of the command: under which a listing is kept."""
    form: bytes
    of_one: Callable[[Listing, Index], bytes | int]
    of_all: Callable[[Listing], Sequence[bytes | int]]

    def line(self, listing: Listing, index: Index) -> bytes:
        """Return the line of one message, without its end."""
        return self.form % (number_of(index), self.of_one(listing, index))

    def pieces(self, listing: Listing, marks: Marks) -> Iterator[bytes]:
        """Yield the body of the whole listing, its terminator with the last lines."""
        if marks.count or len(listing) > KEPT_MESSAGES:
            return self._made(listing, marks)
        return _cut(self._kept(listing))

    def _kept(self, listing: Listing) -> bytes:
        body = listing.kept(self.name)
        if body is None:
            lines = map((self.form + b"\r\n").__mod__, enumerate(self.of_all(listing), 1))
            body = b"".join((*lines, TERMINATOR))
            listing.keep(self.name, body)
        return body

    def _made(self, listing: Listing, marks: Marks) -> Iterator[bytes]:
        remaining = marks.remaining()
        held = b""
        while lines := [self.line(listing, index) for index in islice(remaining, LINES_A_PIECE)]:
            if held:
                yield held
            held = b"\r\n".join((*lines, b""))
        yield held + TERMINATOR


SCAN = Lines("LIST", b"%d %d", Listing.octets, Listing.sizes)
UNIQUE_IDS = Lines("UIDL", b"%d %b", Listing.uidl, Listing.uidls)


def drop_listing(marks: Marks) -> bytes:
    """Return STAT's `count octets`."""
    return b"%d %d" % (marks.remaining_count, marks.remaining_octets)


def _cut(body: bytes) -> Iterator[bytes]:
    """Cut a body, and leave no small piece for the end: a terminator does not go alone."""
    start = 0
    while len(body) - start > 2 * PIECE_OCTETS:
        yield body[start : start + PIECE_OCTETS]
        start += PIECE_OCTETS
    yield body[start:] if start else body
