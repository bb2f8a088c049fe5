"""Bans, and guesses at accounts, as an operator sees and changes them. Every call blocks.

A running server has its own memory: tell it afterwards (`DoorKeeper.reload_bans`,
`DoorKeeper.account_changed`).
"""

import time
from collections.abc import Callable, Sequence

from mailkeep.database.engine import Database
from mailkeep.defence.ban_notes import Deed
from mailkeep.defence.prefixes import parse_prefix
from mailkeep.defence.remembered import BanRow, GuessesRow
from mailkeep.defence.store import DoorStore
from mailkeep.values import AccountId


class BanDirectory:
    """Lists, adds and removes bans. Every method can raise `DatabaseUnavailable`."""

    def __init__(self, database: Database, *, wall_s: Callable[[], float] = time.time) -> None:
        self._store = DoorStore(database)
        self._wall_s = wall_s

    def add(self, prefix: str, seconds: int | None, reason: str, by: str) -> BanRow:
        """Ban an address or network; a ban of the same one is replaced.

        Args:
            prefix: what to ban.
            seconds: how long; None until it is removed.
            reason: for whoever reads the list.
            by: who bans.

        Raises:
            InvalidPrefix: it is no address or network.
        """
        now_s = self._wall_s()
        until_s = None if seconds is None else now_s + seconds
        row = BanRow(parse_prefix(prefix), until_s, reason, times=0, made_by=by)
        deed = Deed(prefix=row.prefix, is_lifted=False, seconds=seconds, reason=reason, by=by)
        self._store.put_ban(row, deed)
        return row

    def list(self) -> Sequence[BanRow]:
        """Return the bans in force, those first that end first."""
        now_s = self._wall_s()
        rows = [row for row in self._store.bans() if row.is_in_force(now_s)]
        return sorted(rows, key=lambda it: (it.until_s is None, it.until_s or 0.0, it.prefix))

    def remove(self, prefix: str, by: str) -> bool:
        """Lift a ban; tell whether it was in force. The next one starts at the shortest again.

        Args:
            prefix: whose.
            by: who lifts it.

        Raises:
            InvalidPrefix: it is no address or network.
        """
        deed = Deed(prefix=parse_prefix(prefix), is_lifted=True, seconds=None, reason="", by=by)
        return self._store.remove_ban(deed, self._wall_s())

    def guesses_of(self, account: AccountId) -> GuessesRow | None:
        """Return the failures of strangers on an account, if there were any."""
        return self._store.guesses_of(account)

    def confirm(self, account: AccountId) -> None:
        """Forget them: the owner has changed or confirmed the main password."""
        self._store.confirm(account, self._wall_s())
