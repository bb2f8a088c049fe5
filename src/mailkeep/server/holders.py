"""Who holds which maildrop in this process, and when a second login may take it over.

A client whose network died leaves a session behind that only the kernel's timers end. Its owner,
who has just proved the same credential again, should not be locked out by his own ghost.
"""

import asyncio
from dataclasses import dataclass, field

from mailkeep.server.connection import Connection
from mailkeep.values import AccountId


@dataclass(slots=True, eq=False)
class Holder:
    """One session that holds a maildrop."""

    connection: Connection
    released: asyncio.Event = field(default_factory=asyncio.Event)


class Holders:
    """The sessions of this process that hold a maildrop, by account."""

    def __init__(self) -> None:
        self._by_account: dict[AccountId, Holder] = {}

    def add(self, account: AccountId, connection: Connection) -> Holder:
        """Note that `connection` holds the maildrop of `account`."""
        holder = self._by_account[account] = Holder(connection)
        return holder

    def remove(self, account: AccountId, holder: Holder) -> None:
        """Note that it has let go."""
        if self._by_account.get(account) is holder:
            del self._by_account[account]
        holder.released.set()

    async def take_over(self, account: AccountId, *, after_s: float) -> bool:
        """End the session that holds a maildrop if it has been silent too long; nothing is removed.

        Args:
            account: whose maildrop.
            after_s: seconds of silence that are too long; 0 for never.

        Returns:
            Whether the maildrop was let go and may be opened again.
        """
        holder = self._by_account.get(account)
        if holder is None or not after_s or holder.connection.silent_s() < after_s:
            return False
        holder.connection.abort("another session of the same user took over")
        await holder.released.wait()
        return True
