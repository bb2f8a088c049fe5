"""An event loop in which time passes only when nobody has anything to do.

A test says `await asyncio.sleep(600)` and ten minutes are over at once, with every timer between
run in its order. Deadlines are tested as they are in force, to the second.

Known limits: for code without threads and real sockets, which do things while nothing seems to
happen; CPython's own loop only.
"""

import asyncio
import selectors

_TICK_S = 1e-6
"""How far past its second a timer finds the clock. Sums of floats may come out a little short, and
a timer that is never quite due would keep the loop running for ever."""


class NothingWillHappen(Exception):
    """Everybody waits and no timer runs: in real time the test would hang."""


class _Jump(selectors.SelectSelector):
    """Waits by moving the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; when nothing is, let the time pass instead of waiting."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise NothingWillHappen
        self.now += timeout + _TICK_S
        return []


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose clock starts at 0 and jumps from timer to timer."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Return the seconds that have passed since the loop was made."""
        return self._jump.now
