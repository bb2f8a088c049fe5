"""Which messages are marked as deleted, and what is left (RFC 1939 section 5, DELE and RSET)."""

from collections.abc import Iterator

from mailkeep.maildrop import Listing
from mailkeep.values import Index, Octets, Uidl


class Marks:
    """The marks of one session; nothing is removed here."""

    __slots__ = ("_listing", "_marked", "_marked_octets")

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._marked: dict[Index, Uidl] = {}
        self._marked_octets = 0

    def __contains__(self, index: Index) -> bool:
        return index in self._marked

    @property
    def count(self) -> int:
        """How many messages are marked."""
        return len(self._marked)

    def mark(self, index: Index, uidl: Uidl) -> None:
        """Mark a message that is not marked.

        Args:
            index: its place.
            uidl: its unique-id.
        """
        self._marked[index] = uidl
        self._marked_octets += self._listing.octets(index)

    def clear(self) -> None:
        """Unmark every message."""
        self._marked.clear()
        self._marked_octets = 0

    def uidls(self) -> frozenset[Uidl]:
        """Return what is to be removed."""
        return frozenset(self._marked.values())

    def remaining(self) -> Iterator[Index]:
        """Yield the messages that are not marked, in order."""
        return (index for i in range(len(self._listing)) if (index := Index(i)) not in self._marked)

    @property
    def remaining_count(self) -> int:
        """How many messages are not marked."""
        return len(self._listing) - len(self._marked)

    @property
    def remaining_octets(self) -> Octets:
        """The size of all of them."""
        return Octets(self._listing.total_octets - self._marked_octets)
