"""From credentials to a decision: who is named, the door, the check, the door again.

Whatever is wrong, the client hears one answer, and no sooner than `refusal_s` after the moment at
which its guess was looked at; what was wrong is told as an event only.

It knows no command and no mechanism.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mailkeep.accounts import (
    Admission,
    CheckUnavailable,
    Claim,
    Identified,
    LoginRefused,
    PasswordClaim,
)
from mailkeep.defence import (
    Attempt,
    Ban,
    Consequences,
    DoorUnavailable,
    Let,
    Success,
    Turned,
    Turning,
    Welcome,
)
from mailkeep.events import types as events
from mailkeep.pop3 import Err
from mailkeep.server import replies
from mailkeep.server.before_login.gate import Admitted, Gate
from mailkeep.server.before_login.visitor import Visitor
from mailkeep.server.wire import Wire

_NAME_TOLD_OCTETS = 320
"""No address is longer (RFC 5321 section 4.5.3.1). A SASL name may have 9 KiB, which escaping makes
64: the journal cuts such a line in two (LineMax of journald.conf(5)), and what a stranger wrote
would begin the second."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The answer to credentials that let nobody in."""

    reply: Err
    is_guess: bool
    """It counts against the connection; what could not be checked does not."""


class _Refused(Exception):
    """The credentials let nobody in."""

    def __init__(self, reason: str, delayed_s: float, reply: Err = replies.LOGIN_REFUSED) -> None:
        super().__init__(reason)
        self.delayed_s = delayed_s
        self.reply = reply


class Deciding:
    """Decides about the logins of one visitor."""

    def __init__(self, gate: Gate, visitor: Visitor, wire: Wire) -> None:
        self._gate = gate
        self._visitor = visitor
        self._wire = wire

    async def decide(self, claim: Claim, mechanism: str) -> Admitted | Denied:
        """Find out whom a claim lets in.

        Raises:
            Disconnected: nobody is there any more.
        """
        arrived_s = asyncio.get_running_loop().time()
        try:
            admitted = await self._pass(claim, mechanism)
            await self._gate.sink.ready()
        except (CheckUnavailable, DoorUnavailable) as unavailable:
            self._tell_deferred(claim, mechanism, str(unavailable))
            return Denied(replies.CHECK_UNAVAILABLE, is_guess=False)
        except _Refused as refused:
            self._tell_refused(claim, mechanism, str(refused))
            await self._gate.sink.ready()
            await _sleep_until(arrived_s + refused.delayed_s + self._gate.refusal_s)
            return Denied(refused.reply, is_guess=True)
        return admitted

    async def _pass(self, claim: Claim, mechanism: str) -> Admitted:
        identified = await self._gate.check.identify(claim)
        answer = await self._gate.door.ask(self._attempt(identified, claim, mechanism))
        if answer.delayed_s:
            self._tell_delayed(identified, answer.delayed_s)
        match answer:
            case Turned(reason, delayed_s):
                raise _Refused(reason.value, delayed_s)
            case Let() as let:
                admission = await self._verify(identified, let)
                welcome = await self._welcome(admission, let)
                if welcome.refused is not None:
                    raise _Refused(welcome.refused.value, let.delayed_s, _reply(welcome.refused))
                await self._gate.check.note_use(
                    admission, self._visitor.source, self._client(mechanism)
                )
                return Admitted(admission, mechanism, welcome.familiar)

    async def _verify(self, identified: Identified, let: Let) -> Admission:
        """Check while the attempt holds its place, and give that back in any case."""
        gate = self._gate
        try:
            self._wire.check_open()
            return await gate.check.verify(identified, self._visitor.source)
        except LoginRefused as refused:
            await self._count(identified, let)
            raise _Refused(refused.reason.value, let.delayed_s) from refused
        except BaseException:
            await gate.door.give_up(let)
            raise

    async def _count(self, identified: Identified, let: Let) -> None:
        """Let the door count a guess; a device that has expired is none, however often it asks."""
        if identified.is_sure:
            await self._gate.door.give_up(let)
            return
        consequences = await self._gate.door.fail(let, account=identified.account)
        self._tell_consequences(identified, consequences)

    async def _welcome(self, admission: Admission, let: Let) -> Welcome:
        device = admission.device.id if admission.device else None
        success = Success(admission.account.id, device, admission.by_main_password)
        welcome = await self._gate.door.succeed(let, success)
        self._tell_bans(welcome.bans)
        self._tell_odd(admission, welcome)
        return welcome

    def _attempt(self, identified: Identified, claim: Claim, mechanism: str) -> Attempt:
        seal = None
        if isinstance(claim, PasswordClaim) and not identified.is_sure:
            seal = self._gate.seal(claim.password_untrusted)
        visitor = self._visitor
        return Attempt(
            session=visitor.session,
            source=visitor.source,
            name=identified.name,
            mechanism=mechanism,
            password_seal=seal,
            is_sure=identified.is_sure,
            tls=visitor.tls is not None,
        )

    def _client(self, mechanism: str) -> str:
        return f"{mechanism} {self._visitor.tls or 'in clear'}"

    # What is told.

    def _tell_refused(self, claim: Claim, mechanism: str, reason: str) -> None:
        self._gate.sink.emit(
            events.LoginRefused(
                session=self._visitor.session,
                peer=self._visitor.peer,
                mechanism=mechanism,
                reason=reason,
                name=_name_told(claim),
            )
        )

    def _tell_deferred(self, claim: Claim, mechanism: str, reason: str) -> None:
        self._gate.sink.emit(
            events.LoginDeferred(
                session=self._visitor.session,
                peer=self._visitor.peer,
                mechanism=mechanism,
                reason=reason,
                name=_name_told(claim),
            )
        )

    def _tell_delayed(self, identified: Identified, seconds: float) -> None:
        self._gate.sink.emit(
            events.LoginDelayed(
                session=self._visitor.session,
                peer=self._visitor.peer,
                seconds=round(seconds, 3),
                name=identified.name[:_NAME_TOLD_OCTETS],
            )
        )

    def _tell_consequences(self, identified: Identified, consequences: Consequences) -> None:
        own = (consequences.ban,) if consequences.ban is not None else ()
        self._tell_bans((*own, *consequences.other_bans))
        if (failures := consequences.guessed_at) is not None:
            self._gate.sink.emit(
                events.MainPasswordGuessedAt(account=identified.name, failures=failures)
            )

    def _tell_bans(self, bans: Sequence[Ban]) -> None:
        for ban in bans:
            self._gate.sink.emit(
                events.PrefixBanned(prefix=ban.prefix, seconds=ban.seconds, reason=ban.reason)
            )

    def _tell_odd(self, admission: Admission, welcome: Welcome) -> None:
        visitor, account = self._visitor, str(admission.account.address)
        if welcome.refused is Turning.HOT_PASSWORD:
            self._gate.sink.emit(
                events.HotPasswordRight(session=visitor.session, account=account, peer=visitor.peer)
            )
        if welcome.odd is not None:
            self._gate.sink.emit(
                events.LoginFromNewPlace(
                    session=visitor.session,
                    account=account,
                    peer=visitor.peer,
                    country=welcome.country,
                    before=welcome.country_before,
                    reason=welcome.odd.value,
                    refused=welcome.refused is welcome.odd,
                    is_alert=welcome.is_alert,
                )
            )


def _reply(turning: Turning) -> Err:
    return replies.TOO_SOON if turning is Turning.LOGIN_DELAY else replies.LOGIN_REFUSED


def _name_told(claim: Claim) -> str:
    return claim.name_untrusted[:_NAME_TOLD_OCTETS].decode(errors="backslashreplace")


async def _sleep_until(time_s: float) -> None:
    """Sleep until the loop's clock shows a time; do not even yield when it has come."""
    rest_s = time_s - asyncio.get_running_loop().time()
    if rest_s > 0:
        await asyncio.sleep(rest_s)
