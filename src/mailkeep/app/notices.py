"""What a running server does when it is told that something was changed beside it."""

import asyncio
from collections.abc import Awaitable, Callable

from mailkeep.accounts import LoginCheck
from mailkeep.accounts.changes import Change, Changes
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.defence.keeping import DoorKeeper
from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.server import Sessions, UnknownNotice
from mailkeep.server.control import Notice
from mailkeep.values import AccountId

TAKEN_AT_ONCE = 500
"""Changes of accounts that are told at a time: a script that adds a thousand accounts makes two."""

SETTLED_WITHIN_S = 2.0
"""The audit trail writes several times a second. A disk that takes longer leaves the notes where
they are: they are removed at a later look, or told again after a restart."""


class ToldChanges:
    """Moves notes of changes from the accounts' database to whoever is told of events.

    Args:
        database: the accounts'.
        sink: who is told.
        settled: returns when what was told is durable.
    """

    def __init__(
        self, database: Database, sink: EventSink, settled: Callable[[], Awaitable[None]]
    ) -> None:
        self._database = database
        self._changes = Changes(database)
        self._sink = sink
        self._settled = settled
        self._told: set[int] = set()

    async def tell(self) -> bool:
        """Tell what is new, and remove it when that is durable.

        Returns:
            Whether there was anything new.
        """
        new = False
        try:
            changes = await self._database.run(self._changes.take, TAKEN_AT_ONCE)
            for change in changes:
                if change.id not in self._told:
                    new = True
                    self._sink.emit(_event_of(change))
                    self._told.add(change.id)
            await self._forget()
        except DatabaseUnavailable:
            return new  # logins say so already; the notes stay
        return new

    async def _forget(self) -> None:
        told = tuple(self._told)
        if not told:
            return
        try:
            await asyncio.wait_for(self._settled(), SETTLED_WITHIN_S)
        except TimeoutError:
            return
        await self._database.run(self._changes.done, told)
        self._told.difference_update(told)


class Notices:
    """Does what notices ask for.

    Args:
        check: asked whether sessions may go on.
        sessions: those that are open.
        keeper: of the door.
        changes: to be told.
        sink: told of sessions that end.
    """

    def __init__(
        self,
        check: LoginCheck,
        sessions: Sessions,
        keeper: DoorKeeper,
        changes: ToldChanges,
        sink: EventSink,
    ) -> None:
        self._check = check
        self._sessions = sessions
        self._keeper = keeper
        self._changes = changes
        self._sink = sink

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
            case _:
                raise UnknownNotice("this server does not know that notice")

    async def look_for_changes(self) -> None:
        """Take up what somebody changed without a notice."""
        if await self._changes.tell():
            await self._check.look_again()

    async def look_at_account(self, account: AccountId | None) -> None:
        """End sessions that may not go on, and take over what their owner confirmed.

        Args:
            account: whose; None for everybody's.
        """
        await self._changes.tell()
        await self._check.look_again()
        if account is not None:
            await self._keeper.account_changed(account)
        await self._sessions.end_revoked(account, self._check.is_still_good, self._sink)


def _event_of(change: Change) -> events.AccountChanged | events.DeviceChanged:
    if change.device is None:
        return events.AccountChanged(account=change.account, what=change.what, by=change.by)
    return events.DeviceChanged(
        account=change.account, device=change.device, what=change.what, by=change.by
    )
