"""When a client that does not read has had its time. Pure: `now` is an argument.

A client that stops reading in the middle of a message would otherwise hold its connection, its
maildrop and the octets on their way to it for as long as it likes.
"""

from collections import deque

SAMPLES = 10
"""How finely the window of the slow-reader rule is cut."""


class OutputWatch:
    """Judges one stretch of time in which output waits."""

    __slots__ = ("_last_progress", "_octets_per_s", "_samples", "_stall_s", "_taken", "_window_s")

    def __init__(
        self, now: float, taken: int, *, stall_s: float, window_s: float, octets_per_s: float
    ) -> None:
        """Start with the moment in which output began to wait.

        Args:
            now: seconds of a monotonic clock.
            taken: octets that the client's side has taken so far.
            stall_s: seconds without progress that are too long; 0 for never.
            window_s: seconds over which the rate is taken; 0 for no rate.
            octets_per_s: the rate that is too slow.
        """
        self._stall_s = stall_s
        self._window_s = window_s
        self._octets_per_s = octets_per_s
        self._taken = taken
        self._last_progress = now
        self._samples = deque([(now, taken)])

    def judge(self, now: float, taken: int) -> str | None:
        """Return why the connection must be closed, or None.

        Args:
            now: seconds of the same clock.
            taken: octets taken so far.
        """
        if taken > self._taken:
            self._taken, self._last_progress = taken, now
        elif self._stall_s and now - self._last_progress >= self._stall_s:
            return "the client stopped reading"
        return self._judge_rate(now, taken) if self._window_s else None

    def _judge_rate(self, now: float, taken: int) -> str | None:
        too_slow = None
        start, taken_at_start = self._samples[0]
        if now - start >= self._window_s:
            if taken - taken_at_start < self._octets_per_s * (now - start):
                too_slow = "the client reads too slowly"
            self._samples.popleft()
        if not self._samples or now - self._samples[-1][0] >= self._window_s / SAMPLES:
            self._samples.append((now, taken))
        return too_slow
