"""What a running server does when it is told that something was changed beside it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from mailkeep.accounts import LoginCheck
from mailkeep.accounts.changes import Change
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.defence.ban_notes import BanNote
from mailkeep.defence.keeping import DoorKeeper
from mailkeep.events import Event, EventSink
from mailkeep.events import types as events
from mailkeep.server import Sessions, UnknownNotice
from mailkeep.server.control import Notice
from mailkeep.values import AccountId

TAKEN_AT_ONCE = 500
"""Changes that are told at a time: a script that adds a thousand accounts makes two."""

SETTLED_WITHIN_S = 2.0
"""The audit trail writes several times a second. A disk that takes longer leaves the notes where
they are: they are removed at a later look, or told again after a restart."""


class _Numbered(Protocol):
    @property
    def id(self) -> int: ...


T = TypeVar("T", bound=_Numbered)
T_co = TypeVar("T_co", covariant=True)


class Outbox(Protocol[T_co]):
    """Notes of what commands changed, kept until they were told. Every method blocks."""

    def take(self, limit: int) -> Sequence[T_co]:
        """Return the oldest."""

    def done(self, ids: Sequence[int]) -> None:
        """Forget those that were told."""


class ToldNotes(Generic[T]):
    """Moves notes of changes from a database to whoever is told of events.

    Args:
        database: with the notes.
        notes: in it.
        event_of: what a note is told as.
        sink: who is told.
        settled: returns when what was told is durable.
    """

    def __init__(
        self,
        database: Database,
        notes: Outbox[T],
        event_of: Callable[[T], Event],
        sink: EventSink,
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._notes = notes
        self._event_of = event_of
        self._sink = sink
        self._settled = settled
        self._told: set[int] = set()
        self._one_at_a_time = asyncio.Lock()

    async def tell(self) -> bool:
        """Tell what is new, and remove it when that is durable.

        Returns:
            Whether there was anything new.
        """
        new = False
        with contextlib.suppress(DatabaseUnavailable):  # others say so already; the notes stay
            async with self._one_at_a_time:  # what another look has just removed was told
                for note in await self._database.run(self._notes.take, TAKEN_AT_ONCE):
                    if note.id not in self._told:
                        new = True
                        self._sink.emit(self._event_of(note))
                        self._told.add(note.id)
                await self._forget()
        return new

    async def _forget(self) -> None:
        told = tuple(self._told)
        if not told:
            return
        try:
            await asyncio.wait_for(self._settled(), SETTLED_WITHIN_S)
        except TimeoutError:
            return
        await self._database.run(self._notes.done, told)
        self._told.difference_update(told)


class Recheck(Protocol):
    """Looks again at who is logged in, wherever that is."""

    async def look_at_account(self, account: AccountId | None) -> None:
        """Return when no session goes on that may not.

        Args:
            account: whose; None for everybody's.
        """

    async def look_again(self) -> None:
        """Return when what is kept about all accounts has been read anew."""


class RecheckHere:
    """Looks at the sessions of this process.

    Args:
        check: asked whether they may go on.
        sessions: those that are open.
        sink: told of those that end.
    """

    def __init__(self, check: LoginCheck, sessions: Sessions, sink: EventSink) -> None:
        self._check = check
        self._sessions = sessions
        self._sink = sink

    async def look_at_account(self, account: AccountId | None) -> None:
        """See `Recheck`."""
        await self._check.look_again()
        await self._sessions.end_revoked(account, self._check.is_still_good, self._sink)

    async def look_again(self) -> None:
        """See `Recheck`."""
        await self._check.look_again()


class Notices:
    """Does what notices ask for.

    Args:
        recheck: looks at who is logged in.
        keeper: of the door.
        told_accounts: of what commands changed in accounts and devices.
        told_bans: of what they did to bans.

    Attributes:
        on_change: called when the door has taken over a change.
    """

    def __init__(
        self,
        recheck: Recheck,
        keeper: DoorKeeper,
        *,
        told_accounts: ToldNotes[Change],
        told_bans: ToldNotes[BanNote],
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._recheck = recheck
        self._keeper = keeper
        self._told_accounts = told_accounts
        self._told_bans = told_bans

    async def take(self, notice: Notice) -> None:
        """Return when what a notice says is in force.

        Raises:
            UnknownNotice: nobody understands it.
        """
        match notice:
            case {"notice": "accounts", "account": int(number)}:
                await self.look_at_account(AccountId(number))
            case {"notice": "accounts"}:
                await self.look_at_account(None)
            case {"notice": "bans"}:
                await self._keeper.reload_bans()
                self.on_change()
                await self._told_bans.tell()
                await self._recheck.look_again()
            case _:
                raise UnknownNotice("this server does not know that notice")

    async def look_for_changes(self) -> None:
        """Take up what somebody changed without a notice."""
        await self._told_bans.tell()
        if await self._told_accounts.tell():
            self.on_change()
            await self._recheck.look_again()

    async def look_at_account(self, account: AccountId | None) -> None:
        """End sessions that may not go on, and take over what their owner confirmed.

        Args:
            account: whose; None for everybody's.
        """
        await self._told_accounts.tell()
        if account is not None:
            await self._keeper.account_changed(account)
        self.on_change()
        await self._recheck.look_at_account(account)


def event_of_change(change: Change) -> events.AccountChanged | events.DeviceChanged:
    """Return what a change of an account or a device is told as."""
    if change.device is None:
        return events.AccountChanged(account=change.account, what=change.what, by=change.by)
    return events.DeviceChanged(
        account=change.account, device=change.device, what=change.what, by=change.by
    )


def event_of_ban(note: BanNote) -> events.PrefixBanned | events.PrefixUnbanned:
    """Return what an operator's ban, or its end, is told as."""
    deed = note.deed
    if deed.is_lifted:
        return events.PrefixUnbanned(prefix=deed.prefix, by=deed.by)
    return events.PrefixBanned(
        prefix=deed.prefix, seconds=deed.seconds, by=deed.by, reason=deed.reason
    )
