"""Who is banned, for how long, and how a banned network can still be left by its honest people.

Pure: `now` is an argument, in seconds since 1970, because bans outlive the process. A ban of the
door's own says no to guesses. It does not close the door on a device that proves a password nobody
can guess, so a few connections from a banned prefix are let in. A ban of an operator's is for all:
he has looked, and may be keeping somebody out who once got in.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mailkeep.defence.bounded import Bounded
from mailkeep.defence.prefixes import around
from mailkeep.defence.remembered import BAN_REMEMBERED_S, BanRow
from mailkeep.values import IpAddress

FIRST_BAN_S = 900
LONGEST_BAN_S = 86_400
"""Fifteen minutes, doubling to a day: an address that is shared or given to somebody else must not
stay banned for ever."""

BANS_LIMIT = 50_000
"""Measured at 10 MB. When they are more, those that end first are forgotten."""

_MADE_ROOM = BANS_LIMIT // 10
"""Sorting them for each new one would cost more than the bans save."""

TRICKLE_S = 5.0
"""A banned prefix may connect so often, for a device that proves itself there."""

TRICKLES_KEPT = 10_000
"""A prefix that is forgotten here may connect once sooner."""

DOOR = "door"
"""Who makes the bans that no operator makes."""


class Bans:
    """Bans in force, and those over that the next one is measured by."""

    def __init__(self, rows: Iterable[BanRow] = ()) -> None:
        self._trickle: Bounded[str, float] = Bounded(TRICKLES_KEPT)
        self._rows: dict[str, BanRow] = {}
        self._sizes: Counter[tuple[int, int]] = Counter()
        self.replace(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def replace(self, rows: Iterable[BanRow]) -> None:
        """Take these bans and no others."""
        self._rows.clear()
        self._sizes.clear()
        for row in rows:
            self._put(row)

    def rows(self) -> Sequence[BanRow]:
        """Return all bans, those over too while they count."""
        return tuple(self._rows.values())

    def is_banned(self, source: IpAddress, now_s: float) -> bool:
        """Tell whether guesses from an address are turned away."""
        return bool(self._rows) and next(self._in_force(source, now_s), None) is not None

    def is_shut_out(self, source: IpAddress, now_s: float) -> bool:
        """Tell whether an operator has banned an address: nobody at all is let in from there."""
        if not self._rows:  # nearly every day of nearly every site
            return False
        return any(row.made_by != DOOR for row in self._in_force(source, now_s))

    def _in_force(self, source: IpAddress, now_s: float) -> Iterator[BanRow]:
        for prefix in around(source, self._sizes):
            row = self._rows.get(prefix)
            if row is not None and row.is_in_force(now_s):
                yield row

    def ban(self, prefix: str, reason: str, now_s: float) -> BanRow | None:
        """Ban a narrow prefix, longer each time.

        Returns:
            The ban; None when there is one in force.
        """
        before = self._rows.get(prefix)
        if before is not None and before.is_in_force(now_s):
            return None
        times = 1 + (before.times if before is not None and _counts(before, now_s) else 0)
        row = BanRow(prefix, now_s + ban_s(times), reason, times, DOOR)
        self._put(row)
        return row

    def admits(self, narrow: str, now_s: float) -> bool:
        """Tell whether a banned prefix may make one more connection, and take note of it."""
        last_s = self._trickle.get(narrow)
        if last_s is not None and 0 <= now_s - last_s < TRICKLE_S:
            return False
        self._trickle.put(narrow, now_s)
        return True

    def _put(self, row: BanRow) -> None:
        if row.prefix not in self._rows:
            self._make_room()
            self._sizes[_size_of(row.prefix)] += 1
        self._rows[row.prefix] = row

    def _make_room(self) -> None:
        if len(self._rows) < BANS_LIMIT:
            return
        ends = {it.prefix: it.until_s for it in self._rows.values() if it.until_s is not None}
        for prefix in sorted(ends, key=lambda it: ends[it])[:_MADE_ROOM]:
            del self._rows[prefix]
            size = _size_of(prefix)
            self._sizes[size] -= 1
            if not self._sizes[size]:
                del self._sizes[size]


def ban_s(times: int) -> int:
    """Return how long a ban lasts that is the so manyth in a row."""
    doublings = min(times - 1, LONGEST_BAN_S.bit_length())
    return min(FIRST_BAN_S << doublings, LONGEST_BAN_S)


def _counts(before: BanRow, now_s: float) -> bool:
    return before.until_s is not None and now_s - before.until_s < BAN_REMEMBERED_S


def _size_of(prefix: str) -> tuple[int, int]:
    address, _, bits = prefix.partition("/")
    return (6 if ":" in address else 4), int(bits)
