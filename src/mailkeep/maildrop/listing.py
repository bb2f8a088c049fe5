"""The scan listing of a snapshot, kept small.

A session on 100,000 messages must not cost a hundred thousand Python objects: names lie end to end
in one `bytes`, sizes and ends in arrays (12 octets a message beside the name itself). A unique-id
that follows from something the store keeps anyway is worked out when it is asked for.
"""

from array import array
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple, Protocol

from mailkeep.values import Index, Octets, Uidl


class UidlColumn(Protocol):
    """The unique-ids of a snapshot, by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Index, /) -> bytes: ...

    def part(self, start: int, stop: int) -> list[bytes]:
        """Return those from `start` to before `stop`, in order."""


class Edit(NamedTuple):
    """One step on the way from some strings to others."""

    place: int
    """Of a string, as they were."""
    string: bytes | None
    """What comes before it; `None` if it goes."""


class PackedStrings:
    """An immutable sequence of byte strings in two objects.

    Known limit: together they have less than 4 GiB.
    """

    __slots__ = ("_ends", "_joined")

    def __init__(self, strings: Iterable[bytes]) -> None:
        listed = list(strings)
        self._joined = b"".join(listed)
        self._ends = array("I", accumulate(map(len, listed)))

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def octets(self) -> int:
        """What they take in memory."""
        return len(self._joined) + self._ends.itemsize * len(self._ends)

    @property
    def joined(self) -> bytes:
        """All of them, end to end."""
        return self._joined

    @property
    def ends(self) -> "array[int]":
        """Where each one ends; not to be changed."""
        return self._ends

    @classmethod
    def of_parts(cls, joined: bytes, ends: "array[int]") -> "PackedStrings":
        """Return the strings that lie end to end in `joined`, without looking at each."""
        packed = cls(())
        packed._joined = joined
        packed._ends = ends
        return packed

    def edited(self, edits: Iterable[Edit]) -> "PackedStrings":
        """Return these strings with some more and some fewer, for little more than a copy.

        Args:
            edits: by place, rising; what comes before a string stands before its going.
        """
        pieces: list[bytes] = []
        ends = array("I")
        start = 0
        for place, string in edits:
            self._copy(start, place, pieces, ends)
            start = place + 1 if string is None else place
            if string is not None:
                pieces.append(string)
                ends.append((ends[-1] if ends else 0) + len(string))
        self._copy(start, len(self), pieces, ends)
        return PackedStrings.of_parts(b"".join(pieces), ends)

    def _copy(self, start: int, stop: int, pieces: list[bytes], ends: "array[int]") -> None:
        """Put some of these strings behind those that `pieces` and `ends` are made of."""
        if start == stop:
            return
        begin = self._begin(start)
        moved = (ends[-1] if ends else 0) - begin
        pieces.append(self._joined[begin : self._ends[stop - 1]])
        copied = self._ends[start:stop]
        ends.extend(array("I", [end + moved for end in copied]) if moved else copied)

    def all(self) -> list[bytes]:
        """Return every one, at a third of what asking for each costs."""
        return self.part(0, len(self))

    def part(self, start: int, stop: int) -> list[bytes]:
        """Return those from `start` to before `stop`."""
        joined, begin, strings = self._joined, self._begin(start), []
        for end in self._ends[start:stop]:
            strings.append(joined[begin:end])
            begin = end
        return strings

    def _begin(self, place: int) -> int:
        return self._ends[place - 1] if place else 0

    def __getitem__(self, index: Index, /) -> bytes:
        if index < 0:
            raise IndexError(index)
        return self._joined[self._ends[index - 1] if index else 0 : self._ends[index]]


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
