"""What is to be written down soon: bounded, each row once, however often it changed.

A login from where the account is known already changes only a date; such rows wait for a minute, so
that a site full of pollers does not write all the time. What is new is written within a second.
"""

from typing import TypeVar

from mailkeep.defence.remembered import BanRow, Changes, FamiliarRow, GuessesRow
from mailkeep.values import AccountId

PENDING_LIMIT = 20_000
"""Familiar rows that wait while the database fails; then those that wait longest are dropped. Bans
and guesses are bounded where they are counted."""

RENEWED_EVERY_S = 60.0

Key = TypeVar("Key")
Row = TypeVar("Row")


class Pending:
    """Rows that have not been written yet."""

    def __init__(self) -> None:
        self._new: dict[tuple[str, str], FamiliarRow] = {}
        self._renewed: dict[tuple[str, str], FamiliarRow] = {}
        self._bans: dict[str, BanRow] = {}
        self._guesses: dict[AccountId, GuessesRow] = {}
        self._renew_at_s = float("-inf")

    def __len__(self) -> int:
        rows = (self._new, self._renewed, self._bans, self._guesses)
        return sum(len(it) for it in rows)

    def note_familiar(self, row: FamiliarRow, *, is_new: bool) -> None:
        """Write a login down: soon if it is new, some time if not."""
        key = (row.name, row.prefix)
        target = self._renewed
        if is_new or key in self._new:
            target.pop(key, None)
            target = self._new
        target[key] = row
        if len(target) > PENDING_LIMIT:
            _bound(target)

    def note_ban(self, row: BanRow) -> None:
        """Write a ban down."""
        self._bans[row.prefix] = row

    def note_guesses(self, row: GuessesRow) -> None:
        """Write an account's failures down."""
        self._guesses[row.account] = row

    def forget_guesses(self, account: AccountId) -> None:
        """Write nothing about an account: what somebody else wrote is newer."""
        self._guesses.pop(account, None)

    @property
    def bans(self) -> tuple[BanRow, ...]:
        """Bans that are not written yet."""
        return tuple(self._bans.values())

    def take(self, now_s: float, *, everything: bool = False) -> Changes:
        """Return what is to be written now, and expect it to be.

        Args:
            now_s: monotonic.
            everything: what could wait, too.
        """
        familiar = list(self._new.values())
        self._new.clear()
        if everything or now_s >= self._renew_at_s:
            self._renew_at_s = now_s + RENEWED_EVERY_S
            familiar += self._renewed.values()
            self._renewed.clear()
        changes = Changes(
            familiar=tuple(familiar),
            bans=tuple(self._bans.values()),
            guesses=tuple(self._guesses.values()),
        )
        self._bans.clear()
        self._guesses.clear()
        return changes

    def put_back(self, changes: Changes) -> None:
        """Keep what could not be written, unless there is something newer by now."""
        self._new = {(it.name, it.prefix): it for it in changes.familiar} | self._new
        self._bans = {it.prefix: it for it in changes.bans} | self._bans
        self._guesses = {it.account: it for it in changes.guesses} | self._guesses
        _bound(self._new)


def _bound(rows: dict[Key, Row]) -> None:
    while len(rows) > PENDING_LIMIT:
        del rows[next(iter(rows))]
