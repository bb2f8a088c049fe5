"""Events as lines on standard error: one line an event, in `key=value` form or as JSON.

What happens to each message and each connection is in the audit trail only: the log has a line at
a session's end with the sums. Whatever a client sends, an event is one line, of bounded length,
without control characters.

Known limit: writing is synchronous, so a terminal or a journal that does not read stops the
program; under systemd the journal reads.
"""

import contextlib
import enum
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from structlog.processors import JSONRenderer, LogfmtRenderer

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


_LOGFMT = LogfmtRenderer()
_JSON = JSONRenderer(sort_keys=False)

_ODD = re.compile(r'[ ="\\\n]')
"""What a value in logfmt is quoted or escaped for."""


class LogSink:
    """Writes the events that an operator reads to standard error. Any thread may call it."""

    def __init__(self, style: Style = Style.HUMAN, stream: TextIO | None = None) -> None:
        """Begin.

        Args:
            style: of the lines.
            stream: where they go instead.
        """
        self._shown = _shown_in_json if style is Style.JSON else _shown_to_humans
        self._rendered = _json if style is Style.JSON else _logfmt
        self._stream = stream or sys.stderr
        self._writing = threading.Lock()

    def emit(self, event: Event) -> None:
        """Write one line; see `EventSink`."""
        if event.type in TRAIL_ONLY:
            return
        line: dict[str, FieldValue] = {
            "timestamp": _now_text(),
            "level": level_of(event),
            "event": event.type.value,
        }
        for name, value in event.known():  # last, because a stranger wrote some of it
            line[name] = self._shown(name, value) if isinstance(value, str) else value
        text = self._rendered(line) + "\n"
        # OSError, or ValueError for a closed file: whoever read it has gone, nobody to tell
        with contextlib.suppress(OSError, ValueError), self._writing:
            self._stream.write(text)
            self._stream.flush()

    async def ready(self) -> None:
        """Return at once: a line is written when it is emitted."""


def level_of(event: Event) -> str:
    """Return how bad an event is: `info`, `warning` or `error`."""
    if isinstance(event, LoginFromNewPlace):
        return "warning" if event.is_alert or event.refused else "info"
    return _BAD_NEWS.get(event.type, "info")


def cut(text: str, limit_octets: int) -> str:
    """Return the beginning of a text that fits; what UTF-8 has no form for is written `\\udcff`."""
    if len(text) <= limit_octets and text.isascii():
        return text
    octets = text[:limit_octets].encode("utf-8", "backslashreplace")
    return octets[:limit_octets].decode("utf-8", "ignore")


def _now_text() -> str:
    """Return the time in RFC 3339's form, always with microseconds: lines then sort as texts."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _json(line: dict[str, FieldValue]) -> str:
    return str(_JSON(None, "", line))


def _logfmt(line: Mapping[str, FieldValue]) -> str:
    return " ".join([_logfmt_word(name, value) for name, value in line.items()])


def _logfmt_word(name: str, value: FieldValue) -> str:
    """Return a field as structlog writes it, which asks of every letter what one search tells."""
    if isinstance(value, bool) or (isinstance(value, str) and _ODD.search(value)):
        return _LOGFMT(None, "", {name: value})
    return f"{name}={value}"


def _shown_in_json(name: str, text: str) -> str:
    return cut(text, TEXT_LIMIT_OCTETS if name in _LONG_TEXTS else NAME_LIMIT_OCTETS)


def _shown_to_humans(name: str, text: str) -> str:
    return _printable(_shown_in_json(name, text))


def _printable(text: str) -> str:
    """Keep a name from outside from forging a second line or moving a terminal's cursor.

    A backslash is escaped too: at the end of a value without quotes it would join the next field.
    """
    if "\\" in text or not text.isprintable():
        return text.encode("unicode_escape").decode()
    return text
