"""The clocks on a connection: a deadline for the client's next word, and a watch over its reading.

What a connection does otherwise, it must not know; what ends one is the connection's own.

Known limit: octets count as taken by the client when the kernel took them, so the last few hundred
KiB of a stalled download are seen as progress.
"""

import asyncio

from mailkeep.server.small_reads import SmallReads
from mailkeep.server.stall import OutputWatch
from mailkeep.site import Limits

WATCH_EVERY_S = 5.0
"""How often output that waits is looked at; small beside the shortest limit, 60 s."""

_NEVER = float("inf")


class Clocked(SmallReads):
    """What of a connection is about time; a part of it, and not to be used by itself."""

    __slots__ = (
        "_deadline",
        "_deadline_at",
        "_expected",
        "_limits",
        "_loop",
        "_sent",
        "_timer_at",
        "_transport",
        "_watch",
        "_watch_timer",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        """Begin without a deadline.

        Args:
            loop: whose clock it is.
            limits: how long output may take; see `expect_within` for the rest.
        """
        self._loop = loop
        self._limits = limits
        self._transport: asyncio.Transport
        self._sent = 0
        """Octets that were given to the transport."""
        self._deadline: asyncio.TimerHandle | None = None
        self._timer_at = _NEVER
        self._deadline_at = _NEVER
        self._expected = ""
        self._watch: OutputWatch | None = None
        self._watch_timer: asyncio.TimerHandle | None = None

    def expect_within(self, seconds: float, what: str) -> None:
        """See `Wire.expect_within`."""
        self._expected = what
        if not seconds:
            self.lift_deadline()
            return
        self._deadline_at = self._loop.time() + seconds
        if self._timer_at > self._deadline_at:
            self._set_timer(self._deadline_at)

    def lift_deadline(self) -> None:
        """See `Wire.lift_deadline`."""
        self._deadline_at = _NEVER

    def abort(self, reason: str) -> None:
        """End at once, because the client does not read."""
        raise NotImplementedError

    def _expire(self, reason: str) -> None:
        """End, because the client has not said what was expected."""
        raise NotImplementedError

    def _watch_output(self) -> None:
        """Keep an eye on what waits for the client."""
        self._watch_timer = self._loop.call_later(WATCH_EVERY_S, self._look_at_output)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _stop_watch(self) -> None:
        if self._watch_timer is not None:
            self._watch_timer.cancel()

    def _set_timer(self, when: float) -> None:
        self._stop_deadline()
        self._timer_at = when
        self._deadline = self._loop.call_at(when, self._deadline_came)

    def _deadline_came(self) -> None:
        self._deadline = None
        self._timer_at = _NEVER
        if self._loop.time() < self._deadline_at:
            if self._deadline_at != _NEVER:
                self._set_timer(self._deadline_at)
            return
        self._expire(f"{self._expected} took too long")

    def _look_at_output(self) -> None:
        self._watch_timer = None
        waiting = self._transport.get_write_buffer_size()
        if not waiting:
            self._watch = None
            return
        now, taken = self._loop.time(), self._sent - waiting
        if self._watch is None:
            self._watch = OutputWatch(
                now,
                taken,
                stall_s=self._limits.output_stall_s,
                window_s=self._limits.output_rate_window_s,
                octets_per_s=self._limits.output_rate_octets_per_s,
            )
        reason = self._watch.judge(now, taken)
        if reason is None:
            self._watch_output()
        else:
            self.abort(reason)
