"""What strangers ask of the loop, a little in each of its turns.

A handshake takes the loop a millisecond. When hundreds of connections arrive at once, everything
that came from all of them would be done in one turn, and who has logged in would wait for it. So
what arrives on connections without a login passes here: some of it in each turn of the loop, the
rest in the order in which it came, and between two turns everybody else has his own. Who comes from
where somebody has logged in before does not stand in this queue.

It must not know what the work is.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

WORKS_A_TURN = 4
"""With what they wake up they are a few milliseconds: little beside the 50 that nobody notices."""

TURN_S = 0.002
"""Nor are there more once so much time has gone: two handshakes."""


class Turnstile:
    """Does some work in each turn of a loop.

    Args:
        loop: whose turns they are.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._done_this_turn = 0
        self._until = 0.0
        self._is_turning = False

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, work: Callable[[], None]) -> bool:
        """Do some work now if this turn has room for it, else in a later one; never raises itself.

        Returns:
            Whether it was done now.
        """
        if self._waiting or not self._has_room():
            self._waiting.append(work)
            return False
        self._do(work)
        return True

    def _has_room(self) -> bool:
        if not self._done_this_turn:
            return True
        return self._done_this_turn < WORKS_A_TURN and self._clock() < self._until

    def _do(self, work: Callable[[], None]) -> None:
        if not self._done_this_turn:
            self._until = self._clock() + TURN_S
        self._done_this_turn += 1
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn)
        work()

    def _turn(self) -> None:
        self._is_turning = False
        self._done_this_turn = 0
        while self._waiting and self._has_room():
            self._do(self._waiting.popleft())
