"""The scan listing of a snapshot, kept small.

A session on 100,000 messages must not cost a hundred thousand Python objects: names lie in one
`bytes`, sizes and places in arrays (14 octets a message beside the name itself). A unique-id that
follows from something the store keeps anyway is worked out when it is asked for.
"""

from array import array
from collections.abc import Iterable
from itertools import accumulate
from typing import Protocol

from mailkeep.values import Index, Octets, Uidl


class UidlColumn(Protocol):
    """The unique-ids of a snapshot, by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Index, /) -> bytes: ...

    def part(self, start: int, stop: int) -> list[bytes]:
        """Return those from `start` to before `stop`, in order."""


class PackedStrings:
    """An immutable sequence of byte strings, which lie anywhere in one `bytes`.

    Known limit: that has less than 4 GiB, and each of them less than 64 KiB.
    """

    __slots__ = ("_joined", "_lengths", "_starts")

    def __init__(self, strings: Iterable[bytes]) -> None:
        listed = list(strings)
        self._joined = b"".join(listed)
        self._lengths = array("H", map(len, listed))
        self._starts = array("I", accumulate(self._lengths, initial=0))
        self._starts.pop()  # there the next would begin

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def octets(self) -> int:
        """What they take in memory, with all that they lie in."""
        each = self._starts.itemsize + self._lengths.itemsize
        return len(self._joined) + each * len(self._starts)

    @property
    def joined(self) -> bytes:
        """What they lie in."""
        return self._joined

    @property
    def starts(self) -> "array[int]":
        """Where in `joined` each one begins; not to be changed."""
        return self._starts

    @property
    def lengths(self) -> "array[int]":
        """The octets of each one; not to be changed."""
        return self._lengths

    @classmethod
    def within(cls, joined: bytes, starts: "array[int]", lengths: "array[int]") -> "PackedStrings":
        """Return strings that lie in `joined`, without looking at each."""
        packed = cls(())
        packed._joined = joined
        packed._starts = starts
        packed._lengths = lengths
        return packed

    def chosen(self, places: Iterable[int]) -> "PackedStrings":
        """Return those at these places, in this order; they lie where they lay."""
        places = array("I", places)
        starts = array("I", map(self._starts.__getitem__, places))
        lengths = array("H", map(self._lengths.__getitem__, places))
        return PackedStrings.within(self._joined, starts, lengths)

    def all(self) -> list[bytes]:
        """Return every one, at a third of what asking for each costs."""
        return self.part(0, len(self))

    def part(self, start: int, stop: int) -> list[bytes]:
        """Return those from `start` to before `stop`."""
        joined = self._joined
        places = zip(self._starts[start:stop], self._lengths[start:stop], strict=True)
        return [joined[begin : begin + length] for begin, length in places]

    def __getitem__(self, index: Index, /) -> bytes:
        if index < 0:
            raise IndexError(index)
        begin = self._starts[index]
        return self._joined[begin : begin + self._lengths[index]]


class Listing:
    """Unique-id and size of every message of a snapshot, by index.

    Several sessions may share one, one after the other, if nothing has changed between them.
    """

    __slots__ = ("_kept", "_octets", "_uidls", "kept_octets", "total_octets")

    def __init__(self, messages: Iterable[tuple[Uidl, Octets]]) -> None:
        sizes = array("Q")

        def uidls() -> Iterable[bytes]:
            for uidl, octets in messages:
                sizes.append(octets)
                yield uidl

        self._uidls: UidlColumn = PackedStrings(uidls())
        self._octets = sizes
        self._kept: dict[str, bytes] = {}
        self.kept_octets = 0
        """What was made of the listing, and is kept, takes in memory."""
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

    def uidls(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Return unique-ids in order, for less than asking for each.

        Args:
            start: the first.
            stop: the one behind the last; all the others, unless said.
        """
        return self._uidls.part(start, len(self) if stop is None else min(stop, len(self)))

    def sizes(self, start: int = 0, stop: int | None = None) -> list[int]:
        """Return the sizes of wire forms in order, all or some; see `uidls`."""
        return self._octets[start:stop].tolist()

    def kept(self, name: str) -> bytes | None:
        """Return what `keep` was given under this name, for this listing or the very same one."""
        return self._kept.get(name)

    def keep(self, name: str, made: bytes) -> None:
        """Keep what was made of the whole listing as long as the listing itself.

        Args:
            name: of what it is.
            made: the octets; the caller decides how many are worth it.
        """
        self.kept_octets += len(made) - len(self._kept.get(name, b""))
        self._kept[name] = made

    @property
    def memory_octets(self) -> int:
        """What the sizes, and what was made of the listing, take in memory."""
        return self._octets.itemsize * len(self) + self.kept_octets
