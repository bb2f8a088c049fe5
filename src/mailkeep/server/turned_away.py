"""How often connections that are turned away are told. Pure: `now` is an argument.

Somebody who is turned away tries again at once, and a line for each time would bury the log and
fill the disk: each prefix is told once in a while, with how often it was meanwhile.

Known limits: what is counted when a prefix never comes back is never told. Prefixes over
`PREFIXES_LIMIT` are counted together.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

TOLD_EVERY_S = 10.0
"""For one prefix and one reason: often enough to see an attack go on."""

PREFIXES_LIMIT = 1024
"""That are counted one by one: about 300 KiB. An attacker with an IPv6 network has more."""


@dataclass(slots=True)
class _Count:
    told_at: float
    since: int = 0


class TurnedAway:
    """Counts who is turned away, and says when to tell it."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: OrderedDict[Hashable, _Count] = OrderedDict()
        """The one told longest ago first."""

    def count(self, whom: Hashable, now: float) -> int:
        """Return how many times to tell now, this one included; 0 for none.

        Args:
            whom: a prefix and a reason.
            now: seconds of a monotonic clock.
        """
        self._forget(now)
        if whom not in self._counts and len(self._counts) >= PREFIXES_LIMIT:
            whom = None
        found = self._counts.get(whom)
        if found is not None and now - found.told_at < TOLD_EVERY_S:
            found.since += 1
            return 0
        told = 1 if found is None else found.since + 1
        self._counts[whom] = _Count(told_at=now)
        self._counts.move_to_end(whom)
        return told

    def _forget(self, now: float) -> None:
        """Drop who has not come back for a while; two at a time, so that no call takes long."""
        for _ in range(2):
            if not self._counts:
                return
            whom, oldest = next(iter(self._counts.items()))
            if now - oldest.told_at < 2 * TOLD_EVERY_S:
                return
            del self._counts[whom]
