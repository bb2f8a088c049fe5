"""What operators and policies changed, written down with the change itself until it was told.

A change and its note are in one transaction, so that nothing happens untold, whether the server
runs at that moment or not. The server takes notes, tells them as events, and then removes them: one
that is told twice after a crash has the same number both times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select

from mailkeep.accounts.seam import Account
from mailkeep.accounts.tables import CHANGES
from mailkeep.database.engine import Database
from mailkeep.values import AccountId

POLICY = "policy"
"""Who did it, where no person did."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an account, or of one of its devices."""

    id: int
    at: datetime
    account_id: AccountId
    account: str
    """Its address."""
    device: str | None
    """The device's name; None when the account itself was changed."""
    what: str
    by: str
    """The system user who asked for it, or `POLICY`."""


@dataclass(frozen=True, slots=True)
class Hand:
    """By whom and when something is changed."""

    by: str
    at: datetime


class Changes:
    """The notes. Every method blocks and can raise `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, limit: int) -> Sequence[Change]:
        """Return the oldest changes that nobody was told; they stay until they are `done`."""
        query = select(CHANGES).order_by(CHANGES.c.id).limit(limit)
        with self._database.reading() as connection:
            return [Change(**row) for row in connection.execute(query).mappings()]

    def done(self, ids: Sequence[int]) -> None:
        """Forget changes that were told."""
        told = [{"told": number} for number in ids]
        if not told:
            return
        with self._database.writing() as connection:
            connection.execute(delete(CHANGES).where(CHANGES.c.id == bindparam("told")), told)


def note_change(
    connection: Connection, hand: Hand, account: Account, what: str, device: str | None = None
) -> None:
    """Write down a change in the transaction that makes it."""
    note = insert(CHANGES).values(
        at=hand.at,
        account_id=account.id,
        account=str(account.address),
        device=device,
        what=what,
        by=hand.by,
    )
    connection.execute(note)
