"""The accounts of a site, as an operator keeps them. Every call blocks; every change is durable.

It imports the database, so `app` alone names it. It does not check passwords at a login (`check`)
and has no opinion about good ones: settings will.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailkeep.accounts.passwords import Passwords
from mailkeep.accounts.seam import Account, AccountExists, AccountState, UnknownAccount
from mailkeep.accounts.tables import ACCOUNTS, account_of
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret, prepare_password


def _now() -> datetime:
    return datetime.now(UTC)


class AccountDirectory:
    """Adds, shows, changes and removes accounts.

    Every method can raise `DatabaseUnavailable`; nothing was changed then.
    """

    def __init__(
        self, database: Database, passwords: Passwords, *, now: Callable[[], datetime] = _now
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._now = now

    def add(self, address: Address, password: Secret) -> Account:
        """Make an account that may log in.

        An address that was removed and is added again is another account, with another number.

        Args:
            address: a new one.
            password: as it was typed; it is kept as an argon2id hash of its prepared form.

        Raises:
            AccountExists: the address is taken.
            NotPrepared: the text can be no password.
            HashUnusable: there is no memory to hash it.
        """
        password_hash = self._passwords.hash(prepare_password(password))
        now = self._now()
        new = insert(ACCOUNTS).values(
            address=str(address),
            state=AccountState.ENABLED.value,
            created=now,
            password_hash=password_hash,
            password_version=1,
            password_changed=now,
        )
        try:
            with self._database.writing() as connection:
                connection.execute(new)
                return _read(connection, address)
        except IntegrityError as cause:
            raise AccountExists(f"the account {address} exists already") from cause

    def get(self, address: Address) -> Account:
        """Return one account.

        Raises:
            UnknownAccount: there is none.
        """
        with self._database.reading() as connection:
            return _read(connection, address)

    def list(self) -> Sequence[Account]:
        """Return all accounts, by domain and then by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(ACCOUNTS)).mappings().all()
        accounts = (account_of(row) for row in rows)
        return sorted(accounts, key=lambda it: (it.address.domain, it.address.local))

    def set_password(self, address: Address, password: Secret) -> Account:
        """Replace the password; the old one is refused from the next login on.

        Raises:
            UnknownAccount: there is none.
            NotPrepared: the text can be no password.
            HashUnusable: there is no memory to hash it.
        """
        return self._change(
            address,
            password_hash=self._passwords.hash(prepare_password(password)),
            password_version=ACCOUNTS.c.password_version + 1,
            password_changed=self._now(),
        )

    def disable(self, address: Address) -> Account:
        """Refuse this account's logins from the next one on; its mail and password stay.

        Raises:
            UnknownAccount: there is none.
        """
        return self._change(address, state=AccountState.DISABLED.value)

    def enable(self, address: Address) -> Account:
        """Let this account log in again, with the password it had.

        Raises:
            UnknownAccount: there is none.
        """
        return self._change(address, state=AccountState.ENABLED.value)

    def remove(self, address: Address) -> Account:
        """Remove an account and return what it was; its number is never given out again.

        Raises:
            UnknownAccount: there is none.
        """
        with self._database.writing() as connection:
            account = _read(connection, address)
            connection.execute(delete(ACCOUNTS).where(ACCOUNTS.c.id == account.id))
            return account

    def _change(self, address: Address, **columns: object) -> Account:
        change = update(ACCOUNTS).where(ACCOUNTS.c.address == str(address)).values(**columns)
        with self._database.writing() as connection:
            connection.execute(change)
            return _read(connection, address)


def _read(connection: Connection, address: Address) -> Account:
    query = select(ACCOUNTS).where(ACCOUNTS.c.address == str(address))
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownAccount(f"there is no account {address}")
    return account_of(row)
