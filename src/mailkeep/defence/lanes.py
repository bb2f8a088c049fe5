"""Guesses that wait for their turn, a lane for each narrow prefix.

A lane is there while somebody waits or is looked at in it. Waiting is a future and at most one
timer a lane: no thread, no lock, no place, neither of the prefix nor of the few that strangers have
on the whole site. Both are taken in one step, so that a familiar source never waits behind a
stranger who only waits himself. Whoever is familiar goes first; the others in the order of their
arrival.

It must not know why a guess waits: `judge` says what becomes of it, and is asked again whenever
something happened in its lane.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mailkeep.defence.counters import Who
from mailkeep.defence.strangers import Strangers
from mailkeep.defence.turns import PATIENCE_S, Go, Later, Never, Turn
from mailkeep.values import IpAddress


@dataclass(slots=True, eq=False)
class Guess:
    """A guess that waits or is looked at."""

    source: IpAddress
    who: Who
    arrived_s: float
    ready_s: float
    patience_s: float = PATIENCE_S
    is_for_a_hash: bool = True
    """It takes one of the few places for strangers; else somebody else is only asked about it."""
    has_place: bool = False
    has_site_place: bool = False
    is_slowed: bool = False
    """What it waits for now are failures."""
    slowed_s: float = 0.0
    """How long after its arrival it has waited for failures."""

    @property
    def needs_site_place(self) -> bool:
        """Tell whether it must have one of the few places for strangers."""
        return self.is_for_a_hash and not self.who.is_familiar


Queue = dict[Guess, "asyncio.Future[Go | Never]"]
"""Guesses that wait, in their order, and where each is told."""


class Lane:
    """The guesses of one narrow prefix."""

    __slots__ = ("familiar", "holders", "strangers", "timer")

    def __init__(self) -> None:
        self.familiar: Queue = {}
        self.strangers: Queue = {}
        self.holders: list[Guess] = []
        self.timer: asyncio.TimerHandle | None = None

    def held_alike(self, who: Who) -> int:
        """Return how many are looked at that count where this one would."""
        alike = (it for it in self.holders if it.who.is_familiar == who.is_familiar)
        return sum(1 for it in alike if not who.is_familiar or it.who.name == who.name)

    @property
    def has_only_one(self) -> bool:
        """Tell whether one guess is looked at and nobody waits."""
        return not (self.familiar or self.strangers or self.timer) and len(self.holders) == 1

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody waits and nobody is looked at."""
        return not (self.familiar or self.strangers or self.holders)


Judge = Callable[[Guess, int, Lane, float], Turn]
"""Of a guess, how many of its kind are ahead of it, its lane and the time."""


class Lanes:
    """All guesses that wait or are looked at.

    Args:
        judge: says what becomes of a guess.
        strangers: the few places of the site.
    """

    def __init__(self, judge: Judge, strangers: Strangers) -> None:
        self._judge = judge
        self._strangers = strangers
        self._lanes: dict[str, Lane] = {}
        self._held: Counter[str] = Counter()
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def held(self, wider: str) -> int:
        """Return how many guesses of strangers are looked at in a middle or wide prefix."""
        return self._held[wider]

    def is_used(self, narrow: str) -> bool:
        """Tell whether anybody waits or is looked at in a narrow prefix."""
        return narrow in self._lanes

    @contextmanager
    def one_waits(self) -> Iterator[None]:
        """Count somebody who waits."""
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    def enter_alone(self, guess: Guess) -> None:
        """Give a place to a familiar guess in whose lane nobody else is, without judging it."""
        lane = self._lanes[guess.who.prefixes.narrow] = Lane()
        guess.has_place = True
        lane.holders.append(guess)

    async def enter(self, guess: Guess) -> Go | Never:
        """Return when it is a guess's turn, with a place, or that it has none.

        A guess that has a place already changes it for one of the kind that it needs now; before
        that nobody behind it has a turn. Cancelling gives up the place.
        """
        lane = self._lanes.setdefault(guess.who.prefixes.narrow, Lane())
        if not (lane.familiar or lane.strangers or guess.has_place):
            turn_at_once = self._judge(guess, 0, lane, asyncio.get_running_loop().time())
            if isinstance(turn_at_once, Go):
                self._take_place(guess, lane)
                return turn_at_once
        queue = lane.familiar if guess.who.is_familiar else lane.strangers
        turn: asyncio.Future[Go | Never] = asyncio.get_running_loop().create_future()
        if guess.has_place:
            self._take_back(guess, lane)
            _put_first(queue, guess, turn)
        else:
            queue[guess] = turn
        try:
            with self.one_waits():
                self._serve(guess.who.prefixes.narrow)
                return await turn
        except asyncio.CancelledError:
            if guess.has_place:
                self.leave(guess)
            raise
        finally:
            if guess in queue:
                del queue[guess]
                self._serve(guess.who.prefixes.narrow)

    def leave(self, guess: Guess) -> None:
        """Give a place back.

        Its own lane is served before the site has that place again, so that it waits for it with
        the others.
        """
        narrow = guess.who.prefixes.narrow
        lane = self._lanes[narrow]
        if guess.who.is_familiar and lane.has_only_one:
            guess.has_place = False
            del self._lanes[narrow]
            return
        self._take_back(guess, lane)
        self._serve(narrow)
        if guess.has_site_place:
            guess.has_site_place = False
            self._strangers.give_back()
            self._call_strangers()

    def _take_back(self, guess: Guess, lane: Lane) -> None:
        """Take a prefix's place back."""
        guess.has_place = False
        lane.holders.remove(guess)
        self._hold(guess.who, -1)

    def _call_strangers(self) -> None:
        """Serve lanes that wait for the site until no place is free."""
        while (narrow := self._strangers.next_lane()) is not None:
            self._serve(narrow)

    def _serve(self, narrow: str) -> None:
        """Judge everybody in a lane, and come back when that can change by itself.

        Nobody waits for the site while it has a free place, so whoever comes may take one.
        """
        lane = self._lanes.get(narrow)
        if lane is None:
            return
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        laters = [
            *self._serve_queue(lane, lane.familiar, now_s),
            *self._serve_queue(lane, lane.strangers, now_s),
        ]
        self._wait_for_site(lane, narrow, laters)
        if lane.is_empty:
            del self._lanes[narrow]
        elif laters:
            again_s = min(later.until_s for later in laters)
            lane.timer = loop.call_at(again_s, self._serve, narrow)

    def _serve_queue(self, lane: Lane, queue: Queue, now_s: float) -> list[Later]:
        """Judge those who wait; return what those wait for who still do."""
        laters = list[Later]()
        for guess in list(queue):
            if guess.is_slowed:
                guess.slowed_s = now_s - guess.arrived_s
            turn = self._judge(guess, len(laters), lane, now_s)
            if not isinstance(turn, Later):
                self._settle(guess, turn, lane, queue.pop(guess))
                continue
            laters.append(turn)
            guess.is_slowed = turn.is_for_failures
            if turn.blocks_others:
                break
        return laters

    def _wait_for_site(self, lane: Lane, narrow: str, laters: list[Later]) -> None:
        """Let a lane wait for the site if somebody in it lacks nothing else."""
        suspicions = [it.suspicion for it in laters if it.suspicion is not None]
        if suspicions:
            prefixes = next(iter(lane.strangers)).who.prefixes
            self._strangers.wait(prefixes, min(suspicions))
        else:
            self._strangers.leave(narrow)

    def _settle(
        self, guess: Guess, turn: Go | Never, lane: Lane, told: "asyncio.Future[Go | Never]"
    ) -> None:
        if isinstance(turn, Go):
            self._take_place(guess, lane)
        if not told.done():
            told.set_result(turn)

    def _take_place(self, guess: Guess, lane: Lane) -> None:
        guess.has_place = True
        lane.holders.append(guess)
        self._hold(guess.who, 1)
        if guess.needs_site_place:
            guess.has_site_place = True
            self._strangers.take()

    def _hold(self, who: Who, change: int) -> None:
        if who.is_familiar:
            return
        for wider in (who.prefixes.middle, who.prefixes.wide):
            self._held[wider] += change
            if not self._held[wider]:
                del self._held[wider]


def _put_first(queue: Queue, guess: Guess, turn: "asyncio.Future[Go | Never]") -> None:
    behind = queue.copy()
    queue.clear()
    queue[guess] = turn
    queue.update(behind)
