"""The door of a site: asks, counts, remembers. It belongs to one event loop.

What decides is elsewhere and pure (`turns`, `counters`, `bans`, `places`, `welcomes`); here is the
order of things. It reads and writes no file: what it learned is taken from `pending` by whoever
keeps it (`keeping`), so that a database that fails never stops a login.

Right credentials that are refused (`succeed`) are counted as wrong ones, because the next delay
would tell them apart otherwise. A proof that cannot be guessed is neither delayed nor counted.

Known limits: a place is held until it is reported, so whoever asks must report: strangers have but
a few on the whole site. A restart forgets the delays of the last half hour and the hot passwords,
not the bans.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailkeep.defence.bans import Bans
from mailkeep.defence.bounded import Bounded
from mailkeep.defence.counters import LOGIN_KEYS, Counters, Who, name_key
from mailkeep.defence.curve import delay_s, jittered_s
from mailkeep.defence.familiar import Familiar
from mailkeep.defence.lanes import Guess, Lane, Lanes
from mailkeep.defence.pending import Pending
from mailkeep.defence.places import Oddity, judge_place
from mailkeep.defence.policy_asking import PolicyAsking
from mailkeep.defence.policy_question import PolicyAnswer
from mailkeep.defence.policy_server import PolicyServer
from mailkeep.defence.prefixes import prefixes_of, unmapped
from mailkeep.defence.remembered import BanRow, FamiliarRow, GuessesRow, Remembered
from mailkeep.defence.rules import DoorRules, OddAnswer
from mailkeep.defence.seam import (
    FAMILIAR,
    UNFAMILIAR,
    Attempt,
    Ban,
    Consequences,
    DoorUnavailable,
    Let,
    Place,
    Success,
    Turned,
    Turning,
    Welcome,
)
from mailkeep.defence.strangers import USUALLY, Strangers
from mailkeep.defence.turns import (
    PATIENCE_S,
    PATIENCE_SPREAD,
    Circumstances,
    Go,
    Turn,
    Waiting,
    decide_turn,
)
from mailkeep.defence.welcomes import GUESSES_LIMIT, RightCredentials, decide_refusal
from mailkeep.values import AccountId, IpAddress

WAITING_LIMIT = 10_000
"""Guesses that wait at a time, about 2 KB each; as many as there may be connections."""

TOO_MANY_FAILURES = "10 wrong passwords or names in 10 minutes"
TRIED_EVERYWHERE = "a password tried on many accounts"


class PlaceFinder(Protocol):
    """Knows where addresses are."""

    def find(self, source: IpAddress) -> Place | None:
        """Return where an address is, as far as it is known. Takes no time."""


@dataclass(slots=True)
class _Lent:
    """An attempt that is being looked at."""

    attempt: Attempt
    who: Who
    guess: Guess | None
    """None: it needed no place."""


class Door:
    """The door of one event loop.

    Guesses of strangers are looked at a few at a time on the whole site; whoever is familiar, and
    proofs that cannot be guessed, need none of those places.

    Args:
        rules: the operator's choices.
        remembered: from before.
        places: where addresses are.
        policy_server: asked about each login, if there is one.
        strangers_at_a_time: guesses from unfamiliar sources that are looked at on the whole site
            (`places_for_strangers`).
        wall_s: seconds since 1970.
        chance: 0 to 1, for the delays.
        tell: hears when the policy server fails, at most once a minute.
    """

    def __init__(
        self,
        rules: DoorRules,
        *,
        remembered: Remembered | None = None,
        places: PlaceFinder | None = None,
        policy_server: PolicyServer | None = None,
        strangers_at_a_time: int = USUALLY,
        wall_s: Callable[[], float] = time.time,
        chance: Callable[[], float] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        before = remembered or Remembered()
        self.rules = rules
        self.pending = Pending()
        self._places = places
        self._wall_s = wall_s
        self._chance = chance or random.SystemRandom().random
        self._policy = PolicyAsking(policy_server, tell)
        self._counters = Counters()
        self._bans = Bans(before.bans)
        self._familiar = Familiar(before.familiar)
        self._guesses = {row.account: row for row in before.guesses}
        self._logins: Bounded[AccountId, float] = Bounded(LOGIN_KEYS)
        self._strangers = Strangers(strangers_at_a_time)
        self._lanes = Lanes(self._judge, self._strangers)
        self._lent: dict[int, _Lent] = {}
        self._tickets = itertools.count(1)

    def admits(self, source: IpAddress) -> bool:
        """Tell whether a new connection from there may be made at all. Takes no time."""
        now_s = self._wall_s()
        if self._bans.is_shut_out(source, now_s):
            return False
        if not self._bans.is_banned(source, now_s) or self.rules.allows(source):
            return True
        narrow = prefixes_of(source).narrow
        return self._familiar.has_good_past(narrow, now_s) or self._bans.admits(narrow, now_s)

    def has_good_past(self, source: IpAddress) -> bool:
        """Tell whether somebody has logged in from this prefix within 30 days. Takes no time."""
        return self._familiar.has_good_past(prefixes_of(source).narrow, self._wall_s())

    async def ask(self, attempt: Attempt) -> Let | Turned:
        """Return when the guess may be looked at, or that it will not be.

        Raises:
            DoorUnavailable: it cannot be found out now.
        """
        who, wall_s = self._who(attempt), self._wall_s()
        if self._bans.is_shut_out(attempt.source, wall_s) or (
            not (who.is_familiar or who.is_allowed) and self._bans.is_banned(attempt.source, wall_s)
        ):
            return await self._turn_away(who, Turning.BANNED, _now_s())
        if self._goes_at_once(attempt, who):
            arrived_s = _now_s()
            guess = Guess(attempt.source, who, arrived_s, arrived_s)
            self._lanes.enter_alone(guess)
            return self._let(attempt, who, guess)
        if not (attempt.is_sure or who.is_allowed):
            return await self._take_turn(attempt, who)
        answer = await self._consult(attempt)
        if answer.is_rejected:
            return self._reject(attempt)
        if answer.wait_s:
            await asyncio.sleep(answer.wait_s)
        return self._let(attempt, who, None)

    async def fail(self, let: Let, *, account: AccountId | None) -> Consequences:
        """Count a wrong guess."""
        lent = self._lent.pop(let.ticket, None)
        if lent is None:
            return Consequences()
        try:
            return self._count_wrong(lent, account)
        finally:
            self._give_back(lent)
            self._policy.report(lent.attempt, is_success=False)

    async def succeed(self, let: Let, success: Success) -> Welcome:
        """Decide about right credentials, and remember the source if they are let in."""
        lent = self._lent.pop(let.ticket, None)
        if lent is None:
            raise LookupError("an attempt is reported once")
        try:
            welcome = self._decide(lent, success)
        finally:
            self._give_back(lent)
        if self._policy.has_server:
            self._policy.report(lent.attempt, is_success=welcome.refused is None)
        return welcome

    async def give_up(self, let: Let) -> None:
        """Count nothing: it could not be checked, or the client has gone."""
        lent = self._lent.pop(let.ticket, None)
        if lent is not None:
            self._give_back(lent)

    def guesses(self, account: AccountId) -> int:
        """Return the failures of strangers since the owner last changed the main password."""
        row = self._guesses.get(account)
        return 0 if row is None else row.failures

    def replace_guesses(self, account: AccountId, row: GuessesRow | None) -> None:
        """Take over what somebody else wrote about an account."""
        self.pending.forget_guesses(account)
        self._guesses.pop(account, None)
        if row is not None:
            self._guesses[account] = row

    def replace_bans(self, rows: Sequence[BanRow]) -> None:
        """Take over the bans that are written down; those that are not yet stay."""
        self._bans.replace((*rows, *self.pending.bans))

    def bans(self) -> Sequence[BanRow]:
        """Return all bans, those over too while they count."""
        return self._bans.rows()

    async def close(self) -> None:
        """Give up what is still to be said to the policy server."""
        await self._policy.close()

    def _who(self, attempt: Attempt) -> Who:
        name, prefixes = name_key(attempt.name), prefixes_of(attempt.source)
        known = self._familiar.is_familiar(name, prefixes.narrow, self._wall_s())
        return Who(name, prefixes, known or attempt.is_sure, self.rules.allows(attempt.source))

    def _goes_at_once(self, attempt: Attempt, who: Who) -> bool:
        """Tell whether a guess needs a place and may have it without being judged.

        `decide_turn` lets whoever is familiar, has failed nothing and is alone in his prefix go
        at once, whatever his other circumstances are: they need not be looked up.
        """
        return (
            who.is_familiar
            and not (attempt.is_sure or who.is_allowed or self._policy.has_server)
            and not self._lanes.is_used(who.prefixes.narrow)
            and not self._counters.has_own_failures(who)
        )

    async def _take_turn(self, attempt: Attempt, who: Who) -> Let | Turned:
        """Wait for a place; if there is a policy server, wait first for one to ask it with."""
        guess = self._guess(attempt, who)
        if self._policy.has_server:
            turned = await self._consult_in_turn(attempt, guess)
            if turned is not None:
                return turned
        return await self._enter(guess) or self._let(attempt, who, guess)

    def _guess(self, attempt: Attempt, who: Who) -> Guess:
        arrived_s = _now_s()
        delay = jittered_s(self._counters.arrival_delay_s(who, arrived_s), self._chance())
        patience_s = PATIENCE_S * (1 - PATIENCE_SPREAD * self._chance())
        return Guess(attempt.source, who, arrived_s, arrived_s + delay, patience_s)

    async def _enter(self, guess: Guess) -> Turned | None:
        """Return when a guess has a place, or the answer that it will have none."""
        is_new = not (guess.has_place or guess.who.is_familiar)
        if is_new and self._lanes.waiting >= WAITING_LIMIT:
            raise DoorUnavailable("too many logins wait")
        outcome = await self._lanes.enter(guess)
        if isinstance(outcome, Go):
            return None
        if outcome.reason is None:
            raise DoorUnavailable("too many logins at a time")
        return await self._turn_away(guess.who, outcome.reason, guess.arrived_s)

    async def _consult(self, attempt: Attempt) -> PolicyAnswer:
        return await self._policy.ask(attempt, fails_closed=self.rules.policy_fails_closed)

    async def _consult_in_turn(self, attempt: Attempt, guess: Guess) -> Turned | None:
        """Ask the policy server with a place of the prefix only, so that it is not flooded either.

        A server that is away takes two seconds: with the few places, strangers would wait for it
        one behind the other.
        """
        guess.is_for_a_hash = False
        turned = await self._enter(guess)
        if turned is not None:
            return turned
        asked_s, goes_on = _now_s(), False
        try:
            answer = await self._consult(attempt)
            goes_on = not (answer.is_rejected or answer.wait_s)
        finally:
            if not goes_on:
                self._lanes.leave(guess)
        if answer.is_rejected:
            return self._reject(attempt)
        if answer.wait_s:
            await asyncio.sleep(answer.wait_s)
        guess.is_for_a_hash = True
        guess.arrived_s += _now_s() - asked_s  # the server's time is not the door's
        return None

    def _reject(self, attempt: Attempt) -> Turned:
        self._policy.report(attempt, is_success=False, is_policy_reject=True)
        return Turned(Turning.POLICY_SERVER, 0.0)

    async def _turn_away(self, who: Who, reason: Turning, arrived_s: float) -> Turned:
        """Answer when a wrong guess might be answered, or at once if too many wait for that."""
        now_s = _now_s()
        failures = self._counters.record(who, now_s).failures
        until_s = arrived_s + jittered_s(delay_s(failures), self._chance())
        if until_s > now_s and self._lanes.waiting < WAITING_LIMIT:
            with self._lanes.one_waits():
                await asyncio.sleep(until_s - now_s)
        return Turned(reason, _now_s() - arrived_s)

    def _judge(self, guess: Guess, ahead: int, lane: Lane, now_s: float) -> Turn:
        who = guess.who
        prefixes = who.prefixes
        has_site_room = self._strangers.free > 0 or not guess.needs_site_place
        meets = Circumstances(
            record=self._counters.record(who, now_s),
            is_banned=self._bans.is_banned(guess.source, self._wall_s()),
            is_familiar=who.is_familiar,
            held=len(lane.holders),
            held_alike=lane.held_alike(who),
            has_wider_room=self._counters.has_wider_room(
                prefixes,
                middle_held=self._lanes.held(prefixes.middle),
                wide_held=self._lanes.held(prefixes.wide),
                now_s=now_s,
            ),
            wider_failed=self._counters.have_wider_failed(prefixes, now_s),
            has_site_room=has_site_room,
            suspicion=0 if has_site_room else self._counters.suspicion(prefixes, now_s),
        )
        waiting = Waiting(guess.arrived_s, guess.ready_s, ahead, guess.patience_s)
        return decide_turn(waiting, meets, now_s)

    def _let(self, attempt: Attempt, who: Who, guess: Guess | None) -> Let:
        ticket = next(self._tickets)
        self._lent[ticket] = _Lent(attempt, who, guess)
        waited_s = 0.0 if guess is None else guess.slowed_s
        return Let(ticket, waited_s, who.is_familiar)

    def _give_back(self, lent: _Lent) -> None:
        if lent.guess is not None:
            self._lanes.leave(lent.guess)

    def _count_wrong(self, lent: _Lent, account: AccountId | None) -> Consequences:
        if lent.attempt.is_sure:
            return Consequences()
        who = lent.who
        noted = self._counters.note_wrong(who, lent.attempt.password_seal, _now_s(), self._chance())
        own = self._ban(who.prefixes.narrow, TOO_MANY_FAILURES) if noted.asks_for_a_ban else None
        hot = {it: self._ban(it, TRIED_EVERYWHERE) for it in sorted(noted.hot)}
        own = own or hot.pop(who.prefixes.narrow, None)
        is_crossing = False
        if account is not None and noted.is_counted and not who.is_familiar:
            is_crossing = self._note_guess(account) == GUESSES_LIMIT
        return Consequences(
            ban=own,
            other_bans=tuple(ban for ban in hot.values() if ban is not None),
            guessed_at=GUESSES_LIMIT if is_crossing else None,
        )

    def _ban(self, prefix: str, reason: str) -> Ban | None:
        now_s = self._wall_s()
        row = self._bans.ban(prefix, reason, now_s)
        if row is None or row.until_s is None:
            return None
        self.pending.note_ban(row)
        return Ban(prefix=prefix, seconds=round(row.until_s - now_s), reason=reason)

    def _note_guess(self, account: AccountId) -> int:
        row = self._guesses.get(account)
        since_s = self._wall_s() if row is None else row.since_s
        row = GuessesRow(account, self.guesses(account) + 1, since_s)
        self._guesses[account] = row
        self.pending.note_guesses(row)
        return row.failures

    def _decide(self, lent: _Lent, success: Success) -> Welcome:
        now_s = self._wall_s()
        who = lent.who
        is_known = self._familiar.is_familiar(who.name, who.prefixes.narrow, now_s)
        here, odd = None, None
        if self._places is not None:
            here = self._places.find(unmapped(lent.attempt.source))
            odd = judge_place(self._familiar.places(who.name, now_s), here, now_s, self.rules)
        refused = self._refusal(lent, success, odd)
        bans: tuple[Ban, ...] = ()
        if refused is None:
            row = FamiliarRow(who.name, who.prefixes.narrow, now_s, here)
            self._welcome(lent, success, row, is_new=not is_known)
            if here is None:
                return FAMILIAR if is_known else UNFAMILIAR
        elif refused is not Turning.LOGIN_DELAY:
            came_of_it = self._count_wrong(lent, success.account)
            bans = (*((came_of_it.ban,) if came_of_it.ban else ()), *came_of_it.other_bans)
        return Welcome(
            refused=refused,
            familiar=is_known,
            odd=odd.kind if odd else None,
            is_alert=odd is not None and odd.answer in {OddAnswer.ALERT, OddAnswer.REFUSE},
            country=here.country if here else None,
            country_before=odd.country_before if odd else None,
            bans=bans,
        )

    def _refusal(self, lent: _Lent, success: Success, odd: Oddity | None) -> Turning | None:
        attempt, now_s = lent.attempt, _now_s()
        last_s = self._logins.get(success.account) if self.rules.login_delay_s else None
        login = RightCredentials(
            attempt.is_sure,
            self._counters.hot.is_hot(attempt.password_seal, now_s),
            success.by_main_password,
            lent.who.is_familiar,
            self.guesses(success.account),
            odd,
            None if last_s is None else now_s - last_s,
        )
        return decide_refusal(login, self.rules.login_delay_s)

    def _welcome(self, lent: _Lent, success: Success, row: FamiliarRow, *, is_new: bool) -> None:
        self._familiar.note(row)
        self.pending.note_familiar(row, is_new=is_new)
        self._counters.note_right(lent.who)
        if self.rules.login_delay_s:
            self._logins.put(success.account, _now_s())


def _now_s() -> float:
    return asyncio.get_running_loop().time()
