"""One sink of several: the log, the audit trail, metrics, failed logins.

A sink that fails never hurts the others or the server: it is told once on standard error, and is
given the next event all the same. A sink is not bothered with what it says it does not want, nor
asked for room where it always has some.
"""

import sys
from collections.abc import Callable
from typing import Protocol, TextIO, runtime_checkable

from mailkeep.events.types import Event, EventSink


@runtime_checkable
class Choosing(Protocol):
    """A sink that wants to be told some events only; any other is told all."""

    def wants(self, kind: type[Event]) -> bool:
        """Tell whether events of a class are for it; asked once, the answer holds for good."""


class NeverFull:
    """What every sink is that has room for each event: nobody need ask it, or wait for it."""

    def has_room(self) -> bool:
        """Always; see `EventSink`."""
        return True

    async def ready(self) -> None:
        """Return at once; see `EventSink`."""


class Sinks:
    """Gives every event to all of its sinks that want it."""

    def __init__(self, *sinks: EventSink, stream: TextIO | None = None) -> None:
        """Put sinks together.

        Args:
            sinks: who is told, in this order.
            stream: where a sink's failure is told instead of standard error.
        """
        self._sinks = sinks
        self._routes = _Routes(sinks)
        self._can_be_full = [sink for sink in sinks if not isinstance(sink, NeverFull)]
        self._stream = stream or sys.stderr
        self._failed: set[int] = set()

    def emit(self, event: Event) -> None:
        """Tell all of them; see `EventSink`."""
        for place, emit in self._routes[type(event)]:
            try:
                emit(event)
            except Exception as failure:  # noqa: BLE001  # whatever it is, the others are told too
                self._tell(place, failure)

    def has_room(self) -> bool:
        """Tell whether all of them have room; see `EventSink`."""
        for sink in self._can_be_full:  # noqa: SIM110  # a generator costs more than the answers
            if not sink.has_room():
                return False
        return True

    async def ready(self) -> None:
        """Return when all of them are ready; see `EventSink`."""
        for sink in self._can_be_full:
            await sink.ready()

    def _tell(self, place: int, failure: Exception) -> None:
        if place in self._failed:
            return
        self._failed.add(place)
        text = f"{type(self._sinks[place]).__name__} fails and is told once: {failure}"
        shown = text.encode("ascii", "backslashreplace").decode().replace("\n", "\\n")
        try:
            print(shown, file=self._stream, flush=True)
        except (OSError, ValueError):
            return


_Route = tuple[tuple[int, Callable[[Event], None]], ...]
"""Places of sinks, and their `emit`."""


class _Routes(dict[type[Event], _Route]):
    """Who is told events of a class; found out at the first of them."""

    def __init__(self, sinks: tuple[EventSink, ...]) -> None:
        super().__init__()
        self._sinks = sinks

    def __missing__(self, kind: type[Event]) -> _Route:
        self[kind] = route = tuple(
            (place, sink.emit)
            for place, sink in enumerate(self._sinks)
            if not isinstance(sink, Choosing) or sink.wants(kind)
        )
        return route
