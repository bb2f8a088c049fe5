"""What a script is told of a fetch: one JSON object a line, on standard output.

The names are those of the events' fields and stay; `docs/fetch-events.md` shows each. The lines are
pure ASCII, so nothing that a server says can do anything to a terminal that shows them.
"""

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from mailkeep.cli.fetch.lost_streams import drop
from mailkeep.cli.fetch.untrusted import LIMIT_CHARACTERS, cut, show_octets
from mailkeep.cli.talk import error, show
from mailkeep.fetch.events import (
    Connected,
    Deleted,
    Ended,
    Event,
    LoggedIn,
    MessageAdopted,
    MessageFailed,
    MessageStored,
    Planned,
    Progress,
    Warned,
)

EVENT_NAMES: dict[type[Event], str] = {
    Connected: "connected",
    LoggedIn: "logged_in",
    Planned: "planned",
    Progress: "progress",
    MessageStored: "message_stored",
    MessageAdopted: "message_adopted",
    MessageFailed: "message_failed",
    Deleted: "deleted",
    Warned: "warned",
    Ended: "ended",
}
"""What scripts match on: a name stays when its class is called otherwise."""


class JsonReporter:
    """Writes each event as soon as it happens."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begin.

        Args:
            clock: seconds since 1970.
        """
        self._clock = clock
        self._is_broken = False

    def __call__(self, account: str, event: Event, /) -> None:
        """Write an event of an account; a reader that is gone does not end the fetch."""
        if self._is_broken:
            return
        try:
            show(json.dumps(self._describe(account, event)))
            sys.stdout.flush()
        except OSError as cause:
            self._is_broken = True
            self._give_up(cause)

    def _describe(self, account: str, event: Event) -> dict[str, object]:
        found: dict[str, object] = {
            "event": EVENT_NAMES[type(event)],
            "account": account,
            "time": datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="microseconds"),
        }
        for field in dataclasses.fields(event):
            found[field.name] = _jsonable(field.name, getattr(event, field.name))
        return found

    @staticmethod
    def _give_up(cause: OSError) -> None:
        """Say so once, and let what is left in the buffer go nowhere instead of failing at exit."""
        with contextlib.suppress(OSError):  # both streams are gone: there is nobody to tell
            error(f"standard output cannot be written ({cause.strerror}); the fetch goes on")
        drop(sys.stdout)


def _jsonable(name: str, value: object) -> object:
    match value:
        case bytes():
            return show_octets(value)
        case float():
            return round(value, 3)
        case str() if name.endswith("_untrusted"):
            return cut(value, LIMIT_CHARACTERS)
        case _:
            return value
