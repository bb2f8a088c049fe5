"""From credentials to a decision: who is named, the door, the check, the door again.

Whatever is wrong, the client hears one answer, and no sooner than `refusal_s` after its credentials
have come and the door's delay is over; what was wrong is told as an event only. A login that could
not be checked is answered no sooner either: when the door goes away meanwhile, the time must not
say what it would have been.

Nothing is looked at while the record has no room for what comes of it. Who leaves while he waits
for that is soon waited for no more.

It knows no command and no mechanism.
"""

import asyncio
from dataclasses import dataclass, replace

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
    DoorUnavailable,
    Let,
    Success,
    Turned,
    Turning,
    Welcome,
)
from mailkeep.pop3 import Err
from mailkeep.server import replies
from mailkeep.server.before_login.gate import Admitted, Gate
from mailkeep.server.before_login.telling import LEFT, Guess, LoginTelling
from mailkeep.server.before_login.visitor import Visitor
from mailkeep.server.wire import Disconnected, Wire

_LOOK_S = 1.0
"""Whether the client is still there, while its login waits for the record: a disk that takes
nothing for an hour must not make us keep everybody who has come and gone."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The answer to credentials that let nobody in."""

    reply: Err
    is_guess: bool
    """It counts against the connection; what could not be checked does not."""


class _Refused(Exception):
    """The credentials let nobody in."""

    def __init__(self, reason: str, reply: Err = replies.LOGIN_REFUSED) -> None:
        super().__init__(reason)
        self.reply = reply


class Deciding:
    """Decides about the logins of one visitor."""

    __slots__ = ("_gate", "_telling", "_visitor", "_wire")

    def __init__(self, gate: Gate, visitor: Visitor, wire: Wire, telling: LoginTelling) -> None:
        self._gate = gate
        self._visitor = visitor
        self._wire = wire
        self._telling = telling

    async def decide(self, claim: Claim, mechanism: str) -> Admitted | Denied:
        """Find out whom a claim lets in.

        Raises:
            Disconnected: nobody is there any more.
        """
        if not self._gate.sink.has_room():
            await self._wait_for_room()
        arrived_s = asyncio.get_running_loop().time()
        guess = Guess(claim, mechanism)
        try:
            return await self._pass(guess)
        except (CheckUnavailable, DoorUnavailable) as unavailable:
            self._telling.deferred(guess.mechanism, guess.name, str(unavailable))
            denied = Denied(replies.CHECK_UNAVAILABLE, is_guess=False)
        except _Refused as refused:
            self._telling.refused(guess, str(refused))
            denied = Denied(refused.reply, is_guess=True)
        await _sleep_until(arrived_s + guess.delayed_s + self._gate.refusal_s)
        return denied

    async def _pass(self, guess: Guess) -> Admitted:
        gate, visitor = self._gate, self._visitor
        identified = await gate.check.identify(guess.claim)
        guess.owner = identified.name
        let = await gate.door.ask(self._attempt(identified, guess))
        if isinstance(let, Turned):
            self._note_delay(guess, let.delayed_s)
            raise _Refused(let.reason.value)
        admission = await self._verify(identified, let, guess)
        welcome = await self._welcome(identified, admission, let)
        if welcome.refused is not None:
            await self._make_alike(identified, admission, guess, welcome.refused)
            raise _Refused(welcome.refused.value, _reply(welcome.refused))
        client = f"{guess.mechanism} {visitor.tls or 'in clear'}"
        await gate.check.note_use(admission, visitor.source, client)
        if not gate.sink.has_room():
            await self._wait_for_room_with(guess)
        return Admitted(admission, guess.mechanism, welcome.familiar)

    async def _verify(self, identified: Identified, let: Let, guess: Guess) -> Admission:
        """Check while the attempt holds its place, and give that back in any case."""
        gate = self._gate
        try:
            if let.delayed_s:
                self._note_delay(guess, let.delayed_s)
            self._wire.check_open()
            return await gate.check.verify(identified, self._visitor.source)
        except LoginRefused as refused:
            await self._count(identified, let)
            if identified.is_sure:
                await self._delay_like_a_guess(identified, guess)
            raise _Refused(refused.reason.value) from refused
        except BaseException:
            await gate.door.give_up(let)
            raise

    async def _count(self, identified: Identified, let: Let) -> None:
        """Let the door count a guess; a device that has expired is none, however often it asks."""
        if identified.is_sure:
            await self._gate.door.give_up(let)
            return
        consequences = await self._gate.door.fail(let, account=identified.account)
        self._telling.consequences(identified, consequences)

    async def _welcome(self, identified: Identified, admission: Admission, let: Let) -> Welcome:
        device = admission.device.id if admission.device else None
        success = Success(admission.account.id, device, admission.by_main_password)
        try:
            welcome = await self._gate.door.succeed(let, success)
        except DoorUnavailable:
            await self._pay(identified, admission)
            raise
        if welcome.refused is not None or welcome.odd is not None:
            self._telling.bans(welcome.bans)
            self._telling.odd(admission, welcome)
        return welcome

    # Refusals of what is right look like those of what is wrong.

    async def _make_alike(
        self, identified: Identified, admission: Admission, guess: Guess, refused: Turning
    ) -> None:
        """Spend the time on right credentials that are refused which wrong ones would have cost."""
        if refused is Turning.LOGIN_DELAY:  # whose answer says that they are right
            return
        await self._pay(identified, admission)
        if identified.is_sure:
            await self._delay_like_a_guess(identified, guess)

    async def _pay(self, identified: Identified, admission: Admission) -> None:
        if admission.owes_a_hash:
            await self._gate.check.pay(identified)

    async def _delay_like_a_guess(self, identified: Identified, guess: Guess) -> None:
        """Let a proof that is refused wait as long as a guess from there; it is not counted.

        It was not slowed down, because it cannot be guessed. Answered at once, it would be told
        apart: whoever has found a password that is good only elsewhere would know what he has.
        """
        attempt = self._attempt(replace(identified, is_sure=False), guess)
        answer = await self._gate.door.ask(attempt)
        self._note_delay(guess, answer.delayed_s)
        if isinstance(answer, Let):
            await self._gate.door.give_up(answer)

    def _note_delay(self, guess: Guess, seconds: float) -> None:
        guess.delayed_s = seconds
        if seconds:
            self._telling.delayed(guess)

    # Waiting for the record.

    async def _wait_for_room_with(self, guess: Guess) -> None:
        """Wait with credentials that are right; if the client leaves, that is told."""
        try:
            await self._wait_for_room()
        except Disconnected:
            self._telling.refused(guess, LEFT)
            raise

    async def _wait_for_room(self) -> None:
        """Return when the record has room for what a login tells.

        Raises:
            Disconnected: the client has left meanwhile.
        """
        room = asyncio.ensure_future(self._gate.sink.ready())
        try:
            while not room.done():
                await asyncio.wait((room,), timeout=_LOOK_S)
                self._wire.check_open()
            room.result()
        finally:
            room.cancel()

    def _attempt(self, identified: Identified, guess: Guess) -> Attempt:
        seal = None
        if isinstance(guess.claim, PasswordClaim) and not identified.is_sure:
            seal = self._gate.seal(guess.claim.password_untrusted)
        visitor = self._visitor
        return Attempt(
            visitor.session,
            visitor.source,
            identified.name,
            guess.mechanism,
            seal,
            identified.is_sure,
            visitor.tls is not None,
        )


def _reply(turning: Turning) -> Err:
    return replies.TOO_SOON if turning is Turning.LOGIN_DELAY else replies.LOGIN_REFUSED


async def _sleep_until(time_s: float) -> None:
    """Sleep until the loop's clock shows a time; do not even yield when it has come."""
    rest_s = time_s - asyncio.get_running_loop().time()
    if rest_s > 0:
        await asyncio.sleep(rest_s)
