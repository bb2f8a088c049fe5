"""Who holds which maildrop in this process, and when a second login may take it over.

A client whose network died leaves a session behind that only the kernel's timers end. Its owner,
who has just proved the same credential again, should not be locked out by his own ghost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailkeep.server.connection import Connection
from mailkeep.values import AccountId


@dataclass(slots=True, eq=False)
class Holder:
    """One session that holds a maildrop."""

    connection: Connection
    released: asyncio.Event | None = None
    """Made by who waits for it."""


TakeOver = Callable[[AccountId, float], Awaitable[bool]]
"""Ends a session that holds a maildrop in another process; see `Holders.take_over`."""


async def _nowhere(_account: AccountId, _after_s: float) -> bool:
    return False


class Holders:
    """The sessions of this process that hold a maildrop, by account.

    Args:
        elsewhere: asked when it is no session of this process.
    """

    def __init__(self, elsewhere: TakeOver = _nowhere) -> None:
        self._elsewhere = elsewhere
        self._by_account: dict[AccountId, Holder] = {}

    def add(self, account: AccountId, connection: Connection) -> Holder:
        """Note that `connection` holds the maildrop of `account`."""
        holder = self._by_account[account] = Holder(connection)
        return holder

    def remove(self, account: AccountId, holder: Holder) -> None:
        """Note that it has let go."""
        if self._by_account.get(account) is holder:
            del self._by_account[account]
        if holder.released is not None:
            holder.released.set()

    async def take_over(self, account: AccountId, *, after_s: float) -> bool:
        """End the session that holds a maildrop if it has been silent too long; nothing is removed.

        It may be one of another worker.

        Args:
            account: whose maildrop.
            after_s: seconds of silence that are too long; 0 for never.

        Returns:
            Whether the maildrop was let go and may be opened again.
        """
        if not after_s:
            return False
        if account in self._by_account:
            return await self.take_over_here(account, after_s=after_s)
        return await self._elsewhere(account, after_s)

    async def take_over_here(self, account: AccountId, *, after_s: float) -> bool:
        """Do the same, but only if it is a session of this process."""
        holder = self._by_account.get(account)
        if holder is None or holder.connection.silent_s() < after_s:
            return False
        holder.released = holder.released or asyncio.Event()
        holder.connection.abort("another session of the same user took over")
        await holder.released.wait()
        return True
