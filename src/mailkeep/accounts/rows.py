"""Reading an account's row by its address, for those who change it."""

from sqlalchemy import Connection, RowMapping, exists, select

from mailkeep.accounts.keying import Keying, ScramBase
from mailkeep.accounts.seam import Account, UnknownAccount
from mailkeep.accounts.tables import ACCOUNTS, DEVICES, account_of
from mailkeep.values import AccountId, Address


def read_row(connection: Connection, address: Address) -> RowMapping:
    """Return the row of an account.

    Raises:
        UnknownAccount: there is none.
    """
    query = select(ACCOUNTS).where(ACCOUNTS.c.address == str(address))
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownAccount(f"there is no account {address}")
    return row


def read_account(connection: Connection, address: Address) -> Account:
    """Return an account.

    Raises:
        UnknownAccount: there is none.
    """
    return account_of(read_row(connection, address))


def base_for_devices(row: RowMapping, keying: Keying) -> ScramBase:
    """Return the salt and count for another device: those that the account's keys have."""
    if row["scram_salt"] is None:
        return keying.base_for(account_of(row).address)
    return ScramBase(row["scram_salt"], row["scram_iterations"])


def base_for_main(connection: Connection, row: RowMapping, keying: Keying) -> ScramBase:
    """Return the salt and count for another main password: the site's unless devices have theirs.

    So the site's setting is taken up where nobody's keys are made worthless by it.
    """
    if has_device_keys(connection, AccountId(row["id"])):
        return base_for_devices(row, keying)
    return keying.base_for(account_of(row).address)


def has_device_keys(connection: Connection, account: AccountId) -> bool:
    """Tell whether a device of the account has SCRAM keys."""
    keys = exists().where(DEVICES.c.account_id == account, DEVICES.c.scram_keys.is_not(None))
    return bool(connection.execute(select(keys)).scalar_one())
