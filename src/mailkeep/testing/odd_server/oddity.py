"""The seam: where the server can be made odd, and the general oddities.

An `Oddity` is honest until it overrides a hook. A server has any number of them; each takes what
the one before it left. Hooks run in the server's event loop and must not block; what they keep in
`self` lasts over all sessions.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mailkeep.testing.odd_server.answers import Answer, Heard, Step
from mailkeep.testing.odd_server.mailbox import OddMessage

if TYPE_CHECKING:
    from mailkeep.testing.odd_server.session import OddSession


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as a session shows it; its number is its place from 1."""

    message: OddMessage
    uidl: bytes
    octets: bytes


Outcome = bytes | bool
"""The next challenge, not yet base64; or whether the client is who it says."""


class Exchange(Protocol):
    """One SASL exchange from the server's side."""

    def step(self, response: bytes | None) -> Outcome:
        """Take a decoded response, None for no initial one."""


class Oddity:
    """Does nothing odd. Override what should be.

    Attributes:
        idle_s: hang up when so long no command came; None for never.
    """

    idle_s: float | None = None

    def heard(self, _session: "OddSession", _command: Heard, /) -> None:
        """Take note of a line at the moment it arrives, before it is its turn."""

    def instead(self, _session: "OddSession", /) -> Answer | None:
        """Return an answer to `session.command`, which then has no effect; None to let it be."""
        return None

    def answer(self, _session: "OddSession", answer: Answer, /) -> Answer:
        """Return what is sent for `session.command`, whose effect has happened."""
        return answer

    def lines(self, _session: "OddSession", lines: Iterable[bytes], /) -> Iterable[bytes]:
        """Return the lines of CAPA, LIST or UIDL, without their ends."""
        return lines

    def login(self, _session: "OddSession", /) -> bytes | None:
        """Return the line that refuses a login with the right password; None to let it in."""
        return None

    def listing(self, _session: "OddSession", entries: list[Entry], /) -> list[Entry]:
        """Return what a session that begins shows."""
        return entries

    def commit(self, _session: "OddSession", removed: list[OddMessage], /) -> list[OddMessage]:
        """Return what QUIT removes."""
        return removed

    def tls(self, _session: "OddSession", /) -> Answer | None:
        """Return what is sent in the clear instead of a handshake; None to shake hands."""
        return None

    def exchange(self, _session: "OddSession", _mechanism: str, exchange: Exchange, /) -> Exchange:
        """Return the exchange that AUTH begins."""
        return exchange


@dataclass(slots=True)
class Where:
    """Which commands an oddity is for; counts those that fit, over all sessions.

    Attributes:
        word: the command, or `GREETING`; None for every one and the greeting.
        number: of the message; None for any.
        first: the first of the fitting ones that is meant, from 1.
        times: how many of them; None for all that follow.
        early: only such as came before the answer to the one before them was whole.
        sessions: numbers of sessions, from 1; None for all.
    """

    word: bytes | None = None
    number: int | None = None
    first: int = 1
    times: int | None = None
    early: bool = False
    sessions: Container[int] | None = None
    seen: int = field(default=0, init=False)

    def hits(self, session: "OddSession") -> bool:
        """Return whether the session's command is meant; ask once a command."""
        command = session.command
        if command.is_response or not self._fits(command):
            return False
        if self.sessions is not None and session.number not in self.sessions:
            return False
        self.seen += 1
        last = None if self.times is None else self.first + self.times - 1
        return self.first <= self.seen and (last is None or self.seen <= last)

    def _fits(self, command: Heard) -> bool:
        return (
            self.word in {None, command.word}
            and self.number in {None, command.number}
            and (command.early or not self.early)
        )


class Instead(Oddity):
    """Do these steps and not what was asked."""

    def __init__(self, where: Where, *steps: Step) -> None:
        self._where = where
        self._steps = steps

    def instead(self, session: "OddSession", /) -> Answer | None:
        """See `Oddity`."""
        return Answer(b"", self._steps) if self._where.hits(session) else None


class Changed(Oddity):
    """Do what was asked, and answer something else."""

    def __init__(self, where: Where, change: Callable[[Answer], Answer]) -> None:
        self._where = where
        self._change = change

    def answer(self, session: "OddSession", answer: Answer, /) -> Answer:
        """See `Oddity`."""
        return self._change(answer) if self._where.hits(session) else answer
