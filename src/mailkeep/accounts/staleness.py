"""Accounts and devices that nobody uses: found, and disabled by policy.

An old password that nobody changes and a device that was thrown away are ways in that nobody
watches. An account is stale when nobody logged in to it, by whatever credential; a device when it
did not. Known limit: last uses are known to some minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, select, update

from mailkeep.accounts.changes import Hand, note_change
from mailkeep.accounts.seam import Account, AccountState, Device
from mailkeep.accounts.tables import ACCOUNTS, DEVICES, account_of, device_of

_OWNER = "owner_"
"""Stands before the names of an account's columns in a row of its device."""


@dataclass(frozen=True, slots=True)
class StaleDevice:
    """A device that nobody uses, and whose it is."""

    account: Account
    device: Device


@dataclass(frozen=True, slots=True)
class Stale:
    """What nobody has used for long: accounts and devices that could still log in."""

    accounts: Sequence[Account]
    devices: Sequence[StaleDevice]


def find_stale(connection: Connection, before: datetime) -> Stale:
    """Return what was last used, or made if it never was, before a moment.

    Accounts that are disabled are left out, and so are their devices.
    """
    accounts = [account_of(row) for row in connection.execute(_accounts(before)).mappings()]
    devices = [
        StaleDevice(_owner_of(row), device_of(row))
        for row in connection.execute(_devices(before)).mappings()
    ]
    return Stale(accounts, devices)


def disable_stale(connection: Connection, hand: Hand, days: int) -> Stale:
    """Disable stale accounts and revoke stale devices, in the caller's transaction.

    Returns:
        What they were.
    """
    stale = find_stale(connection, hand.at - timedelta(days=days))
    reason = f"not used for {days} days"
    for account in stale.accounts:
        change = update(ACCOUNTS).where(ACCOUNTS.c.id == account.id)
        connection.execute(change.values(state=AccountState.DISABLED.value))
        note_change(connection, hand, account, f"disabled: {reason}")
    for one in stale.devices:
        connection.execute(delete(DEVICES).where(DEVICES.c.id == one.device.id))
        note_change(connection, hand, one.account, f"revoked: {reason}", one.device.name)
    return stale


def _accounts(before: datetime) -> Select[Any]:
    return (
        select(ACCOUNTS)
        .where(ACCOUNTS.c.state == AccountState.ENABLED.value)
        .where(ACCOUNTS.c.counted_from < before)
        .where(func.coalesce(ACCOUNTS.c.last_used, ACCOUNTS.c.counted_from) < before)
        .order_by(ACCOUNTS.c.id)
    )


def _devices(before: datetime) -> Select[Any]:
    owners = (column.label(_OWNER + column.name) for column in ACCOUNTS.c)
    return (
        select(DEVICES, *owners)
        .join(ACCOUNTS)
        .where(ACCOUNTS.c.state == AccountState.ENABLED.value)
        .where(func.coalesce(DEVICES.c.last_used, DEVICES.c.created) < before)
        .order_by(DEVICES.c.id)
    )


def _owner_of(row: RowMapping) -> Account:
    return account_of({column.name: row[_OWNER + column.name] for column in ACCOUNTS.c})
