"""Where the two programs of a session meet: nothing else knows both.

A connection goes: TLS if it comes first, greeting, `before_login` (again from the start after
STLS), the lease and the snapshot, the answer to the login, `after_login`, the end.
"""

import asyncio
import functools
import secrets
import ssl
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mailkeep.accounts import May
from mailkeep.events import RunSink, Who
from mailkeep.events import types as events
from mailkeep.maildrop import Maildrop, MaildropBusy, MaildropStore, MaildropUnavailable
from mailkeep.pop3 import CapabilityOffers, Err, Security, ServerSide
from mailkeep.sasl import ChannelBinding, MechanismFactory, MechanismOffers, server_mechanisms
from mailkeep.server import replies
from mailkeep.server.after_login import Session, Telling, serve_maildrop
from mailkeep.server.after_login.begun import begin
from mailkeep.server.before_login import (
    Admitted,
    Gate,
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

_KINDS_OF_VISITORS = 64
"""With and without SCRAM, a certificate, TLS; twice while another certificate of ours comes in."""

_GREETING = replies.GREETING.wire()


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
    sink: RunSink
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
            visitor = self._visitor(connection, str(connection.peer), None, None)
        dialogue = self._start(connection, security)
        connection.write(_GREETING)
        while True:
            looks = self.sessions.looks
            try:
                outcome = await admit(dialogue, self.gate, visitor)
            except (ClosedByUs, Disconnected) as ended:
                self._tell_broken(connection, ended)
                raise
            if isinstance(outcome, Admitted):
                session = self.sessions.add(connection, outcome.admission)
                try:
                    if looks != self.sessions.looks and await self._is_revoked(session):
                        dialogue.answer(replies.LOGIN_REFUSED)
                    elif await self._serve_admitted(connection, dialogue, outcome, visitor):
                        return
                finally:
                    self.sessions.remove(session)
            elif isinstance(outcome, StlsGranted):
                visitor = await self._start_tls(connection)
                dialogue = self._start(connection, Security.TLS)
            else:
                return

    async def _start_tls(self, connection: Connection) -> Visitor:
        context, end_point = self.certificate()
        channel = TlsChannel(context)
        try:
            await connection.start_tls(channel)
        except (ClosedByUs, Disconnected) as ended:
            self._tell_broken(connection, ended)
            raise
        facts, peer = channel.facts, str(connection.peer)
        visitor = self._visitor(connection, peer, facts, end_point)
        self.sink.emit(
            events.TlsAgreed(
                session=connection.session,
                peer=peer,
                version=facts.version,
                suite=facts.suite,
                group=facts.group,
                server_name=facts.server_name,
                client_certificate=visitor.certificate,
            )
        )
        return visitor

    def _visitor(
        self, connection: Connection, peer: str, facts: TlsFacts | None, end_point: bytes | None
    ) -> Visitor:
        certificate = facts.client_certificate_sha256 if facts else None
        gate, offers = self.gate, self.offers
        mechanisms, capabilities = _what_is_offered(
            scram=gate.check.offers_scram(),
            end_point=end_point if offers.scram_plus and facts else None,
            tokens=offers.tokens,
            certificate=certificate is not None,
            utf8=gate.utf8,
            login_delay_s=gate.login_delay_s,
        )
        version = facts.version if facts else None
        return Visitor(
            connection.session,
            peer,
            connection.source,
            mechanisms,
            capabilities,
            version,
            certificate,
        )

    def _tell_broken(self, connection: Connection, ended: ClosedByUs | Disconnected) -> None:
        """Tell of a connection that ends before a session began; a session tells its own end."""
        self.sink.emit(
            events.ConnectionBroken(
                session=connection.session, peer=str(connection.peer), reason=str(ended)
            )
        )

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
        account = admitted.admission.account.id
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
        admission, peer = admitted.admission, visitor.peer
        address, device = str(admission.account.address), admission.device
        device_name = None if device is None else device.name
        who = Who(connection.session, address, peer, device_name)
        telling = Telling(self.sink, who, maildrop.listing)
        session = Session(
            maildrop=maildrop,
            telling=telling,
            offers=visitor.capabilities,
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
                device=device_name,
                familiar=admitted.familiar,
            )
        )
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        how = "internal error"
        try:
            await serve_maildrop(dialogue, session)
            how = "quit"
        except (Disconnected, ClosedByUs) as ended:
            how = str(ended)
            raise
        finally:
            telling.ended(how, loop.time() - began_s)

    async def _open(self, connection: Connection, admitted: Admitted) -> Maildrop | Err:
        """Take the lease and the snapshot, from a silent session of the same user if need be."""
        opened: list[Maildrop] = []
        try:
            under_way = begin(self._open_into(opened, connection, admitted))
            if under_way is not None:  # only what has to wait needs a clock
                async with asyncio.timeout(self.limits.opening_s or None):
                    await under_way
            return opened[0]
        except MaildropBusy:
            self.sink.emit(
                events.MaildropBusy(
                    session=connection.session,
                    account=str(admitted.account.address),
                    peer=str(connection.peer),
                    device=admitted.device,
                )
            )
            return replies.MAILDROP_BUSY
        except (MaildropUnavailable, TimeoutError) as unavailable:
            reason = str(unavailable) or "it took too long"
            self.sink.emit(
                events.MaildropUnavailable(
                    session=connection.session,
                    account=str(admitted.account.address),
                    peer=str(connection.peer),
                    device=admitted.device,
                    reason=reason,
                )
            )
            return replies.MAILDROP_UNAVAILABLE

    async def _open_into(
        self, opened: list[Maildrop], connection: Connection, admitted: Admitted
    ) -> None:
        """Put the open maildrop into the list."""
        try:
            maildrop = await self._open_store(admitted)
        except MaildropBusy:
            if not await self._take_over(admitted.account.id):
                raise
            account = str(admitted.account.address)
            self.sink.emit(events.MaildropTakenOver(session=connection.session, account=account))
            maildrop = await self._open_store(admitted)
        opened.append(maildrop)

    async def _take_over(self, account: AccountId) -> bool:
        return await self.holders.take_over(account, after_s=self.limits.takeover_after_s)

    async def _open_store(self, admitted: Admitted) -> Maildrop:
        timeout_s = self.limits.opening_s * STORE_SHARE or float("inf")
        account = admitted.admission.account
        return await self.store.open(account.id, account.address, timeout_s=timeout_s)


@functools.lru_cache(_KINDS_OF_VISITORS)
def _what_is_offered(
    *,
    scram: bool,
    end_point: bytes | None,
    tokens: bool,
    certificate: bool,
    utf8: bool,
    login_delay_s: int,
) -> tuple[Mapping[str, MechanismFactory], CapabilityOffers]:
    """Return what a visitor is offered: the same for all who are alike, so it is put together once.

    Args:
        scram: SCRAM can work for somebody here.
        end_point: what its PLUS form is bound to; None where it is not offered.
        tokens: as in `Offers`.
        certificate: the visitor has shown one.
        utf8: as in `Gate`.
        login_delay_s: the same.

    Returns:
        The mechanisms, and what CAPA lists.
    """
    binding = None if end_point is None else ChannelBinding("tls-server-end-point", end_point)
    offers = MechanismOffers(
        nonce=_nonce, scram=scram, binding=binding, tokens=tokens, certificate=certificate
    )
    mechanisms = server_mechanisms(offers)
    return mechanisms, CapabilityOffers(tuple(mechanisms), utf8, login_delay_s)


def _nonce() -> str:
    return secrets.token_urlsafe(_NONCE_OCTETS)
