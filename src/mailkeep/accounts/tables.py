"""The tables of accounts, devices and changes, as they are after the last migration."""

import json
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from mailkeep.accounts.seam import Account, AccountState, Device, MainPasswordPolicy, May
from mailkeep.database.schema import Schema
from mailkeep.database.utc import UtcTime
from mailkeep.values import AccountId, Address, DeviceId

SCHEMA = Schema(versions=Path(__file__).parent / "migrations" / "versions", head="0002")

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
    Column("main_password", Text),
    Column("expires", UtcTime),
    Column("last_used", UtcTime),
    # Days without use count from here at the earliest: since the account was made or enabled again,
    # or since its uses are recorded at all.
    Column("counted_from", UtcTime, nullable=False),
    # When the owner last changed or confirmed the main password.
    Column("confirmed", UtcTime, nullable=False),
    # One salt and one count for all credentials; null until the first has SCRAM keys.
    Column("scram_salt", LargeBinary),
    Column("scram_iterations", Integer),
    # The main password's, which need not have any.
    Column("scram_stored_key", LargeBinary),
    Column("scram_server_key", LargeBinary),
    UniqueConstraint("address", name="accounts_address_is_unique"),
    CheckConstraint("state IN ('enabled', 'disabled')", name="accounts_state_is_known"),
    CheckConstraint(
        "main_password IN ('allow', 'devices_only')", name="accounts_main_password_is_known"
    ),
    # Without it SQLite gives the number of the last account, once removed, to the next one:
    # a remembered password or a lease would then belong to somebody else.
    sqlite_autoincrement=True,
)

DEVICES = Table(
    "devices",
    METADATA,
    Column("id", Integer, primary_key=True, nullable=False),
    Column("account_id", Integer, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    # The name as it is compared: without case.
    Column("name_key", Text, nullable=False),
    Column("password_hash", LargeBinary),
    Column("scram_keys", LargeBinary),
    # Tells which site key the hash was made with; null with a certificate.
    Column("key_id", LargeBinary),
    Column("certificate", Text),
    # A JSON list.
    Column("networks", Text, nullable=False),
    Column("until", UtcTime),
    Column("may", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("last_used", UtcTime),
    Column("last_address", Text),
    Column("last_client", Text),
    UniqueConstraint("account_id", "name_key", name="devices_name_is_unique"),
    UniqueConstraint("certificate", name="devices_certificate_is_unique"),
    CheckConstraint("may IN ('read', 'delete')", name="devices_may_is_known"),
    CheckConstraint(
        "(certificate IS NULL) = (password_hash IS NOT NULL)", name="devices_have_one_credential"
    ),
    # As above: an open session is known by its device's number.
    sqlite_autoincrement=True,
)

CHANGES = Table(
    "changes",
    METADATA,
    Column("id", Integer, primary_key=True, nullable=False),
    Column("at", UtcTime, nullable=False),
    # No reference: an account that was removed is one of the changes.
    Column("account_id", Integer, nullable=False),
    Column("account", Text, nullable=False),
    Column("device", Text),
    Column("what", Text, nullable=False),
    Column("by", Text, nullable=False),
    # As above: a change that is told is removed by its number, which may not be another's by then.
    sqlite_autoincrement=True,
)

INDEXES = (Index("accounts_scram_iterations", ACCOUNTS.c.scram_iterations),)
"""For the counts in use, which are asked for while the server runs."""


def address_of(text: str) -> Address:
    """Return the address that a column holds; it was checked when it was written."""
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


def account_of(row: Mapping[Any, Any]) -> Account:
    """Return the account that a row of the table is."""
    policy = row["main_password"]
    return Account(
        id=AccountId(row["id"]),
        address=address_of(row["address"]),
        state=AccountState(row["state"]),
        created=row["created"],
        password_changed=row["password_changed"],
        main_password=None if policy is None else MainPasswordPolicy(policy),
        expires=row["expires"],
        last_used=row["last_used"],
    )


def device_of(row: Mapping[Any, Any]) -> Device:
    """Return the device that a row of the table is."""
    return Device(
        id=DeviceId(row["id"]),
        account=AccountId(row["account_id"]),
        name=row["name"],
        may=May(row["may"]),
        networks=tuple(ip_network(text) for text in json.loads(row["networks"])),
        until=row["until"],
        created=row["created"],
        last_used=row["last_used"],
        last_address=row["last_address"],
        last_client=row["last_client"],
        certificate=row["certificate"],
    )
