"""What is about to be sent, and what was heard, as values that an oddity can look at and change.

An answer is a status line and steps: octets, each piece of them sent by itself, and actions. Steps
may be endless; they are made as fast as the client reads.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain

from mailkeep.testing.odd_server.mailbox import CRLF, TERMINATOR

PIECE_OCTETS = 1 << 16
"""A body goes out in pieces of this size, so that no answer is copied whole into TLS."""

GREETING = b"(GREETING)"
"""The word of what comes before any command, for oddities that change the greeting."""


class Action(Enum):
    """What a step can do beside sending. All but the last end the connection."""

    CLOSE = "close"
    """In order: close_notify where there is TLS, then FIN."""
    CUT = "cut"
    """FIN and no close_notify (RFC 8446 section 6.1: a truncation)."""
    RESET = "reset"
    """RST."""
    HUSH = "hush"
    """Not a word any more, until the client hangs up."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long before the next step."""

    seconds: float


Step = bytes | Action | Pause


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent for a command.

    Attributes:
        status: the first line with its CRLF; empty for none.
        body: what follows, the terminator included.
    """

    status: bytes
    body: Iterable[Step] = ()

    @property
    def is_ok(self) -> bool:
        """Whether it is a success."""
        return self.status.startswith(b"+OK")

    def steps(self) -> Iterator[Step]:
        """Yield all of it."""
        if self.status:
            yield self.status
        yield from self.body

    def then(self, *steps: Step) -> "Answer":
        """Return this answer with steps behind it."""
        return replace(self, body=chain(self.body, steps))


@dataclass(slots=True, eq=False)
class Heard:
    """A line from the client. It may hold a password: one of a test.

    Attributes:
        line: without its end.
        tls: whether TLS was on.
        early: whether a command before it was not yet answered to the last octet.
        is_response: whether it was a response of a SASL exchange and no command.
    """

    line: bytes
    tls: bool
    early: bool
    is_response: bool = False

    @property
    def word(self) -> bytes:
        """The command in upper case."""
        return self.line.partition(b" ")[0].upper()

    @property
    def argument(self) -> bytes:
        """What follows the command, empty for nothing."""
        return self.line.partition(b" ")[2]

    @property
    def number(self) -> int:
        """The message-number, 0 for none."""
        first = self.argument.partition(b" ")[0]
        return int(first) if first.isdigit() and len(first) <= len("4294967295") else 0


def ok(text: bytes = b"") -> Answer:
    """Return a success."""
    return Answer(b"+OK %b\r\n" % text if text else b"+OK\r\n")


def err(text: bytes) -> Answer:
    """Return a refusal."""
    return Answer(b"-ERR %b\r\n" % text)


def ok_lines(text: bytes, lines: Iterable[bytes]) -> Answer:
    """Return a success with lines behind it, as they are."""
    return Answer(b"+OK %b\r\n" % text, chain(_joined(lines), (TERMINATOR,)))


def ok_body(text: bytes, octets: bytes) -> Answer:
    """Return a success with a body behind it, as it is."""
    starts = range(0, len(octets), PIECE_OCTETS)
    return Answer(b"+OK %b\r\n" % text, [octets[at : at + PIECE_OCTETS] for at in starts])


def take(steps: Iterable[Step], octets: int) -> Iterator[Step]:
    """Yield steps up to so many octets; a negative number leaves off so many at the end."""
    if octets < 0:
        steps = list(steps)
        octets += sum(len(step) for step in steps if isinstance(step, bytes))
    for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        if piece := step[: max(octets, 0)]:
            yield piece
        octets -= len(step)
        if octets <= 0:
            return


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends, many at a time."""
    piece = bytearray()
    for line in lines:
        piece += line + CRLF
        if len(piece) >= PIECE_OCTETS:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
