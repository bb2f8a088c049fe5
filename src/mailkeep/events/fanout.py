"""One sink of several: the log, the audit trail, metrics, failed logins.

A sink that fails never hurts the others or the server: it is told once on standard error, and is
given the next event all the same.
"""

import sys
from typing import TextIO

from mailkeep.events.types import Event, EventSink


class Sinks:
    """Gives every event to all of its sinks."""

    def __init__(self, *sinks: EventSink, stream: TextIO | None = None) -> None:
        """Put sinks together.

        Args:
            sinks: who is told, in this order.
            stream: where a sink's failure is told instead of standard error.
        """
        self._sinks = sinks
        self._emits = tuple(enumerate(sink.emit for sink in sinks))
        self._stream = stream or sys.stderr
        self._failed: set[int] = set()

    def emit(self, event: Event) -> None:
        """Tell all of them; see `EventSink`."""
        for place, emit in self._emits:
            try:
                emit(event)
            except Exception as failure:  # noqa: BLE001  # whatever it is, the others are told too
                self._tell(place, self._sinks[place], failure)

    def has_room(self) -> bool:
        """Tell whether all of them have room; see `EventSink`."""
        return all(sink.has_room() for sink in self._sinks)

    async def ready(self) -> None:
        """Return when all of them are ready; see `EventSink`."""
        for sink in self._sinks:
            await sink.ready()

    def _tell(self, place: int, sink: EventSink, failure: Exception) -> None:
        if place in self._failed:
            return
        self._failed.add(place)
        text = f"{type(sink).__name__} fails and is told once: {failure}"
        shown = text.encode("ascii", "backslashreplace").decode().replace("\n", "\\n")
        try:
            print(shown, file=self._stream, flush=True)
        except (OSError, ValueError):
            return
