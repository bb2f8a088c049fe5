"""The lines of STAT, LIST and UIDL: one space between fields and nothing more (RFC 1939 5, 7).

A whole listing without marks is made once, and kept with the listing for as long as that is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mailkeep.maildrop import Listing
from mailkeep.pop3 import TERMINATOR
from mailkeep.server.after_login.marks import Marks
from mailkeep.values import UIDL_LIMIT_OCTETS, Index, number_of

LINES_A_PIECE = 1_000
"""A listing of 100,000 messages is made in pieces, as the client takes them."""

PIECE_OCTETS = 65_536
"""And sent in such: what is encrypted at once."""

KEPT_OCTETS = 8 << 20
"""The longest listing that is kept: that of 100,000 messages, whatever their unique-ids. As many
octets again as the store keeps of such a maildrop anyway, which weighs both (`WARM_OCTETS`)."""

KEPT_MESSAGES = KEPT_OCTETS // len(b"100000 %b\r\n" % bytes(UIDL_LIMIT_OCTETS))
"""Of more, a listing is made each time; how long it is would be known too late."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What the lines of one command say of each message."""

    name: str
    """Of the command: under which a listing is kept."""
    form: bytes
    of_one: Callable[[Listing, Index], bytes | int]
    of_some: Callable[[Listing, int, int], Sequence[bytes | int]]
    """Of those from one place to before another."""

    def line(self, listing: Listing, index: Index) -> bytes:
        """Return the line of one message, without its end."""
        return self.form % (number_of(index), self.of_one(listing, index))

    def pieces(self, listing: Listing, marks: Marks) -> Iterator[bytes]:
        """Yield the body of the whole listing, its terminator with the last lines."""
        if marks.count:
            return self._of_unmarked(listing, marks)
        body = listing.kept(self.name)
        return self._of_all(listing) if body is None else _cut(body)

    def _of_all(self, listing: Listing) -> Iterator[bytes]:
        """Make it as the client takes it, so that nobody waits for the whole, and keep it."""
        made = []
        starts = range(0, max(1, len(listing)), LINES_A_PIECE)
        for start in starts:
            is_last = start == starts[-1]
            piece = self._some(listing, start) + (TERMINATOR if is_last else b"")
            if len(listing) <= KEPT_MESSAGES:
                made.append(piece)
            if made and is_last:
                listing.keep(self.name, b"".join(made))
            yield piece

    def _some(self, listing: Listing, start: int) -> bytes:
        places = enumerate(self.of_some(listing, start, start + LINES_A_PIECE), start + 1)
        return b"".join(map((self.form + b"\r\n").__mod__, places))

    def _of_unmarked(self, listing: Listing, marks: Marks) -> Iterator[bytes]:
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
