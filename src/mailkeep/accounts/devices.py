"""The devices of a site's accounts, as an operator keeps them. Every call blocks and is durable.

A device's password is generated here and shown once; nothing that is kept gives it back.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailkeep.accounts.changes import Hand, note_change
from mailkeep.accounts.generated import forms_of, generate_password
from mailkeep.accounts.keying import Keying, ScramBase, scram_keys_for
from mailkeep.accounts.rows import base_for_devices, read_account, read_row
from mailkeep.accounts.seam import (
    Account,
    Device,
    DeviceExists,
    May,
    TooManyDevices,
    UnknownDevice,
    UnusableDevice,
)
from mailkeep.accounts.tables import ACCOUNTS, DEVICES, address_of, device_of
from mailkeep.database.engine import Database
from mailkeep.values import AccountId, Address, Secret

NAME_LIMIT_CHARACTERS = 100
"""Enough to say which printer on which floor; it stands in every line of the record."""

DEVICES_LIMIT = 100
"""Of one account. A login compares a password with each, and SCRAM tries each one's keys, some
microseconds apiece; who has more printers than this gives them accounts of their own."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Terms:
    """What a device may do, from where and until when."""

    may: May = May.DELETE
    networks: Sequence[Network] = ()
    """Empty for everywhere."""
    until: datetime | None = None
    """An aware time; None for no end."""


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device, and its password in the only moment when it is known."""

    device: Device
    password: Secret = field(repr=False)


class DeviceDirectory:
    """Adds, shows, renames and revokes devices.

    Every method can raise `DatabaseUnavailable`; nothing was changed then.

    Args:
        database: with the accounts.
        keying: of the site.
        by: who makes the changes, for the record.
        now: an aware time.
    """

    def __init__(
        self, database: Database, keying: Keying, *, by: str, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._keying = keying
        self._by = by
        self._now = now

    def add(self, address: Address, name: str, terms: Terms = Terms()) -> NewDevice:
        """Make a device with a password.

        Args:
            address: whose.
            name: a new one of the account's; case does not tell names apart.
            terms: what it may do.

        Raises:
            UnknownAccount: there is none.
            DeviceExists: the name is taken.
            TooManyDevices: the account has as many as it may.
            UnusableDevice: it is no name.
        """
        checked, password = _checked_name(name), generate_password()
        while True:  # another program may give the account its first keys at the same moment
            with self._database.reading() as connection:
                made_for = self._account_and_base(connection, address)
            columns = self._password_columns(password, *made_for)
            with self._adding(address, checked) as connection:
                if self._account_and_base(connection, address) != made_for:
                    continue
                _keep_base(connection, *made_for)
                device = self._insert(connection, address, checked, terms, columns)
            return NewDevice(device, password)

    def add_certificate(
        self,
        address: Address,
        name: str,
        sha256: str,
        terms: Terms = Terms(),
    ) -> Device:
        """Make a device of a client certificate.

        Args:
            address: whose.
            name: a new one of the account's.
            sha256: of the certificate (DER), in hexadecimal; colons are ignored.
            terms: what it may do.

        Raises:
            UnknownAccount: there is none.
            DeviceExists: the name is taken, or the certificate is another device's.
            TooManyDevices: the account has as many as it may.
            UnusableDevice: it is no name, or no SHA-256.
        """
        checked, columns = _checked_name(name), {"certificate": _checked_sha256(sha256)}
        with self._adding(address, checked) as connection:
            return self._insert(connection, address, checked, terms, columns)

    def get(self, address: Address, name: str) -> Device:
        """Return one device.

        Raises:
            UnknownAccount: there is no such account.
            UnknownDevice: it has no device of this name.
        """
        with self._database.reading() as connection:
            return _read_device(connection, read_account(connection, address), name)

    def list(self, address: Address) -> Sequence[Device]:
        """Return an account's devices, by name.

        Raises:
            UnknownAccount: there is none.
        """
        with self._database.reading() as connection:
            account = read_account(connection, address)
            query = select(DEVICES).where(DEVICES.c.account_id == account.id)
            rows = connection.execute(query.order_by(DEVICES.c.name_key)).mappings().all()
        return [device_of(row) for row in rows]

    def revoke(self, address: Address, name: str) -> Device:
        """Remove a device and return what it was; its number is never given out again.

        Raises:
            UnknownAccount: there is no such account.
            UnknownDevice: it has no device of this name.
        """
        with self._database.writing() as connection:
            account = read_account(connection, address)
            device = _read_device(connection, account, name)
            connection.execute(delete(DEVICES).where(DEVICES.c.id == device.id))
            note_change(connection, self._hand(), account, "revoked", device.name)
            return device

    def rename(self, address: Address, name: str, new_name: str) -> Device:
        """Give a device another name; its password and its sessions stay.

        Raises:
            UnknownAccount: there is no such account.
            UnknownDevice: it has no device of this name.
            DeviceExists: the new name is taken.
            UnusableDevice: the new name is none.
        """
        checked = _checked_name(new_name)
        columns = {"name": checked, "name_key": _name_key(checked)}
        with self._adding(address, checked) as connection:
            account = read_account(connection, address)
            before = _read_device(connection, account, name)
            change = update(DEVICES).where(DEVICES.c.id == before.id).values(**columns)
            after = connection.execute(change.returning(DEVICES)).mappings().one()
            note_change(connection, self._hand(), account, f"renamed to {checked}", before.name)
            return device_of(after)

    def of_other_keys(self) -> Sequence[tuple[Address, Device]]:
        """Return the devices whose password was made with another site key: it is wrong now."""
        query = select(DEVICES, ACCOUNTS.c.address).join(ACCOUNTS)
        foreign = query.where(DEVICES.c.key_id != self._keying.key_identifier)
        with self._database.reading() as connection:
            rows = connection.execute(foreign.order_by(DEVICES.c.id)).mappings().all()
        return [(address_of(row["address"]), device_of(row)) for row in rows]

    @contextmanager
    def _adding(self, address: Address, name: str) -> Iterator[Connection]:
        """Open a transaction in which a name comes into use."""
        try:
            with self._database.writing() as connection:
                yield connection
        except IntegrityError as cause:
            if "certificate" in str(cause.orig):
                raise DeviceExists("the certificate is another device's already") from cause
            raise DeviceExists(f'{address} has a device "{name}" already') from cause

    def _account_and_base(
        self, connection: Connection, address: Address
    ) -> tuple[AccountId, ScramBase]:
        row = read_row(connection, address)
        return AccountId(row["id"]), base_for_devices(row, self._keying)

    def _password_columns(
        self, password: Secret, account: AccountId, base: ScramBase
    ) -> dict[str, object]:
        _, letters = forms_of(password)
        return {
            "password_hash": self._keying.seal(account, letters),
            "scram_keys": scram_keys_for(password, base),
            "key_id": self._keying.key_identifier,
        }

    def _insert(
        self,
        connection: Connection,
        address: Address,
        name: str,
        terms: Terms,
        columns: Mapping[str, object],
    ) -> Device:
        hand, account = self._hand(), read_account(connection, address)
        _refuse_if_full(connection, account)
        new = insert(DEVICES).values(
            account_id=account.id,
            name=name,
            name_key=_name_key(name),
            networks=json.dumps([str(network) for network in terms.networks]),
            until=terms.until,
            may=terms.may.value,
            created=hand.at,
            **columns,
        )
        made = connection.execute(new.returning(DEVICES)).mappings().one()
        note_change(connection, hand, account, "added", name)
        return device_of(made)

    def _hand(self) -> Hand:
        return Hand(self._by, self._now())


def _keep_base(connection: Connection, account: AccountId, base: ScramBase) -> None:
    change = update(ACCOUNTS).where(ACCOUNTS.c.id == account)
    connection.execute(change.values(scram_salt=base.salt, scram_iterations=base.iterations))


def _refuse_if_full(connection: Connection, account: Account) -> None:
    query = select(func.count()).select_from(DEVICES).where(DEVICES.c.account_id == account.id)
    if connection.execute(query).scalar_one() >= DEVICES_LIMIT:
        raise TooManyDevices(f"{account.address} has {DEVICES_LIMIT} devices, and may have no more")


def _read_device(connection: Connection, account: Account, name: str) -> Device:
    query = select(DEVICES).where(
        DEVICES.c.account_id == account.id, DEVICES.c.name_key == _name_key(name)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownDevice(f'{account.address} has no device "{name}"')
    return device_of(row)


def _checked_name(name: str) -> str:
    """Return a name as it is kept: what a person can read, in one line."""
    checked = " ".join(unicodedata.normalize("NFC", name).split())
    if not 0 < len(checked) <= NAME_LIMIT_CHARACTERS or not checked.isprintable():
        raise UnusableDevice(
            f"a device's name has 1 to {NAME_LIMIT_CHARACTERS} printable characters"
        )
    return checked


def _name_key(name: str) -> str:
    """Return what two names have in common that are one: neither case nor spaces count."""
    return unicodedata.normalize("NFC", " ".join(name.split()).casefold())


def _checked_sha256(text: str) -> str:
    digits = text.replace(":", "").lower()
    if not _SHA256.fullmatch(digits):
        raise UnusableDevice("a certificate is named by its SHA-256: 64 hexadecimal digits")
    return digits
