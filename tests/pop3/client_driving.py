"""A client's session brought to where a test wants it, and a server for whole sessions in memory.

The server is `ServerSide` with a mailbox of octets behind it; it stands for a real one and answers
what a real one would.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.pop3.driving import GOOD_PASSWORD, GOOD_RESPONSE, PLAIN_ONLY, open_session

from mailkeep.pop3 import (
    Answer,
    Body,
    ClientSide,
    Command,
    DotStuffer,
    Err,
    Greeting,
    NeedData,
    Ok,
    OkLines,
    Phase,
    Refused,
    Reply,
    ResponseCode,
    SaslResponse,
    Security,
    ServerChallenge,
    ServerSide,
    commands,
)
from mailkeep.pop3.client_side import ClientEvent
from mailkeep.pop3.server_side import Event
from mailkeep.values import Secret

ALICE = commands.User(b"alice")
PASSWORD = commands.Pass(Secret(GOOD_PASSWORD))
PLAIN = commands.Auth("PLAIN", None)

_WAY: dict[Phase, list[tuple[Command, bytes]]] = {
    Phase.AUTHORIZATION: [],
    Phase.NAMED: [(ALICE, b"+OK\r\n")],
    Phase.EXCHANGE: [(PLAIN, b"+ \r\n")],
    Phase.TRANSACTION: [(ALICE, b"+OK\r\n"), (PASSWORD, b"+OK\r\n")],
    Phase.ENCRYPTING: [(commands.Stls(), b"+OK\r\n")],
    Phase.CLOSED: [(commands.Quit(), b"+OK\r\n")],
}


def client_in(phase: Phase, security: Security = Security.TLS) -> ClientSide:
    """Bring a client that was greeted to `phase`, as a good server would."""
    client = ClientSide(security)
    client.receive(b"+OK ready\r\n")
    assert isinstance(client.next_event(), Greeting)
    for command, answer in _WAY[phase]:
        client.send(command)
        client.receive(answer)
        assert isinstance(client.next_event(), Answer | ServerChallenge)
    assert client.phase is phase
    return client


def hear(client: ClientSide, *pieces: bytes) -> list[ClientEvent]:
    """Give a client what arrived and return what it makes of it, each body in one event."""
    return merge_bodies(_hear(client, pieces))


def _hear(client: ClientSide, pieces: Iterable[bytes]) -> Iterator[ClientEvent]:
    for piece in pieces:
        client.receive(piece)
        while not isinstance(event := client.next_event(), NeedData):
            yield event


def merge_bodies(events: Iterable[ClientEvent]) -> list[ClientEvent]:
    """Put what belongs to one body together: where it was cut is the network's affair."""
    merged: list[ClientEvent] = []
    for event in events:
        before = merged[-1] if merged else None
        if isinstance(event, Body) and isinstance(before, Body) and not before.is_last:
            merged[-1] = Body(before.octets + event.octets, event.is_last)
        else:
            merged.append(event)
    return merged


@dataclass
class Server:
    """A maildrop behind `ServerSide`; `heard` is what it was told."""

    messages: Sequence[bytes] = ()
    session: ServerSide = field(default_factory=open_session)
    heard: list[Event] = field(default_factory=list)

    def hear(self, octets: bytes) -> bytes:
        """Take what a client sent and return everything that is said to it."""
        said = []
        self.session.receive(octets)
        while not isinstance(event := self.session.next_event(), NeedData):
            self.heard.append(event)
            said.append(self._respond(event))
        return b"".join(said)

    def _respond(self, event: Event) -> bytes:
        match event:
            case Refused():
                return event.reply.wire()
            case commands.Auth(initial_response=None):
                return self.session.challenge(b"")
            case commands.Retr(number) | commands.Top(number) if number <= len(self.messages):
                first = self.session.answer(Ok(b"follows"))
                stuffer = DotStuffer()
                return first + stuffer.feed(self.messages[number - 1]) + stuffer.finish()
            case commands.Retr() | commands.Top():
                return self.session.answer(Err(b"no such message"))
            case _:
                return self.session.answer(self._log_in(event) or self._tell(event))

    def _log_in(self, event: Event) -> Reply | None:
        match event:
            case commands.Pass(password_untrusted=secret):
                good = secret.reveal() == GOOD_PASSWORD
            case SaslResponse(response=secret) | commands.Auth(initial_response=Secret() as secret):
                good = secret.reveal() == GOOD_RESPONSE
            case _:
                return None
        return Ok(b"open") if good else Err(b"refused", ResponseCode.AUTH)

    def _tell(self, event: Event) -> Reply:
        sizes = list(map(len, self.messages))
        match event:
            case commands.Capa():
                return OkLines(b"this", self.session.list_capabilities(PLAIN_ONLY))
            case commands.AuthList():
                return OkLines(b"these", (b"PLAIN",))
            case commands.Stat():
                return Ok(b"%d %d" % (len(sizes), sum(sizes)))
            case commands.List(None):
                return OkLines(b"sizes", tuple(map(b"%d %d".__mod__, enumerate(sizes, 1))))
            case commands.Uidl(None):
                lines = (b"%d uid-%d" % (n, n) for n in range(1, len(sizes) + 1))
                return OkLines(b"unique-ids", tuple(lines))
            case _:
                return Ok(b"done")
