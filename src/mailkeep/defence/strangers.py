"""How few guesses of strangers are looked at at a time on the whole site, and whose lane is next.

Each costs a password hash, and hashes have one queue. If every prefix of an attack had its two
guesses in it, whoever is familiar would wait behind hundreds; so strangers have a few places
together. Whoever comes from a prefix that has failed nothing goes before an attack. Among equals,
each wide prefix has one lane a round (start-time fair queueing: Goyal, Vin and Cheng, 1996), so
that whoever comes alone goes before the rest of a crowd, of which nobody may have failed yet:
after a restart all attackers look new.

Pure: it neither waits nor knows the time, and does not know names, so that they cannot change
anybody's turn. A lane that waits holds nothing.

Known limit: an attack from thousands of wide prefixes, none of which has failed, is a crowd of
people who each come alone; its first guesses take what a hash takes each.
"""

import heapq
import itertools
from collections import Counter
from dataclasses import dataclass

from mailkeep.defence.prefixes import Prefixes

USUALLY = 4
"""Where nobody says how many hashes are computed at a time."""

FOR_EACH_THREAD = 2
"""One that is hashed, and one that is ready when it is done. A hash takes 25 to 40 ms, and several
times that while the loop wants the same core: so long is whoever is familiar held up by each."""

_LEFT_BEHIND = 100
"""Entries that no longer count may be as many as those that do, and so many more."""


def places_for_strangers(hashing_threads: int) -> int:
    """Return how many guesses of strangers are looked at at a time.

    Args:
        hashing_threads: hashes that are computed at a time.
    """
    return FOR_EACH_THREAD * hashing_threads


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """A lane that waits for a place."""

    suspicion: int
    round: int
    arrival: int
    prefixes: Prefixes

    @property
    def crowd(self) -> "_Crowd":
        """With whom it takes turns."""
        return self.prefixes.wide, self.suspicion


_Crowd = tuple[str, int]
"""A wide prefix, and the suspicion of those of its lanes that are meant: the others go before or
after them anyhow."""


class Strangers:
    """The places of a site for guesses of strangers, and the lanes that wait for one.

    Args:
        places: how many there are.
    """

    def __init__(self, places: int) -> None:
        if places < 1:
            raise ValueError("without a place no stranger could log in")
        self._free = places
        self._rounds: Counter[int] = Counter()
        """Of each suspicion, how far it is."""
        self._last_rounds: dict[_Crowd, int] = {}
        self._waiting: dict[str, _Entry] = {}
        self._waiting_in: Counter[_Crowd] = Counter()
        self._order: list[_Entry] = []
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def free(self) -> int:
        """How many places nobody has."""
        return self._free

    def take(self) -> None:
        """Take a place that is free."""
        if not self._free:
            raise ValueError("no place is free")
        self._free -= 1

    def give_back(self) -> None:
        """Give a place back; `next_lane` says who is to have it."""
        self._free += 1

    def wait(self, prefixes: Prefixes, suspicion: int) -> None:
        """Let a lane wait; one that waits keeps its turn unless its suspicion has changed.

        Args:
            prefixes: of the lane.
            suspicion: what counts against it; the least goes first.
        """
        before = self._waiting.get(prefixes.narrow)
        if before is not None and before.suspicion == suspicion:
            return
        self.leave(prefixes.narrow)
        crowd = prefixes.wide, suspicion
        round_ = max(self._rounds[suspicion], self._last_rounds.get(crowd, -1) + 1)
        entry = _Entry(suspicion, round_, next(self._arrivals), prefixes)
        self._last_rounds[crowd] = round_
        self._waiting_in[crowd] += 1
        self._waiting[prefixes.narrow] = entry
        heapq.heappush(self._order, entry)
        self._tidy()

    def leave(self, narrow: str) -> None:
        """Let a lane wait no more, if it does."""
        entry = self._waiting.pop(narrow, None)
        if entry is None:
            return
        crowd = entry.crowd
        self._waiting_in[crowd] -= 1
        if not self._waiting_in[crowd]:
            del self._waiting_in[crowd], self._last_rounds[crowd]

    def next_lane(self) -> str | None:
        """Return the narrow prefix whose turn it is, which waits no more; None without a place."""
        while self._free and self._order:
            entry = heapq.heappop(self._order)
            if self._waiting.get(entry.prefixes.narrow) is entry:
                self.leave(entry.prefixes.narrow)
                self._rounds[entry.suspicion] = max(self._rounds[entry.suspicion], entry.round)
                return entry.prefixes.narrow
        return None

    def _tidy(self) -> None:
        """Forget entries of lanes that left, before they are more than those that wait."""
        if len(self._order) > 2 * len(self._waiting) + _LEFT_BEHIND:
            self._order = list(self._waiting.values())
            heapq.heapify(self._order)
