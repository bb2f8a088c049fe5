"""Events as lines on standard error: one line an event, in `key=value` form or as JSON.

What happens to each message and each connection is in the audit trail only: the log has a line at
a session's end with the sums. Whatever a client sends, an event is one line, of bounded length,
without control characters.

A server gathers the events of a moment and makes and writes their lines together, in a thread; what
is worse than information is written at once, with all that came before it.

Known limits: a server that is killed takes the last moment's lines with it (its trail is the
record). Writing is synchronous, so a terminal or a journal that does not read stops the program in
the end; under systemd the journal reads.
"""

import contextlib
import enum
import json
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from structlog.processors import LogfmtRenderer

from mailkeep.events.fanout import NeverFull
from mailkeep.events.run_types import RUNS
from mailkeep.events.times import text_of
from mailkeep.events.types import (
    EVENT_CLASSES,
    Event,
    EventType,
    FieldValue,
    InternalError,
    LoginFromNewPlace,
)


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
    EventType.WORKER_ENDED: "warning",
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


GATHERED_S = 0.02
"""How long the first line of a moment waits for others: a person sees no difference, and a write
and a flush for each line cost more than the line."""

GATHERED_EVENTS = 256
"""With so many the lines are written at once: about as much as a pipe takes, 64 KiB (pipe(7))."""

_LOGFMT = LogfmtRenderer()
_JSON = json.JSONEncoder().encode

_PLAIN = re.compile(r"[!#-<>-\[\]-~]*").fullmatch
"""What stands in logfmt as it is: printable ASCII without quotes, `=`, backslashes and spaces."""

_ODD = re.compile(r'[ ="\\\n]')
"""What a value in logfmt is quoted or escaped for."""


_INFO = "info"

_SILENT = frozenset(of for of in (*EVENT_CLASSES, *RUNS) if of.type in TRAIL_ONLY)
_LEVELS = {of: _BAD_NEWS[of.type] for of in EVENT_CLASSES if of.type in _BAD_NEWS}
"""By class: an enum's member is found at four times the cost."""

_MAY_WAIT = frozenset(EVENT_CLASSES) - _LEVELS.keys() - {LoginFromNewPlace}
"""What is information whatever its fields say."""


class LogSink(NeverFull):
    """Writes the events that an operator reads to standard error. Any thread may call it."""

    def __init__(
        self,
        style: Style = Style.HUMAN,
        stream: TextIO | None = None,
        *,
        gathered_s: float = 0.0,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Begin.

        Args:
            style: of the lines.
            stream: where they go instead.
            gathered_s: how long a line may wait for others; then `close` has to be called. With 0
                each is written when it is emitted.
            now_ns: the time, in nanoseconds since 1970.
        """
        self._line = _json_line if style is Style.JSON else _human_line
        self._stream = stream or sys.stderr
        self._now_ns = now_ns
        self._writing = threading.Lock()
        self._waiting: deque[tuple[int, Event]] = deque()
        self._gathering = _Gathering(gathered_s, self.flush) if gathered_s > 0 else None

    def wants(self, kind: type[Event]) -> bool:
        """Tell whether it becomes a line; see `Choosing`."""
        return kind not in _SILENT

    def emit(self, event: Event) -> None:
        """Write one line, or have it written soon; see `EventSink`."""
        kind = type(event)
        if kind in _SILENT:
            return
        waiting = self._waiting
        waiting.append((self._now_ns(), event))
        gathering = self._gathering  # looked at after the append: what `close` writes is all
        if gathering is None or kind not in _MAY_WAIT or len(waiting) >= GATHERED_EVENTS:
            self.flush()
        elif not gathering.is_awake:
            gathering.wake()

    def flush(self) -> None:
        """Write what waits."""
        waiting = self._waiting
        with self._writing:
            text = "".join([self._line_of(*waiting.popleft()) for _ in range(len(waiting))])
            # OSError, or ValueError for a closed file: whoever read it has gone, nobody to tell
            with contextlib.suppress(OSError, ValueError):
                if text:
                    self._stream.write(text)
                    self._stream.flush()

    def close(self) -> None:
        """Write what waits, and from now on each line at once. Safe to call twice."""
        gathering, self._gathering = self._gathering, None
        if gathering is not None:
            gathering.close()
        self.flush()

    def _line_of(self, at_ns: int, event: Event) -> str:
        """Return an event's line; what cannot be made one costs no other event its line."""
        stamp = text_of(at_ns // 1000)
        try:
            return self._line(stamp, level_of(event), event)
        except Exception as bug:  # noqa: BLE001  # it must not end the thread that writes
            reason = f"the line of {type(event).__name__} cannot be made: {bug!r}"
            return self._line(stamp, "error", InternalError(reason=reason, trace=""))


class _Gathering:
    """Has lines written some time after the first of their events came."""

    def __init__(self, pause_s: float, flush: Callable[[], None]) -> None:
        self.is_awake = False
        """Whether what is told now will be written soon; if not, `wake` has to be called."""
        self._pause_s = pause_s
        self._flush = flush
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have what waits written soon."""
        self.is_awake = True
        self._wanted.set()

    def close(self) -> None:
        """End; the caller writes what still waits."""
        self._closing.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            self._closing.wait(self._pause_s)
            self._wanted.clear()
            self.is_awake = False  # before the look, behind `clear`: what comes now wakes again
            self._flush()


def level_of(event: Event) -> str:
    """Return how bad an event is: `info`, `warning` or `error`."""
    if isinstance(event, LoginFromNewPlace):
        return "warning" if event.is_alert or event.refused else "info"
    return _LEVELS.get(type(event), _INFO)


def cut(text: str, limit_octets: int) -> str:
    """Return the beginning of a text that fits; what UTF-8 has no form for is written `\\udcff`."""
    if len(text) <= limit_octets and text.isascii():
        return text
    octets = text[:limit_octets].encode("utf-8", "backslashreplace")
    return octets[:limit_octets].decode("utf-8", "ignore")


def _json_line(stamp: str, level: str, event: Event) -> str:
    line: dict[str, FieldValue] = {"timestamp": stamp, "level": level, "event": event.type.value}
    for name, value in event.known():  # last, because a stranger wrote some of it
        line[name] = _shown_in_json(name, value) if isinstance(value, str) else value
    return _JSON(line) + "\n"


def _human_line(stamp: str, level: str, event: Event) -> str:
    words = [f"timestamp={stamp} level={level} event={_EVENT_WORDS[type(event)]}"]
    for name in event.__struct_fields__:  # last, because a stranger wrote some of it
        value = getattr(event, name)
        if value.__class__ is str:
            if len(value) <= NAME_LIMIT_OCTETS and _PLAIN(value):
                words.append(f"{name}={value}")
            else:
                words.append(_logfmt_word(name, _shown_to_humans(name, value)))
        elif value is not None:
            words.append(_logfmt_word(name, value))
    return " ".join(words) + "\n"


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


_EVENT_WORDS = {of: _logfmt_word("event", of.type.value).partition("=")[2] for of in EVENT_CLASSES}
