"""The mailbox of the odd server: any octets as unique-ids, announced sizes and bodies.

It must not know sessions or answers. All sessions share one; every method may be called from any
thread, so a test can deliver and remove behind the server's back.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

CRLF = b"\r\n"
TERMINATOR = b".\r\n"


@dataclass(frozen=True, slots=True, eq=False)
class OddMessage:
    """One message; two are the same only if they are the same object.

    Attributes:
        uidl: as UIDL shows it; any octets.
        wire: the body before dots are doubled. A line starts behind CRLF and nowhere else, so a dot
            behind a bare LF goes out as it is. Where the last CRLF is missing, the answer adds it.
        octets: what LIST and RETR announce, any text; None for the length of `wire`.
        raw: sent behind RETR's status line instead of the stuffed `wire`, its terminator included.
    """

    uidl: bytes
    wire: bytes
    octets: bytes | None = None
    raw: bytes | None = None

    @property
    def announced(self) -> bytes:
        """What LIST says."""
        return b"%d" % len(self.wire) if self.octets is None else self.octets

    def sent(self) -> bytes:
        """Return what follows RETR's status line."""
        return stuff(self.wire) if self.raw is None else self.raw


class OddMailbox:
    """Messages in order, oldest first."""

    def __init__(self, *messages: OddMessage) -> None:
        self._lock = threading.Lock()
        self._messages = list(messages)

    @classmethod
    def of(cls, *bodies: bytes) -> "OddMailbox":
        """Return a mailbox of these bodies, with unique-ids `uidl-1`, `uidl-2`, and so on."""
        return cls(*(OddMessage(b"uidl-%d" % n, body) for n, body in enumerate(bodies, 1)))

    @property
    def messages(self) -> tuple[OddMessage, ...]:
        """What is there now."""
        with self._lock:
            return tuple(self._messages)

    @property
    def uidls(self) -> list[bytes]:
        """The unique-ids of what is there now."""
        return [message.uidl for message in self.messages]

    def add(self, *messages: OddMessage) -> None:
        """Deliver."""
        with self._lock:
            self._messages += messages

    def remove(self, *messages: OddMessage) -> None:
        """Remove; what is not there is no error."""
        with self._lock:
            self._messages = [kept for kept in self._messages if kept not in messages]

    def change(self, change: Callable[[OddMessage], OddMessage]) -> None:
        """Put another message in the place of each: other unique-ids, another body."""
        with self._lock:
            self._messages = [change(message) for message in self._messages]


def stuff(wire: bytes) -> bytes:
    """Return a body as it is sent, with its terminator (RFC 1939 section 3)."""
    first = b"." if wire.startswith(b".") else b""
    return first + wire.replace(b"\r\n.", b"\r\n..") + end_of(wire)


def end_of(wire: bytes) -> bytes:
    """Return the terminator, and before it the CRLF that the last line lacks."""
    return TERMINATOR if not wire or wire.endswith(CRLF) else CRLF + TERMINATOR


def top(wire: bytes, body_lines: int) -> bytes:
    """Return the header, the empty line and so many lines of the body (RFC 1939 section 7)."""
    header, empty, body = wire.partition(b"\r\n\r\n")
    if not empty:
        return wire
    lines = body.split(CRLF, body_lines)[:body_lines]
    wanted = header + empty + b"".join(line + CRLF for line in lines)
    return wire if len(wanted) >= len(wire) else wanted
