"""Bodies that end too soon, never, or are not what they are said to be (S-42 to S-48, S-53).

What is odd in the message itself goes into the mailbox: `HOSTILE_BODIES`, and `OddMessage.raw`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from mailkeep.testing.odd_server.answers import Answer, Step
from mailkeep.testing.odd_server.mailbox import OddMessage, end_of
from mailkeep.testing.odd_server.oddity import Changed, Oddity, Where
from mailkeep.testing.odd_server.session import OddSession

_HEADER = b"From: a@example.test\r\nSubject: hostile\r\n\r\n"
_PIECE = b"x" * (1 << 16)
_LINES = (b"x" * 76 + b"\r\n") * (1 << 10)

HOSTILE_BODIES: Mapping[str, bytes] = MappingProxyType(
    {
        "empty": b"",
        "a dot behind a bare LF": _HEADER + b"before\n.\nafter\r\n",
        "a dot between bare LF and CRLF": _HEADER + b"before\n.\r\nafter\r\n",
        "a dot between CRLF and bare LF": _HEADER + b"before\r\n..\nafter\r\n",
        "a dot behind a bare CR": _HEADER + b"before\r.\rafter\r\n",
        "a dot between bare CR and CRLF": _HEADER + b"before\r.\r\nafter\r\n",
        "a false end and a false reply": _HEADER + b"before\n.\n+OK 1 octets\nmore\r\n",
        "only bare LF": b"Subject: x\n\nbody\n\r\n",
        "only bare CR": b"Subject: x\r\rbody\r\r\n",
        "NUL": _HEADER + b"\0a\0\r\n\0\r\n",
        "a dot and NUL": _HEADER + b"before\r\n.\0\r\nafter\r\n",
        "lone dots": _HEADER + b".\r\n..\r\n...\r\n. \r\n",
        "8-bit": _HEADER + b"\xff\xfe\xe4\r\n",
        "a header without an end": b"Subject: no empty line\r\n",
        "no header": b"\r\nbody\r\n",
        "a long line": _HEADER + b"y" * 300_000 + b"\r\n",
        "a lone dot at the end": _HEADER + b"before\r\n.\r\n",
    }
)
"""Bodies before dots are doubled that have misled clients; each ends with CRLF, so each must be
stored octet for octet as it stands here."""


def lone_dot(uidl: bytes, before: bytes, behind: bytes) -> OddMessage:
    """Return a message whose lone dot is not doubled, so that it ends in its middle (S-46)."""
    wire = before + b".\r\n" + behind
    return OddMessage(uidl, wire, raw=wire + end_of(wire))


def unstuffed() -> Oddity:
    """Double no dot (S-45)."""
    return _Bodies(lambda wire: wire)


def over_stuffed() -> Oddity:
    """Put two dots before every line that starts with one (S-45)."""

    def stuff(wire: bytes) -> bytes:
        first = b".." if wire.startswith(b".") else b""
        return first + wire.replace(b"\r\n.", b"\r\n...")

    return _Bodies(stuff)


def endless_body(number: int, *, times: int | None = None) -> Oddity:
    """Send a body of lines without end (S-42, S-53)."""
    return _endless(number, _LINES, times)


def endless_body_line(number: int, *, times: int | None = None) -> Oddity:
    """Send a body of one line without end (S-53)."""
    return _endless(number, _PIECE, times)


def body_of(number: int, pieces: int) -> Oddity:
    """Send a body of so many times 79,872 octets, and its end (S-42)."""

    def change(answer: Answer) -> Answer:
        def body() -> Iterator[Step]:
            for _ in range(pieces):
                yield _LINES
            yield b".\r\n"

        return replace(answer, body=body())

    return Changed(Where(b"RETR", number), change)


def _endless(number: int, piece: bytes, times: int | None) -> Oddity:
    def body() -> Iterator[Step]:
        yield _HEADER
        while True:
            yield piece

    where = Where(b"RETR", number, times=times)
    return Changed(where, lambda answer: replace(answer, body=body()))


class _Bodies(Oddity):
    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self._change = change

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """Send another form of RETR's message."""
        if session.command.word != b"RETR" or not answer.is_ok:
            return answer
        wire = session.entries[session.command.number - 1].message.wire
        return replace(answer, body=(self._change(wire) + end_of(wire),))
