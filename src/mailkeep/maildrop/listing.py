"""The scan listing of a snapshot, kept small.

A session on 100,000 messages must not cost a hundred thousand Python objects: the unique-ids lie
end to end in one `bytes`, sizes and ends in arrays (about 45 octets a message).
"""

from array import array
from collections.abc import Iterable

from mailkeep.values import Index, Octets, Uidl


class PackedStrings:
    """An immutable sequence of byte strings in two objects."""

    __slots__ = ("_ends", "_joined")

    def __init__(self, strings: Iterable[bytes]) -> None:
        joined = bytearray()
        ends = array("Q")
        for string in strings:
            joined += string
            ends.append(len(joined))
        self._joined = bytes(joined)
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Index) -> bytes:
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

        self._uidls = PackedStrings(uidls())
        self._octets = sizes
        self.total_octets = Octets(sum(sizes))

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
