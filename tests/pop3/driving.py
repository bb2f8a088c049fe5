"""A program around `ServerSide` that answers by rote, and remembers what it heard and said.

It stands for the server's connection in tests: it knows no mail and no account, only which kind of
reply a command gets, and it never answers anything twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mailkeep.pop3 import (
    Err,
    HangUp,
    NeedData,
    Ok,
    OkLines,
    Phase,
    Refused,
    Reply,
    ResponseCode,
    SaslResponse,
    Security,
    ServerSide,
    commands,
)
from mailkeep.pop3.capabilities import CapabilityOffers
from mailkeep.pop3.server_side import Event

GOOD_PASSWORD = b" open  sesame "
GOOD_RESPONSE = b"\0alice\0sesame"
PLAIN_ONLY = CapabilityOffers(mechanisms=("PLAIN",), utf8=False, login_delay_s=0)


def open_session(
    security: Security = Security.TLS, *, before: int = 10, after: int = 20
) -> ServerSide:
    """Start a session with the limits of a server that nobody configured."""
    return ServerSide(security, bad_before_login=before, bad_after_login=after)


@dataclass
class Driver:
    """Drives one session. `wire` is everything it sent, `events` all it heard but NeedData."""

    session: ServerSide
    events: list[Event] = field(default_factory=list)
    wire: list[bytes] = field(default_factory=list)
    closed: bool = False

    def receive(self, octets: bytes) -> None:
        """Take a piece and answer everything that is whole by now."""
        self.session.receive(octets)
        while not isinstance(event := self.session.next_event(), NeedData):
            self.events.append(event)
            self._respond(event)

    def run(self, pieces: Iterable[bytes]) -> "Driver":
        """Take these pieces one by one."""
        for piece in pieces:
            self.receive(piece)
        return self

    @property
    def last(self) -> Event:
        """What was heard last."""
        return self.events[-1]

    def _respond(self, event: Event) -> None:
        match event:
            case HangUp():
                self.closed = True
            case Refused():
                self.wire.append(event.reply.wire())
                self.closed |= event.close
            case commands.Auth(initial_response=None):
                self.wire.append(self.session.challenge(b""))
            case _:
                self.wire.append(self.session.answer(self._reply(event)))

    def _reply(self, event: Event) -> Reply:
        match event:
            case commands.Pass(password_untrusted=secret):
                return _login(ok=secret.reveal() == GOOD_PASSWORD)
            case SaslResponse(response=secret) | commands.Auth(initial_response=secret):
                return _login(ok=secret is not None and secret.reveal() == GOOD_RESPONSE)
            case commands.Capa():
                return OkLines(b"capabilities", self.session.list_capabilities(PLAIN_ONLY))
            case commands.Stat():
                return Ok(b"2 320")
            case _:
                return Ok(b"done")


def _login(*, ok: bool) -> Reply:
    return Ok(b"maildrop open") if ok else Err(b"refused", ResponseCode.AUTH)


def session_in(phase: Phase, security: Security = Security.TLS, **limits: int) -> Driver:
    """Bring a session to `phase` by saying what a client would say.

    ENCRYPTING needs a security that offers STLS.
    """
    driver = Driver(open_session(security, **limits))
    driver.receive(_WAY[phase])
    assert driver.session.phase is phase
    driver.events.clear()
    driver.wire.clear()
    return driver


_WAY = {
    Phase.AUTHORIZATION: b"",
    Phase.NAMED: b"USER alice\r\n",
    Phase.EXCHANGE: b"AUTH PLAIN\r\n",
    Phase.TRANSACTION: b"USER alice\r\nPASS " + GOOD_PASSWORD + b"\r\n",
    Phase.ENCRYPTING: b"STLS\r\n",
    Phase.CLOSED: b"QUIT\r\n",
}

REACHABLE = [
    (phase, security)
    for phase in Phase
    for security in Security
    if not (
        (security is Security.TLS and phase is Phase.ENCRYPTING)
        or (
            security is Security.STLS_FIRST
            and phase in {Phase.NAMED, Phase.EXCHANGE, Phase.TRANSACTION}
        )
    )
]
"""Where a session can stand: no login before STLS, no STLS under TLS."""
