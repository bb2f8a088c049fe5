"""Which names a folder has lost and won since it was read before. Pure.

The names of a folder lie end to end, each with a slash behind it, which no name has, in the order
in which they were read. File systems keep that order, so what has changed mostly lies between a
long beginning and a long end that are the same, and only the names in between are looked at.
"""

from collections.abc import Callable, Iterable

Names = tuple[bytes, bytes]
"""The file names in `new` and in `cur`, each with a slash behind it."""


def joined(names: Iterable[bytes]) -> bytes:
    """Return names end to end."""
    return b"".join([b"/".join(names), b"/"]).lstrip(b"/")


def compare(before: bytes, now: bytes) -> tuple[set[bytes], set[bytes]]:
    """Return the names that are gone and those that have come."""
    start = _longest(lambda octets: before[:octets] == now[:octets], before, now)
    start = before.rfind(b"/", 0, start) + 1
    before, now = before[start:], now[start:]
    end = _longest(
        lambda octets: before[len(before) - octets :] == now[len(now) - octets :], before, now
    )
    end = len(before) - (before.find(b"/", len(before) - end) + 1) if end else 0
    old = set(before[: len(before) - end].split(b"/"))
    new = set(now[: len(now) - end].split(b"/"))
    return old - new, new - old


def _longest(is_same: Callable[[int], bool], before: bytes, now: bytes) -> int:
    """Return the most octets that are the same, by halving."""
    low, high = 0, min(len(before), len(now))
    while low < high:
        middle = (low + high + 1) // 2
        if is_same(middle):
            low = middle
        else:
            high = middle - 1
    return low
