"""Events as lines on standard error: one line an event, in `key=value` form.

Known limit: writing is synchronous, so a terminal or a journal that does not read stops the
program; under systemd the journal reads.
"""

import contextlib
import sys

import structlog

from mailkeep.events.types import EventType

_BAD_NEWS = {
    EventType.INTERNAL_ERROR: "error",
    EventType.CERTIFICATE_REJECTED: "error",
    EventType.SETTINGS_REJECTED: "error",
    EventType.MESSAGES_NOT_REMOVED: "error",
    EventType.ACCEPTING_PAUSED: "warning",
    EventType.MAILDROP_UNAVAILABLE: "warning",
    EventType.MESSAGE_UNREADABLE: "warning",
    EventType.LOGIN_DEFERRED: "warning",
    EventType.LOGIN_REFUSED: "warning",
}
"""What is worse than information; fail2ban and people grep for it."""


class LogSink:
    """Writes every event to standard error."""

    def __init__(self) -> None:
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
            ],
        )

    def emit(self, event: EventType, /, **fields: str | float | None) -> None:
        """Write one line; see `EventSink`."""
        known = {name: _printable(value) for name, value in fields.items() if value is not None}
        with contextlib.suppress(OSError):  # whoever read standard error has gone: nobody to tell
            self._logger.msg(event.value, level=_BAD_NEWS.get(event, "info"), **known)


def _printable(value: str | float) -> str | int | float:
    """Keep a name from outside from forging a second line or moving a terminal's cursor.

    A backslash is escaped too: at the end of a value without quotes it would join the next field.
    """
    if isinstance(value, str) and ("\\" in value or not value.isprintable()):
        return value.encode("unicode_escape").decode()
    return value
