"""The names of the files of a Maildir, kept once, and how they have changed since. Pure.

The names of a folder lie end to end, each with a slash behind it, which no name has, in the order
in which they were read. File systems keep that order, so what has changed mostly lies between a
long beginning and a long end that are the same, and only the names in between are looked at.

The base names of messages are not kept beside them: it is told where in these names each begins.
What has come or gone moves the names that lie behind it, so those places move too.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import sub
from typing import NamedTuple

_TOGETHER_OCTETS = 1 << 16
"""Compared at once: it stays in the processor's cache."""


class Names(NamedTuple):
    """The names of the files in `cur` and `new`, end to end.

    Those in `cur` come first: they are many, and a delivery to `new` does not move them.
    """

    joined: bytes
    cur_octets: int

    @classmethod
    def of_folders(cls, new: bytes | memoryview, cur: bytes | memoryview) -> "Names":
        """Return the names in both folders."""
        return cls(b"".join((cur, new)), len(cur))

    @property
    def new(self) -> memoryview:
        """Those in `new`, where they lie."""
        return memoryview(self.joined)[self.cur_octets :]

    @property
    def cur(self) -> memoryview:
        """Those in `cur`, where they lie."""
        return memoryview(self.joined)[: self.cur_octets]


class Place(NamedTuple):
    """A file's name, and where it begins among the others."""

    start: int
    name: bytes


class Difference(NamedTuple):
    """What has changed in some names; the others follow on each other as they did."""

    gone: list[Place]
    """Those that are not there any more, in the order in which they were there."""
    come: list[Place]
    """Those that were not there, in the order in which they are there now."""

    def behind(self, before_octets: int, now_octets: int) -> "Difference":
        """Return the same of names that stand behind others, of so many octets before and now."""
        return Difference(
            [Place(before_octets + start, name) for start, name in self.gone],
            [Place(now_octets + start, name) for start, name in self.come],
        )


def joined(names: Iterable[bytes]) -> bytes:
    """Return names end to end."""
    return b"/".join([*names, b""])


def parted(names: bytes) -> list[bytes]:
    """Return the names that lie end to end."""
    return names.split(b"/")[:-1]


def starts_of(names: Sequence[bytes]) -> "array[int]":
    """Return where each of these names begins when they are joined."""
    octets = [len(name) + 1 for name in names[:-1]]
    return array("I", list(accumulate(octets, initial=0)) if names else ())


def compare(before: bytes, now: bytes) -> Difference:
    """Return how the names of a folder differ."""
    most = min(len(before), len(now))
    start = _same(lambda low, high: before.startswith(now[low:high], low), most)
    start = before.rfind(b"/", 0, start) + 1
    old, new = len(before), len(now)
    end = _same(
        lambda low, high: before[old - high : old - low] == now[new - high : new - low],
        most - start,
    )
    end = old - (before.find(b"/", old - end) + 1) if end else 0
    between = _between(before[start : old - end], now[start : new - end])
    return between.behind(start, start)


def of_both(before: Names, now: Names, new: Difference, cur: Difference) -> Difference:
    """Return how the names in both folders differ.

    Args:
        before: the names that were there.
        now: those that are there.
        new: how those in `new` differ, counted from the first of them.
        cur: how those in `cur` differ.
    """
    behind = new.behind(before.cur_octets, now.cur_octets)
    return Difference(cur.gone + behind.gone, cur.come + behind.come)


def moved(starts: "array[int]", difference: Difference) -> "array[int]":
    """Return where names begin now, by where they began.

    Args:
        starts: where they began. Of what is gone it may be anywhere.
        difference: how all the names differ among which they are.
    """
    if difference.gone:
        bounds, octets = _steps(difference.gone)
        starts = array("I", [at - octets[bisect_left(bounds, at)] for at in starts])
    if difference.come:
        bounds, octets = _steps(difference.come)
        # What has come is not yet there: that others have come before it counts for nothing.
        bounds = list(map(sub, bounds, octets))
        starts = array("I", [at + octets[bisect_right(bounds, at)] for at in starts])
    return starts


def _same(is_same: Callable[[int, int], bool], most: int) -> int:
    """Return how many octets are the same, in pieces that are halved where they differ."""
    octets, piece = 0, _TOGETHER_OCTETS
    while piece:
        if octets + piece <= most and is_same(octets, octets + piece):
            octets += piece
        else:
            piece //= 2
    return octets


def _between(before: bytes, now: bytes) -> Difference:
    """Return how names differ that may all do so."""
    was, are = parted(before), parted(now)
    old, new = set(was), set(are)
    difference = Difference(_placed(was, old - new), _placed(are, new - old))
    if _without(before, difference.gone) == _without(now, difference.come):
        return difference
    return Difference(_placed(was, old), _placed(are, new))  # in another order: none is in place


def _placed(names: Sequence[bytes], wanted: set[bytes]) -> list[Place]:
    """Return some of these names with their places."""
    if not wanted:
        return []
    placed = zip(starts_of(names), names, strict=True)
    return [Place(at, name) for at, name in placed if name in wanted]


def _without(names: bytes, places: Iterable[Place]) -> bytes:
    """Return names without some of them."""
    kept, end = [], 0
    for start, name in places:
        kept.append(names[end:start])
        end = start + len(name) + 1
    return b"".join([*kept, names[end:]])


def _steps(places: Sequence[Place]) -> tuple[list[int], list[int]]:
    """Return where these names begin, and how many octets the first so many of them take."""
    octets = accumulate([len(place.name) + 1 for place in places], initial=0)
    return [place.start for place in places], list(octets)
