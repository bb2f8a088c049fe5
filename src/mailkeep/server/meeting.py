"""Where the two programs of a session meet: nothing else knows both.

A connection goes: TLS if it comes first, greeting, `before_login` (again from the start after
STLS), the lease and the snapshot, the answer to the login, `after_login`, the end.
"""

import asyncio
import secrets
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mailkeep.accounts import May
from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.maildrop import Maildrop, MaildropBusy, MaildropStore, MaildropUnavailable
from mailkeep.pop3 import CapabilityOffers, Err, Security, ServerSide
from mailkeep.sasl import ChannelBinding, MechanismOffers, server_mechanisms
from mailkeep.server import replies
from mailkeep.server.after_login import Session, Telling, Who, serve_maildrop
from mailkeep.server.before_login import (
    Admitted,
    Gate,
    LeftBeforeLogin,
    Outcome,
    StlsGranted,
    Visitor,
    admit,
)
from mailkeep.server.connection import Connection
from mailkeep.server.dialogue import ClosedByUs, Dialogue
from mailkeep.server.holders import Holders
from mailkeep.server.sessions import LoggedIn, Sessions
from mailkeep.server.wire import Disconnected
from mailkeep.site import Limits
from mailkeep.tls import TlsChannel, TlsFacts
from mailkeep.values import AccountId

STORE_SHARE = 0.9
"""Of the time to open a maildrop, what the store may use; in the rest it keeps what it learnt."""

_NONCE_OCTETS = 18
"""RFC 5802 section 5.1 wants it unpredictable; base64 has no remainder with 18."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Which mechanisms a site offers, where the connection allows them."""

    scram_plus: bool = False
    tokens: bool = False


@dataclass(frozen=True, slots=True)
class Meeting:
    """What every session of a server has in common."""

    gate: Gate
    store: MaildropStore
    sink: EventSink
    limits: Limits
    holders: Holders
    sessions: Sessions
    certificate: Callable[[], tuple[ssl.SSLContext, bytes | None]]
    """The certificate that is good now, and its `tls-server-end-point` (RFC 5929)."""
    offers: Offers = Offers()
    on_command: Callable[[str, float], None] = lambda _verb, _seconds: None
    """Told each command after login and how many seconds it took."""

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
                events.InternalError(
                    session=connection.session,
                    peer=str(connection.peer),
                    reason=repr(bug),
                    trace=traceback.format_exc(),
                )
            )
            connection.abort("internal error")

    async def _converse(self, connection: Connection, security: Security) -> None:
        if security is Security.TLS:
            visitor = await self._start_tls(connection)
        else:
            visitor = self._visitor(connection, None, None)
        dialogue = self._start(connection, security)
        connection.write(replies.GREETING.wire())
        while True:
            looks = self.sessions.looks
            match await self._admit(connection, dialogue, visitor):
                case LeftBeforeLogin():
                    return
                case StlsGranted():
                    visitor = await self._start_tls(connection)
                    dialogue = self._start(connection, Security.TLS)
                case Admitted() as admitted:
                    session = self.sessions.add(connection, admitted.admission)
                    try:
                        if looks != self.sessions.looks and await self._is_revoked(session):
                            dialogue.answer(replies.LOGIN_REFUSED)
                        elif await self._serve_admitted(connection, dialogue, admitted, visitor):
                            return
                    finally:
                        self.sessions.remove(session)

    async def _start_tls(self, connection: Connection) -> Visitor:
        with self._telling_the_end(connection):
            context, end_point = self.certificate()
            channel = TlsChannel(context)
            await connection.start_tls(channel)
        facts = channel.facts
        self.sink.emit(
            events.TlsAgreed(
                session=connection.session,
                peer=str(connection.peer),
                version=facts.version,
                suite=facts.suite,
                group=facts.group,
                server_name=facts.server_name,
                client_certificate=facts.client_certificate_sha256,
            )
        )
        return self._visitor(connection, facts, end_point)

    def _visitor(
        self, connection: Connection, facts: TlsFacts | None, end_point: bytes | None
    ) -> Visitor:
        certificate = facts.client_certificate_sha256 if facts else None
        binding = None
        if self.offers.scram_plus and facts and end_point:
            binding = ChannelBinding("tls-server-end-point", end_point)
        offers = MechanismOffers(
            nonce=lambda: secrets.token_urlsafe(_NONCE_OCTETS),
            scram=self.gate.check.offers_scram(),
            binding=binding,
            tokens=self.offers.tokens,
            certificate=certificate is not None,
        )
        return Visitor(
            session=connection.session,
            peer=str(connection.peer),
            source=connection.source,
            mechanisms=server_mechanisms(offers),
            tls=facts.version if facts else None,
            certificate=certificate,
        )

    async def _admit(self, connection: Connection, dialogue: Dialogue, visitor: Visitor) -> Outcome:
        with self._telling_the_end(connection):
            return await admit(dialogue, self.gate, visitor)

    @contextmanager
    def _telling_the_end(self, connection: Connection) -> Iterator[None]:
        """Tell of a connection that ends before a session began; a session tells its own end."""
        try:
            yield
        except (ClosedByUs, Disconnected) as ended:
            self.sink.emit(
                events.ConnectionBroken(
                    session=connection.session, peer=str(connection.peer), reason=str(ended)
                )
            )
            raise

    def _start(self, connection: Connection, security: Security) -> Dialogue:
        core = ServerSide(
            security,
            bad_before_login=self.limits.bad_commands_before_login,
            bad_after_login=self.limits.bad_commands_after_login,
        )
        return Dialogue(connection, core)

    async def _serve_admitted(
        self, connection: Connection, dialogue: Dialogue, admitted: Admitted, visitor: Visitor
    ) -> bool:
        """Open the maildrop, answer the login, and serve; False when the client may try again."""
        account = admitted.account.id
        limit = self.limits.connections_per_account
        if limit and self.sessions.count(account) > limit:
            self._tell_not_let_in(connection, admitted, "as many sessions as an account may have")
            dialogue.answer(replies.SESSIONS_TAKEN)
            return False
        maildrop = await self._open(connection, admitted)
        if isinstance(maildrop, Err):
            dialogue.answer(maildrop)
            return False
        holder = self.holders.add(account, connection)
        try:
            connection.logged_in = True
            await self._serve_open(connection, dialogue, admitted, maildrop, visitor)
        finally:
            try:
                await maildrop.close()
            finally:
                self.holders.remove(account, holder)
        return True

    def _tell_not_let_in(self, connection: Connection, admitted: Admitted, reason: str) -> None:
        """Tell of right credentials that opened nothing: whoever tried them knows them now."""
        self.sink.emit(
            events.LoginRefused(
                session=connection.session,
                peer=str(connection.peer),
                mechanism=admitted.mechanism,
                reason=f"right, but {reason}",
                name=str(admitted.account.address),
            )
        )

    async def _is_revoked(self, session: LoggedIn) -> bool:
        """Tell whether a credential was revoked between the check and the session's beginning."""
        if await self.gate.check.is_still_good(session.admission):
            return False
        session.tell_revoked(self.sink)
        return True

    async def _serve_open(
        self,
        connection: Connection,
        dialogue: Dialogue,
        admitted: Admitted,
        maildrop: Maildrop,
        visitor: Visitor,
    ) -> None:
        address = str(admitted.account.address)
        peer = str(connection.peer)
        telling = Telling(
            self.sink, Who(connection.session, address, peer, admitted.device), maildrop.listing
        )
        device = admitted.admission.device
        session = Session(
            maildrop=maildrop,
            telling=telling,
            offers=CapabilityOffers(
                mechanisms=tuple(visitor.mechanisms),
                utf8=self.gate.utf8,
                login_delay_s=self.gate.login_delay_s,
            ),
            idle_s=self.limits.idle_s,
            may_delete=device is None or device.may is May.DELETE,
            on_command=self.on_command,
        )
        dialogue.answer(replies.LOGGED_IN)
        self.sink.emit(
            events.LoginAccepted(
                session=connection.session,
                account=address,
                peer=peer,
                mechanism=admitted.mechanism,
                device=admitted.device,
                familiar=admitted.familiar,
            )
        )
        began_s = asyncio.get_running_loop().time()
        how = "internal error"
        try:
            await serve_maildrop(dialogue, session)
            how = "quit"
        except (Disconnected, ClosedByUs) as ended:
            how = str(ended)
            raise
        finally:
            telling.ended(how, asyncio.get_running_loop().time() - began_s)

    async def _open(self, connection: Connection, admitted: Admitted) -> Maildrop | Err:
        """Take the lease and the snapshot, from a silent session of the same user if need be."""
        session, address = connection.session, str(admitted.account.address)
        peer = str(connection.peer)
        try:
            async with asyncio.timeout(self.limits.opening_s or None):
                try:
                    return await self._open_store(admitted)
                except MaildropBusy:
                    if not await self._take_over(admitted.account.id):
                        raise
                    self.sink.emit(events.MaildropTakenOver(session=session, account=address))
                    return await self._open_store(admitted)
        except MaildropBusy:
            self.sink.emit(
                events.MaildropBusy(
                    session=session, account=address, peer=peer, device=admitted.device
                )
            )
            return replies.MAILDROP_BUSY
        except (MaildropUnavailable, TimeoutError) as unavailable:
            reason = str(unavailable) or "it took too long"
            self.sink.emit(
                events.MaildropUnavailable(
                    session=session,
                    account=address,
                    peer=peer,
                    device=admitted.device,
                    reason=reason,
                )
            )
            return replies.MAILDROP_UNAVAILABLE

    async def _take_over(self, account: AccountId) -> bool:
        return await self.holders.take_over(account, after_s=self.limits.takeover_after_s)

    async def _open_store(self, admitted: Admitted) -> Maildrop:
        timeout_s = self.limits.opening_s * STORE_SHARE or float("inf")
        account = admitted.account
        return await self.store.open(account.id, account.address, timeout_s=timeout_s)
