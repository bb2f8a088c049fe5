"""Where the two programs of a session meet: nothing else knows both.

A connection goes: TLS if it comes first, greeting, `before_login` (again from the start after
STLS), the lease and the snapshot, the answer to the login, `after_login`, the end.
"""

import asyncio
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from mailkeep.events import EventSink, EventType
from mailkeep.maildrop import Maildrop, MaildropBusy, MaildropStore, MaildropUnavailable
from mailkeep.pop3 import Err, Security, ServerSide
from mailkeep.server import replies
from mailkeep.server.after_login import Session, Tally, serve_maildrop
from mailkeep.server.before_login import (
    Admitted,
    Gate,
    LeftBeforeLogin,
    Outcome,
    StlsGranted,
    admit,
)
from mailkeep.server.connection import Connection
from mailkeep.server.dialogue import ClosedByUs, Dialogue
from mailkeep.server.holders import Holders
from mailkeep.server.wire import Disconnected
from mailkeep.site import Limits
from mailkeep.tls import TlsChannel
from mailkeep.values import AccountId

STORE_SHARE = 0.9
"""Of the time to open a maildrop, what the store may use; in the rest it keeps what it learnt."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What every session of a server has in common."""

    gate: Gate
    store: MaildropStore
    sink: EventSink
    limits: Limits
    holders: Holders
    tls_context: Callable[[], ssl.SSLContext]
    """The certificate that is good now."""

    async def serve(self, connection: Connection, security: Security) -> None:
        """Run one connection from its first octet to its last; never raises.

        Args:
            connection: fresh.
            security: what protects it; with TLS the handshake comes before everything.
        """
        try:
            await self._converse(connection, security)
            connection.close()
        except ClosedByUs:
            connection.close_after_refusal()
        except Disconnected:
            connection.close()
        except Exception as bug:  # noqa: BLE001  # the top of a connection's task: it alone ends
            self.sink.emit(
                EventType.INTERNAL_ERROR,
                peer=str(connection.peer),
                reason=repr(bug),
                trace=traceback.format_exc(),
            )
            connection.abort("internal error")

    async def _converse(self, connection: Connection, security: Security) -> None:
        if security is Security.TLS:
            await self._start_tls(connection)
        dialogue = self._start(connection, security)
        connection.write(replies.GREETING.wire())
        while True:
            match await self._admit(connection, dialogue):
                case LeftBeforeLogin():
                    return
                case StlsGranted():
                    await self._start_tls(connection)
                    dialogue = self._start(connection, Security.TLS)
                case Admitted() as admitted:
                    if await self._serve_admitted(connection, dialogue, admitted):
                        return

    async def _start_tls(self, connection: Connection) -> None:
        with self._telling_the_end(connection):
            await connection.start_tls(TlsChannel(self.tls_context()))

    async def _admit(self, connection: Connection, dialogue: Dialogue) -> Outcome:
        with self._telling_the_end(connection):
            return await admit(dialogue, self.gate, str(connection.peer))

    @contextmanager
    def _telling_the_end(self, connection: Connection) -> Iterator[None]:
        """Tell of a connection that ends before a session began; a session tells its own end."""
        try:
            yield
        except (ClosedByUs, Disconnected) as ended:
            peer = str(connection.peer)
            self.sink.emit(EventType.CONNECTION_BROKEN, peer=peer, reason=str(ended))
            raise

    def _start(self, connection: Connection, security: Security) -> Dialogue:
        core = ServerSide(
            security,
            bad_before_login=self.limits.bad_commands_before_login,
            bad_after_login=self.limits.bad_commands_after_login,
        )
        return Dialogue(connection, core)

    async def _serve_admitted(
        self, connection: Connection, dialogue: Dialogue, admitted: Admitted
    ) -> bool:
        """Open the maildrop, answer the login, and serve; False when the client may try again."""
        maildrop = await self._open(admitted)
        if isinstance(maildrop, Err):
            dialogue.answer(maildrop)
            return False
        holder = self.holders.add(admitted.account.id, connection)
        try:
            await self._serve_open(connection, dialogue, admitted, maildrop)
        finally:
            await maildrop.close()
            self.holders.remove(admitted.account.id, holder)
        return True

    async def _serve_open(
        self, connection: Connection, dialogue: Dialogue, admitted: Admitted, maildrop: Maildrop
    ) -> None:
        tally = Tally()
        session = Session(
            maildrop=maildrop,
            sink=self.sink,
            tally=tally,
            mechanisms=tuple(self.gate.mechanisms),
            idle_s=self.limits.idle_s,
            account=str(admitted.account.address),
        )
        who = {"account": session.account, "peer": str(connection.peer)}
        dialogue.answer(replies.LOGGED_IN)
        self.sink.emit(EventType.LOGIN_ACCEPTED, **who, mechanism=admitted.mechanism)
        how = "internal error"
        try:
            await serve_maildrop(dialogue, session)
            how = "quit"
        except (Disconnected, ClosedByUs) as ended:
            how = str(ended)
            raise
        finally:
            self.sink.emit(EventType.SESSION_ENDED, **who, how=how, **asdict(tally))

    async def _open(self, admitted: Admitted) -> Maildrop | Err:
        """Take the lease and the snapshot, from a silent session of the same user if need be."""
        account = admitted.account
        try:
            async with asyncio.timeout(self.limits.opening_s or None):
                try:
                    return await self._open_store(admitted)
                except MaildropBusy:
                    if not await self._take_over(account.id):
                        raise
                    self.sink.emit(EventType.MAILDROP_TAKEN_OVER, account=str(account.address))
                    return await self._open_store(admitted)
        except MaildropBusy:
            self.sink.emit(EventType.MAILDROP_BUSY, account=str(account.address))
            return replies.MAILDROP_BUSY
        except (MaildropUnavailable, TimeoutError) as unavailable:
            self.sink.emit(
                EventType.MAILDROP_UNAVAILABLE,
                account=str(account.address),
                reason=str(unavailable) or "it took too long",
            )
            return replies.MAILDROP_UNAVAILABLE

    async def _take_over(self, account: AccountId) -> bool:
        return await self.holders.take_over(account, after_s=self.limits.takeover_after_s)

    async def _open_store(self, admitted: Admitted) -> Maildrop:
        timeout_s = self.limits.opening_s * STORE_SHARE or float("inf")
        account = admitted.account
        return await self.store.open(account.id, account.address, timeout_s=timeout_s)
