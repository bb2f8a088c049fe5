"""The scan listing of a snapshot, kept small.

A session on 100,000 messages must not cost a hundred thousand Python objects: names lie end to end
in one `bytes`, sizes and ends in arrays (12 octets a message beside the name itself). A unique-id
that follows from something the store keeps anyway is worked out when it is asked for.
"""

from array import array
from collections.abc import Iterable
from typing import Protocol

from mailkeep.values import Index, Octets, Uidl


class UidlColumn(Protocol):
    """The unique-ids of a snapshot, by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Index, /) -> bytes: ...


class PackedStrings:
    """An immutable sequence of byte strings in two objects.

    Known limit: together they have less than 4 GiB.
    """

    __slots__ = ("_ends", "_joined")

    def __init__(self, strings: Iterable[bytes]) -> None:
        joined = bytearray()
        ends = array("I")
        for string in strings:
            joined += string
            ends.append(len(joined))
        self._joined = bytes(joined)
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Index, /) -> bytes:
        if index < 0:
            raise IndexError(index)
        return self._joined[self._ends[index - 1] if index else 0 : self._ends[index]]


class Listing:
    """Unique-id and size of every message of a snapshot, by index."""

    __slots__ = ("_octets", "_uidls", "total_octets")

    def __init__(self, messages: Iterable[tuple[Uidl, Octets]]) -> None:
        sizes = array("Q")

        def uidls() -> Iterable[bytes]:
            for uidl, octets in messages:
                sizes.append(octets)
                yield uidl

        self._uidls: UidlColumn = PackedStrings(uidls())
        self._octets = sizes
        self.total_octets = Octets(sum(sizes))

    @classmethod
    def of_columns(cls, uidls: UidlColumn, octets: "array[int]") -> "Listing":
        """Return a listing over columns that a store keeps anyway, without copying them.

        Args:
            uidls: the unique-ids.
            octets: as many sizes of wire forms; not changed afterwards.
        """
        listing = cls(())
        listing._uidls = uidls
        listing._octets = octets
        listing.total_octets = Octets(sum(octets))
        return listing

    def __len__(self) -> int:
        return len(self._octets)

    def octets(self, index: Index) -> Octets:
        """Return the size of the wire form, as announced."""
        if index < 0:
            raise IndexError(index)
        return Octets(self._octets[index])

    def uidl(self, index: Index) -> Uidl:
        """Return the unique-id."""
        return Uidl(self._uidls[index])
