"""The server's side of a session, without I/O: octets in, event out, reply to octets.

Who drives it: give it what arrived (`receive`), ask what it means (`next_event`), answer
(`answer` or `challenge`), and again. It keeps the rules that hold whatever the command does:
line limits, legality, one reply a command, the count of bad commands, nothing waiting behind STLS.
It knows no mail and no account.

After STLS was answered with +OK it is spent: what comes next belongs to TLS, and the session
starts from nothing with a new object (RFC 2595 section 4).
"""

import binascii
from dataclasses import dataclass

from mailkeep.pop3 import commands
from mailkeep.pop3.capabilities import CapabilityOffers, list_capabilities
from mailkeep.pop3.commands import (
    BadCommand,
    Command,
    NotPop3,
    ObsoleteCommand,
    decode_base64,
    parse_command,
)
from mailkeep.pop3.lines import LineBuffer, LineTooLong
from mailkeep.pop3.replies import Err, Reply
from mailkeep.pop3.states import (
    LEGAL,
    CommandKind,
    Phase,
    Security,
    phase_after,
    phase_after_refusal,
)
from mailkeep.values import Secret

COMMAND_LIMIT_OCTETS = 1024
"""RFC 2449 section 4 asks for 255; long names and passwords in UTF-8 need more."""

SASL_LIMIT_OCTETS = 12_288
"""RFC 5034 section 4 exempts AUTH; OAuth tokens of several KiB are met in practice."""

_LINE_TOO_LONG = Err(b"line too long")
BEHIND_STLS = Err(b"nothing may be sent behind STLS before its answer")
_WRONG_STATE = Err(b"not in this state")
_STLS_FIRST = Err(b"STLS first")
_OBSOLETE = Err(b"not offered")
_CANCELLED = Err(b"cancelled")


class LocalProtocolError(Exception):
    """The program that drives this object broke a rule; a bug of ours."""


@dataclass(frozen=True, slots=True)
class SaslResponse:
    """The client's next answer in an AUTH exchange, decoded."""

    response: Secret


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that gets this answer and nothing else; the answer is not given to `answer`."""

    reply: Err
    close: bool


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection without a word: the peer speaks another protocol."""


@dataclass(frozen=True, slots=True)
class NeedData:
    """No whole line has arrived."""


Event = Command | SaslResponse | Refused | HangUp | NeedData

NEED_DATA = NeedData()


class ServerSide:
    """One session, from the greeting or from the end of a TLS handshake."""

    __slots__ = (
        "_bad_after",
        "_bad_before",
        "_bad_in_a_row",
        "_hears_nothing",
        "_is_exchange",
        "_legal",
        "_line_limit_octets",
        "_lines",
        "_pending",
        "_phase",
        "security",
    )

    def __init__(self, security: Security, *, bad_before_login: int, bad_after_login: int) -> None:
        """Start in AUTHORIZATION.

        Args:
            security: what protects the connection.
            bad_before_login: bad commands in a row that close the connection; 0 for no limit.
            bad_after_login: the same, once logged in.
        """
        self.security = security
        self._bad_before = bad_before_login
        self._bad_after = bad_after_login
        self._bad_in_a_row = 0
        self._lines = LineBuffer()
        self._pending: CommandKind | None = None
        self._move(Phase.AUTHORIZATION)

    def _move(self, phase: Phase) -> None:
        self._phase = phase
        self._legal = LEGAL[phase][self.security]
        # An enum's member is found slowly: found out here, not at each line.
        self._hears_nothing = phase is Phase.CLOSED or phase is Phase.ENCRYPTING
        self._is_exchange = phase is Phase.EXCHANGE
        self._line_limit_octets = SASL_LIMIT_OCTETS if self._is_exchange else COMMAND_LIMIT_OCTETS

    @property
    def phase(self) -> Phase:
        """Where the session stands."""
        return self._phase

    def receive(self, octets: bytes) -> None:
        """Take what the client sent."""
        self._lines.receive(octets)

    @property
    def is_all_read(self) -> bool:
        """Whether nothing is left of what arrived, not even half a line."""
        return self._lines.is_empty

    def next_event(self) -> Event:
        """Return what the client says next.

        Raises:
            LocalProtocolError: the command or response before was not answered.
        """
        if self._pending is not None:
            raise LocalProtocolError("the command before was not answered")
        if self._hears_nothing:
            return NEED_DATA
        try:
            line = self._lines.next_line(self._line_limit_octets)
        except LineTooLong:
            if not self._lines.starts_with(b"AUTH "):
                return self._close_with(_LINE_TOO_LONG)
            return self._next_long_event()
        if line is None:
            return NEED_DATA
        return self._read_response(line) if self._is_exchange else self._read(line)

    def answer(self, reply: Reply) -> bytes:
        """Return the octets of the one reply to what `next_event` returned.

        Raises:
            LocalProtocolError: there is no command to answer.
        """
        if self._pending is None:
            raise LocalProtocolError("there is no command to answer")
        kind, self._pending = self._pending, None
        phase = phase_after(self._phase, kind, ok=type(reply) is not Err)
        if phase is not self._phase:
            self._move(phase)
        return reply.wire()

    def challenge(self, data: bytes) -> bytes:
        """Return the octets that ask for the next response of an AUTH exchange.

        An empty challenge is a plus and a space (RFC 5034 section 4).

        Raises:
            LocalProtocolError: no AUTH is under way.
        """
        if self._pending is not commands.Auth:
            raise LocalProtocolError("no AUTH is under way")
        self._pending = None
        self._move(Phase.EXCHANGE)
        return b"+ %b\r\n" % binascii.b2a_base64(data, newline=False)

    def list_capabilities(self, offers: CapabilityOffers) -> tuple[bytes, ...]:
        """Return the lines of CAPA's answer at this moment."""
        return list_capabilities(self._phase, self.security, offers)

    def _next_long_event(self) -> Event:
        """Read AUTH with a long initial response."""
        try:
            line = self._lines.next_line(SASL_LIMIT_OCTETS)
        except LineTooLong:
            return self._close_with(_LINE_TOO_LONG)
        return NEED_DATA if line is None else self._read(line)

    def _read(self, line: bytes) -> Event:
        try:
            command = parse_command(line)
        except NotPop3:
            self._move(Phase.CLOSED)
            return HangUp()
        except ObsoleteCommand:
            self._move(phase_after_refusal(self._phase))
            return Refused(_OBSOLETE, close=False)
        except BadCommand as bad:
            return self._count_bad(Err(str(bad).encode()))
        kind = type(command)
        if kind not in self._legal:
            return self._count_bad(self._why_not())
        if kind is commands.Stls and not self._lines.is_empty:
            return self._close_with(BEHIND_STLS)
        self._bad_in_a_row = 0
        self._pending = kind
        return command

    def _read_response(self, line: bytes) -> Event:
        if line == b"*":
            self._move(phase_after_refusal(self._phase))
            return Refused(_CANCELLED, close=False)
        try:
            event = SaslResponse(decode_base64(line))
        except BadCommand as bad:
            return self._count_bad(Err(str(bad).encode()))
        self._pending = commands.Auth
        return event

    def _why_not(self) -> Err:
        return _STLS_FIRST if self.security is Security.STLS_FIRST else _WRONG_STATE

    def _count_bad(self, reply: Err) -> Refused:
        self._bad_in_a_row += 1
        logged_in = self._phase is Phase.TRANSACTION
        if self._bad_in_a_row == (self._bad_after if logged_in else self._bad_before):
            return self._close_with(reply)
        self._move(phase_after_refusal(self._phase))
        return Refused(reply, close=False)

    def _close_with(self, reply: Err) -> Refused:
        self._move(Phase.CLOSED)
        return Refused(reply, close=True)
