"""Last uses: when, from where and by which program a credential let somebody in.

Nobody waits for them: they are written together, off the loop, and one credential at most once in
five minutes unless it comes from another address. What cannot be written stays for the next time,
up to a limit; losing one makes a last use older than it is, never newer.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, update

from mailkeep.accounts.tables import ACCOUNTS, DEVICES
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.values import AccountId, DeviceId

WRITTEN_AGAIN_AFTER_S = 300.0
"""Most programs look for mail every five minutes or sooner; last uses are told in days."""

WAITING_LIMIT = 10_000
"""Credentials whose use is not written yet: about 500 octets each, 5 MB. Beyond it the oldest is
forgotten, and its next login is noted again."""

WRITTEN_LIMIT = 50_000
"""Credentials whose last writing is remembered: about 300 octets each, 15 MB."""

CLIENT_LIMIT_CHARACTERS = 200
"""Of what is known about a program."""

UsedBy = tuple[AccountId, DeviceId | None]
"""A credential: a device, or what an account has without one."""


@dataclass(slots=True)
class Use:
    """One login."""

    at: datetime
    address: str
    client: str


class LastUses:
    """Writes down last uses. Belongs to one event loop."""

    def __init__(self, database: Database, monotonic_s: Callable[[], float]) -> None:
        self._database = database
        self._monotonic_s = monotonic_s
        self._waiting: OrderedDict[UsedBy, Use] = OrderedDict()
        self._written: OrderedDict[UsedBy, tuple[str, float]] = OrderedDict()
        self._writing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def has_written(self, used_by: UsedBy, address: str) -> bool:
        """Tell whether the same use was written not long ago, so that there is nothing to note."""
        return not self._waiting and self._is_known(used_by, address)

    def note(self, used_by: UsedBy, use: Use) -> None:
        """Take down a use that just happened; returns at once."""
        if not self._is_known(used_by, use.address):
            self._waiting.pop(used_by, None)
            self._waiting[used_by] = use
        while len(self._waiting) > WAITING_LIMIT:
            self._waiting.popitem(last=False)
        if self._waiting and (self._writing is None or self._writing.done()):
            self._writing = asyncio.get_running_loop().create_task(self._write_waiting())

    async def close(self) -> None:
        """Write what waits, if it can be written."""
        if self._writing is not None:
            await self._writing
        await self._write_waiting()

    def _is_known(self, used_by: UsedBy, address: str) -> bool:
        """Tell whether the same use was written down, or will be, not long ago."""
        waiting = self._waiting.get(used_by)
        if waiting is not None:
            return waiting.address == address
        before, again_at_s = self._written.get(used_by, ("", 0.0))
        return before == address and self._monotonic_s() < again_at_s

    async def _write_waiting(self) -> None:
        """Write until nothing waits, everything that came meanwhile together.

        A database that fails refuses nobody's login and is told by the reading before: what waits
        goes on waiting.
        """
        with contextlib.suppress(DatabaseUnavailable):
            while self._waiting:
                batch = dict(self._waiting)
                await self._database.run(_write, self._database, batch)
                self._forget_waiting(batch)

    def _forget_waiting(self, batch: Mapping[UsedBy, Use]) -> None:
        again_at_s = self._monotonic_s() + WRITTEN_AGAIN_AFTER_S
        for used_by, use in batch.items():
            if self._waiting.get(used_by) is use:
                del self._waiting[used_by]
            self._written.pop(used_by, None)
            self._written[used_by] = (use.address, again_at_s)
        while len(self._written) > WRITTEN_LIMIT:
            self._written.popitem(last=False)


def _write(database: Database, batch: Mapping[UsedBy, Use]) -> None:
    """Write uses in one transaction; those of what was removed meanwhile change nothing."""
    with database.writing() as connection:
        _write_accounts(connection, batch)
        _write_devices(connection, batch)


def _write_accounts(connection: Connection, batch: Mapping[UsedBy, Use]) -> None:
    change = (
        update(ACCOUNTS).where(ACCOUNTS.c.id == bindparam("used")).values(last_used=bindparam("at"))
    )
    uses = [{"used": account, "at": use.at} for (account, _), use in batch.items()]
    connection.execute(change, uses)


def _write_devices(connection: Connection, batch: Mapping[UsedBy, Use]) -> None:
    change = (
        update(DEVICES)
        .where(DEVICES.c.id == bindparam("used"))
        .values(
            last_used=bindparam("at"),
            last_address=bindparam("from_address"),
            last_client=bindparam("by_client"),
        )
    )
    uses = [
        {
            "used": device,
            "at": use.at,
            "from_address": use.address,
            "by_client": use.client[:CLIENT_LIMIT_CHARACTERS],
        }
        for (_, device), use in batch.items()
        if device is not None
    ]
    if uses:
        connection.execute(change, uses)
