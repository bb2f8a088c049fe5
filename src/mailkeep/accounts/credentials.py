"""What a login needs to know of an account, read anew at each login, off the loop."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import CompoundSelect, bindparam, desc, literal, select, union_all, update

from mailkeep.accounts.seam import Account, AccountState
from mailkeep.accounts.tables import ACCOUNTS, account_of
from mailkeep.database.engine import Database
from mailkeep.values import AccountId, Address

NOBODY = AccountId(0)
"""Stands in for an account that is not there; a table's numbers start at 1."""


@dataclass(frozen=True, slots=True)
class Credential:
    """An account and what its password is checked against."""

    account: Account
    version: int
    """Rises with each change of the password."""
    password_hash: str = field(repr=False)


class Credentials:
    """Reads and renews credentials. Every method can raise `DatabaseUnavailable`."""

    def __init__(self, database: Database, *, nobodys_hash: str) -> None:
        """Make ready.

        Args:
            database: with the accounts.
            nobodys_hash: what the password of an account that is not there is checked against.
        """
        self._database = database
        self._query = _with_nobody(nobodys_hash)

    async def find(self, address: Address) -> Credential:
        """Return what `address` logs in with, enabled or not, and nobody's without an account.

        The database answers with a row either way, so that both are the same work.
        """
        return await self._database.run(self._find, str(address))

    async def renew_hash(self, credential: Credential, password_hash: str) -> None:
        """Keep the same password under another hash, unless either was changed meanwhile."""
        await self._database.run(self._renew_hash, credential, password_hash)

    def _find(self, address: str) -> Credential:
        with self._database.reading() as connection:
            row = connection.execute(self._query, {"wanted": address}).mappings().one()
        return Credential(account_of(row), row["password_version"], row["password_hash"])

    def _renew_hash(self, old: Credential, password_hash: str) -> None:
        renewal = (
            update(ACCOUNTS)
            .where(ACCOUNTS.c.id == old.account.id)
            .where(ACCOUNTS.c.password_version == old.version)
            .where(ACCOUNTS.c.password_hash == old.password_hash)
            .values(password_hash=password_hash)
        )
        with self._database.writing() as connection:
            connection.execute(renewal)


def _with_nobody(nobodys_hash: str) -> CompoundSelect[tuple[object, ...]]:
    """Return the query for one account, with nobody's row where there is none."""
    never = datetime.fromtimestamp(0, UTC)
    nobody = {
        "id": NOBODY,
        "address": "@",
        "state": AccountState.DISABLED.value,
        "created": never,
        "password_hash": nobodys_hash,
        "password_version": 0,
        "password_changed": never,
    }
    named = select(ACCOUNTS).where(ACCOUNTS.c.address == bindparam("wanted"))
    row = select(*(literal(nobody[column.name], column.type) for column in ACCOUNTS.c))
    return union_all(named, row).order_by(desc("id")).limit(1)
