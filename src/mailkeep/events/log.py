"""Events as lines on standard error: one line an event, in `key=value` form or as JSON.

What happens to each message and each connection is in the audit trail only: the log has a line at
a session's end with the sums. Whatever a client sends, an event is one line, of bounded length,
without control characters.

Known limit: writing is synchronous, so a terminal or a journal that does not read stops the
program; under systemd the journal reads.
"""

import contextlib
import enum
import sys
from typing import TextIO

import structlog

from mailkeep.events.types import Event, EventType, FieldValue, LoginFromNewPlace


class Style(enum.Enum):
    """How a line looks."""

    HUMAN = "human"
    """`key=value`, in quotes where needed (logfmt)."""
    JSON = "json"
    """One JSON object, ASCII."""


TRAIL_ONLY = frozenset(
    {
        EventType.CONNECTION_OPENED,
        EventType.TLS_AGREED,
        EventType.MESSAGE_READ,
        EventType.DELETION_ASKED,
        EventType.DELETIONS_WITHDRAWN,
        EventType.DELETION_DONE,
    }
)
"""What would be a line a message or a connection; a session's end has the sums."""

_BAD_NEWS = {
    EventType.INTERNAL_ERROR: "error",
    EventType.CERTIFICATE_REJECTED: "error",
    EventType.SETTINGS_REJECTED: "error",
    EventType.MESSAGES_NOT_REMOVED: "error",
    EventType.HOT_PASSWORD_RIGHT: "error",
    EventType.TRAIL_FAILED: "error",
    EventType.EVENTS_DROPPED: "error",
    EventType.ACCEPTING_PAUSED: "warning",
    EventType.MAILDROP_UNAVAILABLE: "warning",
    EventType.MESSAGE_UNREADABLE: "warning",
    EventType.LOGIN_DEFERRED: "warning",
    EventType.LOGIN_REFUSED: "warning",
    EventType.MAIN_PASSWORD_GUESSED_AT: "warning",
    EventType.PREFIX_BANNED: "warning",
    EventType.TRAIL_MENDED: "warning",
    EventType.POLICY_SERVER_FAILED: "warning",
    EventType.DOOR_FAILED: "warning",
}
"""What is worse than information; fail2ban and people grep for it."""

NAME_LIMIT_OCTETS = 320
"""RFC 5321 section 4.5.3.1: 64 before the @, 255 behind it; longer is no name of anybody's."""

TEXT_LIMIT_OCTETS = 4096
"""Of a reason or a trace. Escaped it is at most four times as long, and the journal cuts lines at
48 KiB (LineMax of journald.conf(5))."""

_LONG_TEXTS = frozenset({"reason", "trace", "hint", "path"})


class LogSink:
    """Writes the events that an operator reads to standard error."""

    def __init__(self, style: Style = Style.HUMAN, stream: TextIO | None = None) -> None:
        """Begin.

        Args:
            style: of the lines.
            stream: where they go instead.
        """
        self._style = style
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(stream or sys.stderr),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _in_order,
                structlog.processors.JSONRenderer(sort_keys=False)
                if style is Style.JSON
                else structlog.processors.LogfmtRenderer(),
            ],
        )

    def emit(self, event: Event) -> None:
        """Write one line; see `EventSink`."""
        if event.type in TRAIL_ONLY:
            return
        known = {name: self._shown(name, value) for name, value in event.known()}
        # OSError, or ValueError for a closed file: whoever read it has gone, nobody to tell
        with contextlib.suppress(OSError, ValueError):
            self._logger.msg(event.type.value, level=level_of(event), **known)

    async def ready(self) -> None:
        """Return at once: a line is written when it is emitted."""

    def _shown(self, name: str, value: FieldValue) -> FieldValue:
        if not isinstance(value, str):
            return value
        text = cut(value, TEXT_LIMIT_OCTETS if name in _LONG_TEXTS else NAME_LIMIT_OCTETS)
        return text if self._style is Style.JSON else _printable(text)


def level_of(event: Event) -> str:
    """Return how bad an event is: `info`, `warning` or `error`."""
    if isinstance(event, LoginFromNewPlace):
        return "warning" if event.is_alert or event.refused else "info"
    return _BAD_NEWS.get(event.type, "info")


def cut(text: str, limit_octets: int) -> str:
    """Return the beginning of a text that fits; what UTF-8 has no form for is written `\\udcff`."""
    octets = text[:limit_octets].encode("utf-8", "backslashreplace")
    return octets[:limit_octets].decode("utf-8", "ignore")


def _in_order(_logger: object, _method: str, line: structlog.typing.EventDict) -> dict[str, object]:
    """Put first what every line has; what a stranger wrote stays last."""
    first = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    return first | dict(line)


def _printable(text: str) -> str:
    """Keep a name from outside from forging a second line or moving a terminal's cursor.

    A backslash is escaped too: at the end of a value without quotes it would join the next field.
    """
    if "\\" in text or not text.isprintable():
        return text.encode("unicode_escape").decode()
    return text
