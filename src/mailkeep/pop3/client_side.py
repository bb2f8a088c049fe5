"""The client's side of a session, without I/O: commands to octets, octets in, event out.

Who drives it: `send` (as many commands as may be pipelined), put the octets on the wire, give it
what arrived (`receive`), ask what it means (`next_event`), and again. It matches answers to
commands in their order and by their kind, keeps the states of the same table as the server's side
(so that no login can be said before STLS where STLS is wanted), and believes no octet that nothing
asked for: what has been received when a command is sent is no answer to it.

After STLS was answered with +OK it is spent: a new object starts from nothing (RFC 2595 section 4).
So it is after an error.

Known limit: of octets that wait in the driver's or the system's buffers it cannot tell whether they
came before the command that they seem to answer.
"""

import binascii
import re
from collections import deque
from dataclasses import dataclass
from enum import Enum

from mailkeep.pop3 import commands
from mailkeep.pop3.answers import STATUS_LIMIT_OCTETS, RemoteProtocolError, Status, parse_status
from mailkeep.pop3.command_lines import CANCEL_LINE, command_line, response_line
from mailkeep.pop3.commands import Command
from mailkeep.pop3.server_side import LocalProtocolError, NeedData
from mailkeep.pop3.states import LEGAL, Phase, Security, phase_after
from mailkeep.pop3.undots import DotUnstuffer
from mailkeep.values import Secret

NEED_DATA = NeedData()

_CHALLENGE = re.compile(rb"\+(?: |\Z)")
"""RFC 5034 section 4 wants the space; some servers leave it out before nothing."""

_ALONE = (commands.User, commands.Pass, commands.Auth, commands.Stls)
"""What changes the state: nothing is sent behind it before its answer (RFC 2449 section 6.6)."""


class _Turn(Enum):
    """Who speaks next in an AUTH exchange, and what he may say."""

    SERVER = "a challenge or the answer"
    CLIENT = "a response"
    REFUSAL = "the server, who can say nothing but -ERR: we cancelled"


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server's first line."""

    status: Status


@dataclass(frozen=True, slots=True)
class Answer:
    """The status line that answers a command.

    Attributes:
        command: the oldest that had no answer.
        status: what the server says.
        has_body: whether `Body` events follow.
    """

    command: Command
    status: Status
    has_body: bool


@dataclass(frozen=True, slots=True)
class Body:
    """Octets of a body, unstuffed; `is_last` when it has ended."""

    octets: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class ServerChallenge:
    """The server's next words in an AUTH exchange, decoded; answer with `respond` or `cancel`."""

    data_untrusted: bytes


ClientEvent = Greeting | Answer | Body | ServerChallenge | NeedData


class ClientSide:
    """One session, from the greeting or from the end of a TLS handshake after STLS."""

    __slots__ = ("_at", "_body", "_broken", "_greeted", "_octets", "_phase", "_sent", "_turn",
                 "security")  # fmt: skip

    def __init__(self, security: Security, *, greeted: bool = False) -> None:
        """Start in AUTHORIZATION.

        Args:
            security: what protects the connection; with STLS_FIRST no login can be said.
            greeted: whether the greeting came before STLS.
        """
        self.security = security
        self._greeted = greeted
        self._octets = b""
        self._at = 0
        self._body: DotUnstuffer | None = None
        self._sent: deque[Command] = deque()
        self._phase = Phase.AUTHORIZATION
        self._turn = _Turn.SERVER
        self._broken: RemoteProtocolError | None = None

    @property
    def phase(self) -> Phase:
        """Where the session stands, as far as it was answered; CLOSED after an error."""
        return self._phase

    @property
    def unanswered(self) -> int:
        """How many commands wait for an answer; the one whose body is read is not among them."""
        return len(self._sent)

    @property
    def is_idle(self) -> bool:
        """Whether the server owes nothing."""
        return self._greeted and not self._sent and self._body is None

    def send(self, command: Command) -> bytes:
        """Return the octets of a command and wait for its answer.

        Raises:
            LocalProtocolError: it is not legal now, or another answer must come first.
            UnsayableCommand: it has an octet that would end its line.
        """
        if type(command) not in LEGAL[self._phase][self.security]:
            raise LocalProtocolError(f"{type(command).__name__} is not legal now")
        alone = isinstance(command, _ALONE)
        if not self._greeted or (alone and not self.is_idle):
            raise LocalProtocolError("an answer must come first")
        if self._sent and isinstance(self._sent[-1], (*_ALONE, commands.Quit)):
            raise LocalProtocolError("nothing is sent behind what changes the state")
        line = command_line(command)
        self._hear_out_of_turn()
        self._sent.append(command)
        return line

    def respond(self, response: Secret) -> bytes:
        """Return the octets of an answer to `ServerChallenge`.

        Raises:
            LocalProtocolError: no challenge waits for one.
        """
        self._leave_challenge(_Turn.SERVER)
        return response_line(response)

    def cancel(self) -> bytes:
        """Return the octets that end an AUTH exchange; the server answers -ERR.

        Raises:
            LocalProtocolError: no challenge waits for an answer.
        """
        self._leave_challenge(_Turn.REFUSAL)
        return CANCEL_LINE

    def receive(self, octets: bytes) -> None:
        """Take what the server sent."""
        self._octets = self._octets[self._at :] + octets if self._at < len(self._octets) else octets
        self._at = 0

    def receive_end(self) -> None:
        """Take that the connection has ended.

        Raises:
            RemoteProtocolError: inside a body or with answers owed: nothing of it counts.
        """
        if self._body is not None:
            raise RemoteProtocolError("the connection ended inside a message")
        if self._sent or not self._greeted:
            raise RemoteProtocolError("the connection ended before an answer")

    def next_event(self) -> ClientEvent:
        """Return what the server says next.

        Raises:
            RemoteProtocolError: it is no answer to what was sent; the session is over.
        """
        self._hear_out_of_turn()
        if self._broken is None:
            try:
                return self._read()
            except RemoteProtocolError as broken:
                self._broken = broken
        self._phase = Phase.CLOSED
        raise self._broken

    def _hear_out_of_turn(self) -> None:
        """Note what was said when it was not the server's turn: the next event is an error."""
        if self._is_servers_turn() or self._at == len(self._octets):
            return
        said = self._octets[self._at : self._at + 100]
        self._broken = RemoteProtocolError(f"the server said {said!r}, which nothing asked for")

    def _is_servers_turn(self) -> bool:
        return not self.is_idle and self._turn is not _Turn.CLIENT

    def _read(self) -> ClientEvent:
        if not self._is_servers_turn():
            return NEED_DATA
        if self._body is not None:
            return self._read_body(self._body)
        line = self._next_line()
        if line is None:
            return NEED_DATA
        if self._greeted:
            return self._read_answer(line, self._sent[0])
        self._greeted = True
        return Greeting(parse_status(line))

    def _read_body(self, body: DotUnstuffer) -> Body | NeedData:
        octets, self._at, ended = body.feed(self._octets, self._at)
        if ended:
            self._body = None
        elif not octets:
            return NEED_DATA
        return Body(octets, ended)

    def _next_line(self) -> bytes | None:
        end = self._octets.find(b"\n", self._at, self._at + STATUS_LIMIT_OCTETS)
        if end < 0:
            if len(self._octets) - self._at >= STATUS_LIMIT_OCTETS:
                raise RemoteProtocolError("the server's answer has no end")
            return None
        line, self._at = self._octets[self._at : end], end + 1
        if not line.endswith(b"\r"):
            raise RemoteProtocolError(f"the server ended {line[:100]!r} with LF instead of CRLF")
        return line[:-1]

    def _read_answer(self, line: bytes, command: Command) -> Answer | ServerChallenge:
        may_challenge = isinstance(command, commands.Auth) and self._turn is _Turn.SERVER
        if may_challenge and _CHALLENGE.match(line):
            return self._read_challenge(line[2:])
        status = parse_status(line)
        if self._turn is _Turn.REFUSAL and status.is_ok:
            raise RemoteProtocolError("the server logs in somebody who cancelled the login")
        if isinstance(command, commands.Stls) and status.is_ok and self._at < len(self._octets):
            raise RemoteProtocolError(
                "something stands behind the answer to STLS: somebody between us and the server"
                " speaks for it"
            )
        self._sent.popleft()
        self._turn = _Turn.SERVER
        self._phase = phase_after(self._phase, type(command), ok=status.is_ok)
        has_body = status.is_ok and has_body_answer(command)
        if has_body:
            self._body = DotUnstuffer()
        return Answer(command, status, has_body)

    def _read_challenge(self, encoded: bytes) -> ServerChallenge:
        challenge = ServerChallenge(_decode_challenge(encoded))
        self._phase = Phase.EXCHANGE
        self._turn = _Turn.CLIENT
        return challenge

    def _leave_challenge(self, turn: _Turn) -> None:
        if self._turn is not _Turn.CLIENT or self._phase is Phase.CLOSED:
            raise LocalProtocolError("no challenge waits for an answer")
        self._hear_out_of_turn()
        self._turn = turn


def has_body_answer(command: Command) -> bool:
    """Tell whether a good answer to a command has several lines (RFC 1939 section 3)."""
    match command:
        case commands.Retr() | commands.Top() | commands.Capa() | commands.AuthList():
            return True
        case commands.List(number) | commands.Uidl(number):
            return number is None
        case _:
            return False


def _decode_challenge(encoded: bytes) -> bytes:
    try:
        return binascii.a2b_base64(encoded, strict_mode=True)
    except binascii.Error as cause:
        raise RemoteProtocolError("the server's challenge is not base64") from cause
