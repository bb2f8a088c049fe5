"""The door of a worker: asks the process that has the real one, over the control socket.

One connection for all attempts (`door_link`). When it is lost it is made anew; attempts that wait
are asked again, and those that are being looked at have lost their places with it. A guess that
cannot be counted must not be answered either: right or wrong, its report raises `DoorUnavailable`,
so that an outage tells nobody which it was. Who proves what cannot be guessed comes in all the
same; all others wait for the door, and then are told to try again later.

Who was let in a while ago is let in again without a question where the real door has said that this
lasts (`permissions`); it hears of that now and then, and takes it back when anything goes wrong.

Connections are judged by what is known here (`door_known`), because nobody may wait for that; the
door is asked behind the connection's back, and who should not have been let in is named then.

Known limit: a login during an outage makes nobody familiar.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailkeep.defence import (
    Attempt,
    Consequences,
    DoorUnavailable,
    Let,
    Success,
    Turned,
    Welcome,
)
from mailkeep.defence.seam import FAMILIAR
from mailkeep.server import door_wire as wire
from mailkeep.server.control import socket_address
from mailkeep.server.door_known import KnownSources
from mailkeep.server.door_link import PING_EVERY_S, Answering, DoorLink
from mailkeep.server.permissions import Permission, Permissions
from mailkeep.values import AccountId, IpAddress

UNREACHED_S = 20.0
"""How long a guess waits for a door that is away: a restart takes less, a guesser gets three empty
answers a minute, and mail programs give up after 30 s (`PATIENCE_S` of `defence.turns`)."""

SURE_WAITS_S = 1.0
"""How long a proof that cannot be guessed waits for it: what is only a hiccup of the connection, or
a worker's first second, should cost neither LOGIN-DELAY nor the policy server's word."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
"""Between two tries to reach it, doubling: a restart is noticed at once, a long outage costs
nothing."""

AWAY = "the process that has the door is away"
LOST = "the process that has the door went away meanwhile"

OnRefusal = Callable[[IpAddress], None]
"""Told a source that was let connect and should not have been."""


class DoorOverSocket:
    """A `LoginDoor` for one event loop; make it inside the loop, and `start` it.

    Args:
        path: of the control socket.

    Attributes:
        on_refusal: told a source that was let connect and should not have been; nobody at first.
    """

    def __init__(self, path: Path) -> None:
        self.on_refusal: OnRefusal = lambda _: None
        self._permissions = Permissions()
        self._path = path
        self._now_s = asyncio.get_running_loop().time
        self._numbers = itertools.count(1)
        self._link: DoorLink | None = None
        self._reached = asyncio.Event()
        self._lent: dict[int, _Lent] = {}
        self._known = KnownSources()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def is_reached(self) -> bool:
        """Tell whether the real door answers."""
        return self._link is not None

    def start(self) -> None:
        """Begin to reach for the real door."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep_reached())

    async def close(self) -> None:
        """Leave the real door; whatever is held there is given up."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._link is not None:
            self._link.abort()
            await self._link.lost

    def admits(self, source: IpAddress) -> bool:
        """Tell whether a new connection from there may be made at all. Takes no time."""
        now_s = self._now_s()
        if self._known.is_refused(source, now_s):
            return False
        if not self._known.is_admitted(source, now_s):
            self._look(source)
        return True

    def has_good_past(self, source: IpAddress) -> bool:
        """Tell whether somebody is known to have logged in from this prefix. Takes no time."""
        return self._known.has_good_past(source, self._now_s())

    async def ask(self, attempt: Attempt) -> Let | Turned:
        """Return when the guess may be looked at, or that it will not be.

        Cancelling gives the place up.

        Raises:
            DoorUnavailable: it cannot be found out now.
        """
        permission = self._permissions.find(attempt, self._now_s())
        if permission is not None:
            number = next(self._numbers)
            self._lent[number] = _Lent(None, attempt, permission)
            return Let(number, 0.0, familiar=True)
        return await self._ask_anew(attempt)

    async def _ask_anew(self, attempt: Attempt) -> Let | Turned:
        until_s = self._now_s() + (SURE_WAITS_S if attempt.is_sure else UNREACHED_S)
        while True:
            link = await self._reach(until_s)
            if link is None:
                return self._without(attempt)
            said = await self._ask_over(link, attempt)
            if said is not None:
                return said

    async def fail(self, let: Let, *, account: AccountId | None) -> Consequences:
        """Count a wrong guess.

        Raises:
            DoorUnavailable: it cannot be counted; the client must not learn that it was wrong.
        """
        lent = self._lent.pop(let.ticket, None)
        if lent is None:
            return Consequences()
        if lent.permission is not None:
            return await self._fail_permitted(lent.attempt, account)
        number = next(self._numbers)
        answer = await lent.report(number, wire.Fail(number, let.ticket, account))
        match answer:
            case wire.Counted():
                return answer.consequences()
            case None if lent.attempt.is_sure:
                return Consequences()
        raise _unavailable(answer)

    async def _fail_permitted(self, attempt: Attempt, account: AccountId | None) -> Consequences:
        """Count what was right a while ago and is wrong now, as it would have been counted."""
        self._permissions.drop(attempt)
        said = await self._ask_anew(attempt)
        return await self.fail(said, account=account) if isinstance(said, Let) else Consequences()

    async def succeed(self, let: Let, success: Success) -> Welcome:
        """Decide about right credentials, and remember the source if they are let in.

        Raises:
            DoorUnavailable: it cannot be decided; the client must not learn that it was right.
        """
        lent = self._lent.pop(let.ticket, None)
        if lent is None:
            raise LookupError("an attempt is reported once")
        if lent.permission is not None:
            if self._comes_again(lent.attempt, lent.permission, success):
                return FAMILIAR
            return await self._succeed_after_all(lent.attempt, success)
        number = next(self._numbers)
        answer = await lent.report(number, wire.Succeed.of(number, let.ticket, success))
        match answer:
            case wire.Welcomed():
                welcome = answer.welcome()
                if welcome.refused is None:
                    self._known.note_past(lent.attempt.source, self._now_s(), is_good=True)
                if answer.lasts:
                    self._permissions.lend(lent.attempt, self._now_s())
                return welcome
            case None if lent.attempt.is_sure:
                return FAMILIAR
        raise _unavailable(answer)

    def _comes_again(self, attempt: Attempt, permission: Permission, success: Success) -> bool:
        """Tell whether a permission still lets somebody in, and report that now and then."""
        now_s = self._now_s()
        if not permission.covers(now_s):
            return False
        if permission.is_to_be_reported(now_s):
            permission.reported_s = now_s
            self._report_again(attempt, success)
        return True

    async def _succeed_after_all(self, attempt: Attempt, success: Success) -> Welcome:
        """Ask about somebody whose permission was taken back while he was looked at."""
        said = await self._ask_anew(attempt)
        if isinstance(said, Let):
            return await self.succeed(said, success)
        return Welcome(refused=said.reason, familiar=True)

    def _report_again(self, attempt: Attempt, success: Success) -> None:
        """Tell that somebody was let in; nobody waits for what is said to that."""
        if self._link is None:
            return
        number = next(self._numbers)
        reporting = self._link.request(number, wire.Again.of(number, attempt, success))
        reporting.add_done_callback(lambda done: self._reported_again(attempt, done))

    def _reported_again(self, attempt: Attempt, reporting: Answering) -> None:
        answer = None if reporting.cancelled() else reporting.result()
        if isinstance(answer, wire.Welcomed) and answer.lasts:
            self._permissions.lend(attempt, self._now_s())
        else:
            self._permissions.drop(attempt)

    def ask_about_everybody(self) -> None:
        """Believe nothing any more of what lasted until now."""
        self.take_back(wire.TakenBack())

    def take_back(self, taken: wire.TakenBack) -> None:
        """Ask again about what lasted until now.

        Raises:
            Malformed: it cannot be understood.
        """
        abouts = taken.abouts()
        if not abouts:
            self._permissions.take_all_back()
            self._known.forget_admitted()
        for about in abouts:
            self._permissions.take_back(about)
        if taken.banned and taken.prefix is not None:
            self._known.note_banned(taken.prefix, self._now_s())

    async def give_up(self, let: Let) -> None:
        """Count nothing: it could not be checked, or the client has gone."""
        lent = self._lent.pop(let.ticket, None)
        if lent is not None and lent.link is not None:
            lent.link.give_up(let.ticket)

    async def _ask_over(self, link: DoorLink, attempt: Attempt) -> Let | Turned | None:
        """Return what is said; None when the connection was lost before that."""
        number = next(self._numbers)
        try:
            answer = await link.request(number, wire.Ask.of(number, attempt))
        except asyncio.CancelledError:
            link.give_up(number)
            raise
        match answer:
            case wire.Allowed():
                self._lent[number] = _Lent(link, attempt)
                return answer.let()
            case wire.TurnedAway():
                return answer.turned()
            case None:
                return None
        raise _unavailable(answer)

    def _without(self, attempt: Attempt) -> Let:
        """Let a proof that cannot be guessed, and no guess."""
        if not attempt.is_sure:
            raise DoorUnavailable(AWAY)
        number = next(self._numbers)
        self._lent[number] = _Lent(None, attempt)
        return Let(number, delayed_s=0.0, familiar=True)

    async def _reach(self, until_s: float) -> DoorLink | None:
        """Return the connection when there is one, or None when there is none for too long."""
        while self._link is None:
            try:
                async with asyncio.timeout_at(until_s):
                    await self._reached.wait()
            except TimeoutError:
                return None
        return self._link

    async def _keep_reached(self) -> None:
        """Connect again and again, for as long as this door is used."""
        pause_s = FIRST_PAUSE_S
        while True:
            link = await self._connect()
            began_s = self._now_s()
            if link is not None:
                self._link = link
                self._reached.set()
                await link.watch()
            if self._now_s() - began_s >= PING_EVERY_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _connect(self) -> DoorLink | None:
        """Return a connection on which the door has answered."""
        link, is_good = DoorLink(self._numbers, self._left, self.take_back), False
        loop = asyncio.get_running_loop()
        try:
            with socket_address(self._path) as address:
                await loop.create_unix_connection(lambda: link, address)
            is_good = await link.is_answered()
        except OSError:
            return None
        finally:
            if not is_good:
                link.abort()
        return link if is_good and not link.is_lost else None

    def _left(self, link: DoorLink) -> None:
        if self._link is link:
            self._link = None
            self._reached.clear()
            self.take_back(wire.TakenBack())  # what is taken back meanwhile is not heard

    def _look(self, source: IpAddress) -> None:
        """Ask about a source behind its back."""
        if self._link is None or not self._known.begin_look(source):
            return
        number = next(self._numbers)
        looking = self._link.request(number, wire.Look(number, str(source)))
        looking.add_done_callback(lambda done: self._looked(source, done))

    def _looked(self, source: IpAddress, looking: Answering) -> None:
        answer = None if looking.cancelled() else looking.result()
        looked = answer if isinstance(answer, wire.Looked) else None
        self._known.end_look(source, looked, self._now_s())
        if looked is not None and not looked.admits:
            self.on_refusal(source)


@dataclass(slots=True)
class _Lent:
    """An attempt that is being looked at."""

    link: DoorLink | None
    """Where its place is; None where it has none."""
    attempt: Attempt
    permission: Permission | None = None
    """By which it was let without a question."""

    async def report(self, number: int, request: wire.Fail | wire.Succeed) -> wire.Answer | None:
        """Return what is said to a report; None when its place is lost."""
        return None if self.link is None else await self.link.request(number, request)


def _unavailable(answer: wire.Answer | None) -> DoorUnavailable:
    return DoorUnavailable(answer.reason if isinstance(answer, wire.Unavailable) else LOST)
