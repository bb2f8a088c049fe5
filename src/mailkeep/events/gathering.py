"""A sink in front of all others that gathers what a session does in a row, and tells it once.

A run is told when another event of its session is, when it is full, and after `GATHERED_S` in any
case; all other events are told at once. So events of a session are told in the order in which they
happened, but for those of different runs that are open at a time: these are told in the order in
which they began.

Belongs to one event loop, whose sessions share one timer. Known limit: what is gathered and not
told yet is lost with a process that is killed.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from mailkeep.events.records import RUN_EVENTS
from mailkeep.events.run_types import RUN_US, TEXT_LIMIT, Part, Run, Who
from mailkeep.events.types import Event, EventSink

GATHERED_S = 0.05
"""How long the first event of a run waits for others: a client on a near network asks for dozens of
messages in it, and it is little beside what the record gathers anyway (`trail.GROUP_S`)."""

_P = TypeVar("_P", bound=Part)

_Open = dict[type[Run[Any]], Run[Any]]
"""A session's runs, in the order in which they began."""


def no_time() -> int:
    """Say nothing of when: what a worker tells has the time at which the record hears of it."""
    return 0


class GatheringSink:
    """Gathers runs; see `RunSink`."""

    def __init__(self, sink: EventSink, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Begin with nothing gathered.

        Args:
            sink: who is told.
            now_ns: the time, in nanoseconds since 1970.
        """
        self._emit = sink.emit
        self._now_ns = now_ns
        self._open: dict[str | None, _Open] = {}
        """By session."""
        self._timer: asyncio.TimerHandle | None = None
        self.has_room = sink.has_room
        self.ready = sink.ready

    def emit(self, event: Event) -> None:
        """Tell an event behind what its session did before; see `EventSink`."""
        if self._open:
            self.end_runs(getattr(event, "session", None))
        self._emit(event)

    def emit_in_run(self, kind: type[Run[_P]], who: Who, part: _P) -> None:
        """Take note of an event that often comes in a row; see `RunSink`."""
        at_us = self._now_ns() // 1000
        runs = self._open.get(who.session)
        run = None if runs is None else runs.get(kind)
        later_us = 0 if run is None else at_us - run.at_us
        if run is None or not 0 <= later_us < RUN_US or len(part.uidl) > TEXT_LIMIT:
            self._begin(kind, who, at_us, part)
            return
        part.later_us = later_us
        run.each.append(part)
        if len(run.each) >= RUN_EVENTS:
            self.end_runs(who.session)

    def end_runs(self, session: str | None) -> None:
        """Tell what has been gathered of a session; see `RunSink`."""
        for run in self._open.pop(session, {}).values():
            self._emit(run)

    def flush(self) -> None:
        """Tell all that has been gathered."""
        for session in [*self._open]:
            self.end_runs(session)

    def _begin(self, kind: type[Run[_P]], who: Who, at_us: int, part: _P) -> None:
        run = kind(
            session=who.session,
            account=who.account,
            peer=who.peer,
            device=who.device,
            at_us=at_us,
            each=[part],
        )
        if len(part.uidl) > TEXT_LIMIT:
            self.emit(next(run.events()))
            return
        if kind in self._open.get(who.session, {}):  # the clock was set, or the loop held up
            self.end_runs(who.session)
        self._open.setdefault(who.session, {})[kind] = run
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHERED_S, self._flush_late)

    def _flush_late(self) -> None:
        self._timer = None
        self.flush()
