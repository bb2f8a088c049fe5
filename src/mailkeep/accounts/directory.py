"""The accounts of a site, as an operator keeps them. Every call blocks; every change is durable.

It imports the database, so `app` alone names it. It does not check passwords at a login (`check`)
and has no opinion about good ones: `rules` has. Devices are kept by `directory.devices`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailkeep.accounts.changes import (
    Hand,
    note_change,
)
from mailkeep.accounts.devices import DeviceDirectory
from mailkeep.accounts.imported import scram_keys_of
from mailkeep.accounts.keying import Keying, ScramBase
from mailkeep.accounts.passwords import Passwords
from mailkeep.accounts.rows import base_for_main, read_account, read_row
from mailkeep.accounts.seam import Account, AccountExists, AccountState, MainPasswordPolicy
from mailkeep.accounts.staleness import Stale, disable_stale, find_stale
from mailkeep.accounts.tables import ACCOUNTS, account_of
from mailkeep.database.engine import Database
from mailkeep.sasl import ScramKeys
from mailkeep.values import Address, Secret, prepare_password


def _now() -> datetime:
    return datetime.now(UTC)


class AccountDirectory:
    """Adds, shows, changes and removes accounts.

    Every method can raise `DatabaseUnavailable`; nothing was changed then.

    Args:
        database: with the accounts.
        passwords: how main passwords are hashed.
        keying: of the site.
        by: who makes the changes, for the record: a system user, or `changes.POLICY`.
        now: an aware time.

    Attributes:
        devices: the accounts' devices.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        keying: Keying,
        *,
        by: str,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._keying = keying
        self._by = by
        self._now = now
        self.devices = DeviceDirectory(database, keying, by=by, now=now)

    def add(self, address: Address, password: Secret, *, scram_main: bool = False) -> Account:
        """Make an account that may log in.

        An address that was removed and is added again is another account, with another number.

        Args:
            address: a new one.
            password: as it was typed; it is kept as an argon2id hash of its prepared form.
            scram_main: keep what SCRAM needs of it too.

        Raises:
            AccountExists: the address is taken.
            NotPrepared: the text can be no password.
            HashUnusable: there is no memory to hash it.
        """
        prepared = prepare_password(password)
        password_hash = self._passwords.hash(prepared)
        base = self._keying.base_for(address)
        keys = ScramKeys.derive(prepared, base.salt, base.iterations) if scram_main else None
        return self._insert(address, password_hash, keys, "added")

    def add_with_hash(self, address: Address, kept: str) -> Account:
        """Make an account whose password is known by a hash from elsewhere only.

        Args:
            address: a new one.
            kept: as `read_imported` returns it; it is replaced at the first good login.

        Raises:
            AccountExists: the address is taken.
        """
        return self._insert(address, kept, scram_keys_of(kept), "added with an imported hash")

    def get(self, address: Address) -> Account:
        """Return one account.

        Raises:
            UnknownAccount: there is none.
        """
        with self._database.reading() as connection:
            return read_account(connection, address)

    def list(self) -> Sequence[Account]:
        """Return all accounts, by domain and then by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(ACCOUNTS)).mappings().all()
        accounts = (account_of(row) for row in rows)
        return sorted(accounts, key=lambda it: (it.address.domain, it.address.local))

    def set_password(
        self, address: Address, password: Secret, *, scram_main: bool = False
    ) -> Account:
        """Replace the password; the old one is refused from the next login on.

        Args:
            address: whose.
            password: as it was typed.
            scram_main: keep what SCRAM needs of it too; otherwise it is not good for SCRAM.

        Raises:
            UnknownAccount: there is none.
            NotPrepared: the text can be no password.
            HashUnusable: there is no memory to hash it.
        """
        prepared = prepare_password(password)
        password_hash = self._passwords.hash(prepared)
        while True:  # another program may give the account its first device at the same moment
            with self._database.reading() as connection:
                base = base_for_main(connection, read_row(connection, address), self._keying)
            keys = ScramKeys.derive(prepared, base.salt, base.iterations) if scram_main else None
            changed = self._set_password(address, password_hash, keys, base)
            if changed is not None:
                return changed

    def confirm_password(self, address: Address) -> Account:
        """Take note that the owner knows of what happened and keeps the main password.

        Raises:
            UnknownAccount: there is none.
        """
        return self._change(address, "main password confirmed", confirmed=self._now())

    def set_policy(self, address: Address, main_password: MainPasswordPolicy | None) -> Account:
        """Say whether the main password is good for POP3.

        Args:
            address: whose.
            main_password: None for what the site's settings say.

        Raises:
            UnknownAccount: there is none.
        """
        value = None if main_password is None else main_password.value
        return self._change(
            address, f"main password: {value or 'as the site'}", main_password=value
        )

    def set_expiry(self, address: Address, expires: datetime | None) -> Account:
        """Refuse this account's logins from a moment on.

        Args:
            address: whose.
            expires: an aware time; None for never.

        Raises:
            UnknownAccount: there is none.
        """
        told = "never" if expires is None else f"{expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return self._change(address, f"expires: {told}", expires=expires)

    def disable(self, address: Address) -> Account:
        """Refuse this account's logins from the next one on; its mail and password stay.

        Raises:
            UnknownAccount: there is none.
        """
        return self._change(address, "disabled", state=AccountState.DISABLED.value)

    def enable(self, address: Address) -> Account:
        """Let this account log in again, with the password it had.

        Its days without use are counted from now, or a policy would disable it at once again.

        Raises:
            UnknownAccount: there is none.
        """
        return self._change(
            address, "enabled", state=AccountState.ENABLED.value, counted_from=self._now()
        )

    def remove(self, address: Address) -> Account:
        """Remove an account and its devices, and return what it was.

        Its number is never given out again.

        Raises:
            UnknownAccount: there is none.
        """
        with self._database.writing() as connection:
            account = read_account(connection, address)
            connection.execute(delete(ACCOUNTS).where(ACCOUNTS.c.id == account.id))
            note_change(connection, self._hand(), account, "removed")
            return account

    def stale(self, days: int) -> Stale:
        """Return the accounts and devices that nobody has used for so many days."""
        with self._database.reading() as connection:
            return find_stale(connection, self._now() - timedelta(days=days))

    def disable_stale(self, days: int) -> Stale:
        """Disable such accounts and revoke such devices, and return what they were."""
        hand = self._hand()
        with self._database.writing() as connection:
            return disable_stale(connection, hand, days)

    def _insert(
        self, address: Address, password_hash: str, keys: ScramKeys | None, what: str
    ) -> Account:
        hand = self._hand()
        new = insert(ACCOUNTS).values(
            address=str(address),
            state=AccountState.ENABLED.value,
            created=hand.at,
            password_hash=password_hash,
            password_version=1,
            password_changed=hand.at,
            counted_from=hand.at,
            confirmed=hand.at,
            **_scram_columns(keys),
        )
        try:
            with self._database.writing() as connection:
                connection.execute(new)
                account = read_account(connection, address)
                note_change(connection, hand, account, what)
                return account
        except IntegrityError as cause:
            raise AccountExists(f"the account {address} exists already") from cause

    def _set_password(
        self, address: Address, password_hash: str, keys: ScramKeys | None, base: ScramBase
    ) -> Account | None:
        """Replace the password, unless its keys would have another base than the account's."""
        hand = self._hand()
        columns: dict[str, object] = {
            "password_hash": password_hash,
            "password_version": ACCOUNTS.c.password_version + 1,
            "password_changed": hand.at,
            "confirmed": hand.at,
        }
        with self._database.writing() as connection:
            row = read_row(connection, address)
            if base_for_main(connection, row, self._keying) != base:
                return None
            columns |= _scram_columns(keys)
            connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id == row["id"]).values(**columns))
            account = read_account(connection, address)
            note_change(connection, hand, account, "main password changed")
            return account

    def _change(self, address: Address, what: str, **columns: object) -> Account:
        change = update(ACCOUNTS).where(ACCOUNTS.c.address == str(address)).values(**columns)
        with self._database.writing() as connection:
            connection.execute(change)
            account = read_account(connection, address)
            note_change(connection, self._hand(), account, what)
            return account

    def _hand(self) -> Hand:
        return Hand(self._by, self._now())


def _scram_columns(keys: ScramKeys | None) -> dict[str, object]:
    """Return the columns of a main password's SCRAM keys; without keys the salt stays."""
    if keys is None:
        return {"scram_stored_key": None, "scram_server_key": None}
    return {
        "scram_stored_key": keys.stored_key.reveal(),
        "scram_server_key": keys.server_key.reveal(),
        "scram_salt": keys.salt,
        "scram_iterations": keys.iterations,
    }
