"""Guesses that wait for their turn, a lane for each narrow prefix.

A lane is there while somebody waits or is looked at in it. Waiting is a future and at most one
timer a lane: no thread, no lock, no place. Whoever is familiar goes first; the others in the order
of their arrival.

It must not know why a guess waits: `judge` says what becomes of it, and is asked again whenever
something happened in its lane.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mailkeep.defence.counters import Who
from mailkeep.defence.turns import Go, Later, Never, Turn
from mailkeep.values import IpAddress


@dataclass(slots=True, eq=False)
class Guess:
    """A guess that waits or is looked at."""

    source: IpAddress
    who: Who
    arrived_s: float
    ready_s: float
    turn: "asyncio.Future[Go | Never]"
    has_place: bool = False
    is_slowed: bool = False
    """It has waited for failures."""
    let_s: float = 0.0
    """When it got its place."""


@dataclass(slots=True, eq=False)
class Lane:
    """The guesses of one narrow prefix."""

    familiar: dict[Guess, None] = field(default_factory=dict)
    strangers: dict[Guess, None] = field(default_factory=dict)
    holders: list[Guess] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    def held_alike(self, who: Who) -> int:
        """Return how many are looked at that count where this one would."""
        alike = (it for it in self.holders if it.who.is_familiar == who.is_familiar)
        return sum(1 for it in alike if not who.is_familiar or it.who.name == who.name)

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody waits and nobody is looked at."""
        return not (self.familiar or self.strangers or self.holders)


Judge = Callable[[Guess, int, Lane, float], Turn]
"""Of a guess, how many of its kind are ahead of it, its lane and the time."""


class Lanes:
    """All guesses that wait or are looked at."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._lanes: dict[str, Lane] = {}
        self._held: Counter[str] = Counter()
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def held(self, wider: str) -> int:
        """Return how many guesses of strangers are looked at in a middle or wide prefix."""
        return self._held[wider]

    @contextmanager
    def one_waits(self) -> Iterator[None]:
        """Count somebody who waits."""
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    async def enter(self, guess: Guess) -> Go | Never:
        """Return when it is a guess's turn, with a place, or that it has none.

        Cancelling gives up the place.
        """
        lane = self._lanes.setdefault(guess.who.prefixes.narrow, Lane())
        queue = lane.familiar if guess.who.is_familiar else lane.strangers
        queue[guess] = None
        try:
            with self.one_waits():
                self._serve(guess.who.prefixes.narrow)
                return await guess.turn
        except asyncio.CancelledError:
            if guess.has_place:
                self.leave(guess)
            raise
        finally:
            if guess in queue:
                del queue[guess]
                self._serve(guess.who.prefixes.narrow)

    def leave(self, guess: Guess) -> None:
        """Give a place back."""
        guess.has_place = False
        self._lanes[guess.who.prefixes.narrow].holders.remove(guess)
        self._hold(guess.who, -1)
        self._serve(guess.who.prefixes.narrow)

    def _serve(self, narrow: str) -> None:
        """Judge everybody in a lane, and come back when that can change by itself."""
        lane = self._lanes.get(narrow)
        if lane is None:
            return
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        again = [self._serve_queue(lane, it, now_s) for it in (lane.familiar, lane.strangers)]
        times = [when_s for when_s in again if when_s is not None]
        if lane.is_empty:
            del self._lanes[narrow]
        elif times:
            lane.timer = loop.call_at(min(times), self._serve, narrow)

    def _serve_queue(self, lane: Lane, queue: dict[Guess, None], now_s: float) -> float | None:
        """Judge those who wait; return when to judge again."""
        ahead, again_s = 0, None
        for guess in list(queue):
            turn = self._judge(guess, ahead, lane, now_s)
            if not isinstance(turn, Later):
                del queue[guess]
                self._settle(guess, turn, lane, now_s)
                continue
            ahead += 1
            guess.is_slowed |= turn.is_for_failures
            again_s = turn.until_s if again_s is None else min(again_s, turn.until_s)
            if turn.blocks_others:
                break
        return again_s

    def _settle(self, guess: Guess, turn: Go | Never, lane: Lane, now_s: float) -> None:
        if isinstance(turn, Go):
            guess.has_place, guess.let_s = True, now_s
            lane.holders.append(guess)
            self._hold(guess.who, 1)
        if not guess.turn.done():
            guess.turn.set_result(turn)

    def _hold(self, who: Who, change: int) -> None:
        if who.is_familiar:
            return
        for wider in (who.prefixes.middle, who.prefixes.wide):
            self._held[wider] += change
            if not self._held[wider]:
                del self._held[wider]
