"""What a login needs to know of an account, read anew at each login, off the loop."""

from dataclasses import dataclass, field

from sqlalchemy import bindparam, select, update

from mailkeep.accounts.seam import Account
from mailkeep.accounts.tables import ACCOUNTS, account_of
from mailkeep.database.engine import Database
from mailkeep.values import Address

_BY_ADDRESS = select(ACCOUNTS).where(ACCOUNTS.c.address == bindparam("wanted"))


@dataclass(frozen=True, slots=True)
class Credential:
    """An account and what its password is checked against."""

    account: Account
    version: int
    """Rises with each change of the password."""
    password_hash: str = field(repr=False)


class Credentials:
    """Reads and renews credentials. Every method can raise `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, address: Address) -> Credential | None:
        """Return what `address` logs in with, enabled or not; `None` when there is no account."""
        return await self._database.run(self._find, str(address))

    async def renew_hash(self, credential: Credential, password_hash: str) -> None:
        """Keep the same password under another hash, unless either was changed meanwhile."""
        await self._database.run(self._renew_hash, credential, password_hash)

    def _find(self, address: str) -> Credential | None:
        with self._database.reading() as connection:
            row = connection.execute(_BY_ADDRESS, {"wanted": address}).mappings().one_or_none()
        if row is None:
            return None
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
