"""The odd server itself: a port on loopback, its settings, and a session for everybody who calls.

Runs in the test's event loop; `running` gives it a thread of its own. It must not know what is odd.
"""

import asyncio
import contextlib
import functools
import select
import socket
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from mailkeep.sasl.client import ChannelBinding
from mailkeep.testing.odd_server.answers import Action, Answer, ok
from mailkeep.testing.odd_server.mailbox import OddMailbox
from mailkeep.testing.odd_server.oddity import Oddity
from mailkeep.testing.odd_server.sasl import Login
from mailkeep.testing.odd_server.session import OddSession
from mailkeep.testing.odd_server.wire import Wire

DEADLINE_S = 30.0
"""For sessions to end; whoever waits longer has a client that never hangs up."""

CAPABILITIES = (
    b"USER",
    b"TOP",
    b"UIDL",
    b"PIPELINING",
    b"RESP-CODES",
    b"AUTH-RESP-CODE",
    b"EXPIRE NEVER",
)
MECHANISMS = ("SCRAM-SHA-256", "PLAIN", "OAUTHBEARER", "XOAUTH2")


@dataclass(frozen=True, slots=True, kw_only=True)
class OddSettings:
    """What kind of honest server it is before the oddities.

    Attributes:
        context: for TLS; a certificate of another host is the caller's to put in here.
        stls: with a context: begin in the clear and offer STLS, not TLS from the first octet.
        login: who may come in.
        capabilities: lines of CAPA; SASL and STLS are added.
        capabilities_after_login: all lines of CAPA then; None for the same as before.
        mechanisms: of SASL; add "SCRAM-SHA-256-PLUS" together with `binding`.
        binding: the channel binding of every TLS connection: "tls-server-end-point" is a hash of
            the certificate (RFC 5929 section 4), so it is the same for all.
        hears_while_answering: False for a server that reads nothing until its answer is written; a
            client that writes without reading then stands still for ever (RFC 2449 section 6.6).
        buffer_octets: of the socket, both ways; small ones make that happen soon.
    """

    context: ssl.SSLContext | None = None
    stls: bool = False
    login: Login = field(default_factory=Login)
    capabilities: tuple[bytes, ...] = CAPABILITIES
    capabilities_after_login: tuple[bytes, ...] | None = None
    mechanisms: tuple[str, ...] = MECHANISMS
    binding: ChannelBinding | None = None
    greeting: Answer = field(default_factory=lambda: ok(b"odd server ready"))
    hears_while_answering: bool = True
    buffer_octets: int | None = None

    @property
    def is_tls_first(self) -> bool:
        """Whether there is TLS from the first octet."""
        return self.context is not None and not self.stls

    @property
    def offers_stls(self) -> bool:
        """Whether TLS is started by STLS."""
        return self.context is not None and self.stls


class OddServer:
    """A POP3 server that is honest but for its oddities; use it in `async with`.

    Leaving it ends all sessions at once and raises what an oddity raised.

    Attributes:
        sessions: one for each connection so far.
        context: for the handshakes to come; set another to change the certificate.
    """

    def __init__(
        self, mailbox: OddMailbox, *oddities: Oddity, settings: OddSettings | None = None
    ) -> None:
        self.mailbox = mailbox
        self.oddities = oddities
        self.settings = settings or OddSettings()
        self.context = self.settings.context
        self.sessions: list[OddSession] = []
        self._logins = 0
        self._listening = socket.socket()
        self._active: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []

    @property
    def host(self) -> str:
        """Where it listens: loopback."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def next_login(self) -> int:
        """Count a successful login."""
        self._logins += 1
        return self._logins

    async def settle(self, timeout_s: float = DEADLINE_S) -> None:
        """Wait until everybody who has called has hung up and all they said is recorded.

        Raises:
            TimeoutError: somebody stays.
        """
        async with asyncio.timeout(timeout_s):
            while self._active or self._has_callers():
                if self._active:
                    await asyncio.wait(self._active)
                await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        if (octets := self.settings.buffer_octets) is not None:
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, octets)
        self._listening.setblocking(False)  # noqa: FBT003  # its only form
        self._listening.bind((self.host, 0))
        self._listening.listen()
        asyncio.get_running_loop().add_reader(self._listening, self._accept)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()
        if self._errors and error is None:
            raise self._errors[0]

    async def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        for task in self._active:
            task.cancel()
        if self._active:
            await asyncio.wait(self._active)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:  # gone again
            return
        connection.setblocking(False)  # noqa: FBT003  # its only form
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(connection, receive_octets=self.settings.buffer_octets)
        session = OddSession(len(self.sessions) + 1, self, wire)
        self.sessions.append(session)
        task = asyncio.create_task(session.run())
        self._active.add(task)
        task.add_done_callback(functools.partial(self._end_session, wire))

    def _end_session(self, wire: Wire, task: asyncio.Task[None]) -> None:
        wire.close(Action.CUT)  # a session that was cancelled before it began has not done it
        self._active.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            if (error := task.exception()) is not None:
                self._errors.append(error)

    def _has_callers(self) -> bool:
        readable, _, _ = select.select([self._listening], [], [], 0)
        return bool(readable)
