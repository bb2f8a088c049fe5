"""From where each account has been logged in to. Pure: `now` is an argument, seconds since 1970.

Known limit: a source is its narrow prefix, so everybody behind one carrier's shared address is
familiar where one of them is; the failures of a familiar source on a name have limits of their own.
"""

from collections import OrderedDict
from collections.abc import Iterable

from mailkeep.defence.remembered import FAMILIAR_FOR_S, PLACES_FOR_S, FamiliarRow

FAMILIAR_LIMIT = 100_000
"""Rows; a full table is measured at 64 MB. The one unused for longest goes first."""

FAMILIAR_PER_NAME = 64
"""A telephone gets another prefix every day; one account must not push out the others."""


class Familiar:
    """Which account has succeeded from which prefix, when, and where that was."""

    def __init__(self, rows: Iterable[FamiliarRow] = (), *, limit: int = FAMILIAR_LIMIT) -> None:
        self._limit = limit
        self._count = 0
        self._names: OrderedDict[str, dict[str, FamiliarRow]] = OrderedDict()
        self._prefixes: dict[str, dict[str, float]] = {}
        for row in rows:
            self.note(row)

    def __len__(self) -> int:
        return self._count

    def note(self, row: FamiliarRow) -> None:
        """Remember a login."""
        rows = self._names.setdefault(row.name, {})
        self._names.move_to_end(row.name)
        is_renewed = rows.pop(row.prefix, None) is not None
        rows[row.prefix] = row
        if is_renewed:
            self._prefixes[row.prefix][row.name] = row.last_success_s
            return
        self._count += 1
        self._prefixes.setdefault(row.prefix, {})[row.name] = row.last_success_s
        if len(rows) > FAMILIAR_PER_NAME:
            self._forget(row.name, next(iter(rows)))
        if self._count > self._limit:
            oldest = next(iter(self._names))
            self._forget(oldest, next(iter(self._names[oldest])))

    def is_familiar(self, name: str, prefix: str, now_s: float) -> bool:
        """Tell whether an account has been logged in to from there not long ago."""
        rows = self._names.get(name)
        row = None if rows is None else rows.get(prefix)
        return row is not None and now_s - row.last_success_s < FAMILIAR_FOR_S

    def has_good_past(self, prefix: str, now_s: float) -> bool:
        """Tell whether anybody has logged in from there not long ago."""
        times = self._prefixes.get(prefix)
        if times is None:
            return False
        for last_s in times.values():  # noqa: SIM110  # a generator costs more than the answer
            if now_s - last_s < FAMILIAR_FOR_S:
                return True
        return False

    def places(self, name: str, now_s: float) -> list[FamiliarRow]:
        """Return where an account has been, the latest last; nothing older than a year."""
        rows = self._names.get(name, {}).values()
        recent = (it for it in rows if now_s - it.last_success_s < PLACES_FOR_S)
        known = [it for it in recent if it.place is not None]
        return sorted(known, key=lambda it: it.last_success_s)

    def _forget(self, name: str, prefix: str) -> None:
        rows = self._names[name]
        del rows[prefix]
        self._count -= 1
        if not rows:
            del self._names[name]
        names = self._prefixes[prefix]
        del names[name]
        if not names:
            del self._prefixes[prefix]
