"""The table of accounts, as it is after the last migration."""

from pathlib import Path

from sqlalchemy import (
    CheckConstraint,
    Column,
    Integer,
    MetaData,
    RowMapping,
    Table,
    Text,
    UniqueConstraint,
)

from mailkeep.accounts.seam import Account, AccountState
from mailkeep.database.schema import Schema
from mailkeep.database.utc import UtcTime
from mailkeep.values import AccountId, Address

SCHEMA = Schema(versions=Path(__file__).parent / "migrations" / "versions", head="0001")

METADATA = MetaData()

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("id", Integer, primary_key=True, nullable=False),
    Column("address", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("password_version", Integer, nullable=False),
    Column("password_changed", UtcTime, nullable=False),
    UniqueConstraint("address", name="accounts_address_is_unique"),
    CheckConstraint("state IN ('enabled', 'disabled')", name="accounts_state_is_known"),
    # Without it SQLite gives the number of the last account, once removed, to the next one:
    # a remembered password or a lease would then belong to somebody else.
    sqlite_autoincrement=True,
)


def account_of(row: RowMapping) -> Account:
    """Return the account that a row of the table is."""
    local, _, domain = row["address"].rpartition("@")
    return Account(
        id=AccountId(row["id"]),
        address=Address(local, domain),
        state=AccountState(row["state"]),
        created=row["created"],
        password_changed=row["password_changed"],
    )
