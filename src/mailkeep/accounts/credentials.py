"""What a login needs to know of an account: read off the loop, and kept for the next login.

One statement answers for an account with its devices, and for a name that nobody has: both are the
same work. What was read is good until some account is changed, and every change leaves a note with
a number of its own (`changes`): while the last number is the one before the reading, nothing that
decides a login has changed. So no notice is needed for a change to be in force at once.

Known limits: last uses may be older than in the table. What is changed without a note, by hand or
from an old hash to a new one of the same password by another process, is seen within `KEPT_S`.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    bindparam,
    desc,
    func,
    literal,
    literal_column,
    null,
    select,
    union_all,
    update,
)

from mailkeep.accounts.deciding import NOBODY
from mailkeep.accounts.keying import ScramBase, divide_scram_keys
from mailkeep.accounts.seam import Account, AccountState, Device, ScramKey
from mailkeep.accounts.tables import ACCOUNTS, CHANGES, DEVICES, account_of, device_of
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

FRESH_S = 0.02
"""For so long nothing has changed since it was last found out: whoever changes an account within
the time of a round trip cannot say that it was before the login. A notice that something has
changed is followed at once."""

KEPT_S = 60.0
"""How long what was read may be used: for an operator who writes into the database by hand."""

KEPT_LIMIT = 10_000
"""Accounts, and names that nobody has: about 2 KB each, 20 MB."""


@dataclass(frozen=True, slots=True)
class DeviceCredential:
    """A device and what its password is checked against."""

    device: Device
    seal: bytes | None = field(repr=False)
    """Of its password; None when it has a certificate."""
    keys: tuple[ScramKey, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """An account and what its passwords are checked against."""

    account: Account
    version: int
    """Of the main password; rises with each change."""
    password_hash: str = field(repr=False)
    devices: tuple[DeviceCredential, ...] = ()
    base: ScramBase | None = None
    """None while no credential has SCRAM keys."""
    main_key: ScramKey | None = field(default=None, repr=False)
    """The main password's SCRAM key, if it has one."""

    @property
    def scram_keys(self) -> tuple[ScramKey, ...]:
        """All SCRAM keys: the main password's and the devices'."""
        own = () if self.main_key is None else (self.main_key,)
        return own + tuple(key for device in self.devices for key in device.keys)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was read, and how long it is good."""

    credential: Credential
    number: int
    """Of the last change before the reading."""
    until_s: float


class Credentials:
    """Reads and renews credentials, for one event loop.

    Every method can raise `DatabaseUnavailable`.
    """

    def __init__(
        self,
        database: Database,
        *,
        nobodys_hash: str,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make ready.

        Args:
            database: with the accounts.
            nobodys_hash: what the password of an account that is not there is checked against.
            monotonic_s: a clock that only goes forward.
        """
        self.nobodys_hash = nobodys_hash
        self._database = database
        self._monotonic_s = monotonic_s
        self._last_change = database.last_number(CHANGES.name)
        self._number: int | None = None
        self._number_read_s = float("-inf")
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._by_address = _with_nobody(nobodys_hash, ACCOUNTS.c.address == bindparam("wanted"))
        owner = select(DEVICES.c.account_id).where(DEVICES.c.certificate == bindparam("wanted"))
        self._by_certificate = _with_nobody(nobodys_hash, ACCOUNTS.c.id == owner.scalar_subquery())

    def look_again(self) -> None:
        """Find out now whether anything has changed, however short ago that was found out."""
        self._number = self._last_change.read()
        self._number_read_s = self._monotonic_s()

    def at_hand(self, address: Address) -> Credential | None:
        """Return what `find` returns if that was read before and is good; takes no time."""
        return self._at_hand(str(address))

    async def find(self, address: Address) -> Credential:
        """Return what `address` logs in with, enabled or not, and nobody's without an account.

        The database answers with a row either way, so that both are the same work.
        """
        return await self._look_up(self._by_address, str(address))

    async def find_by_certificate(self, sha256: str) -> Credential:
        """Return the account that has a device of this certificate, and nobody's without one.

        Args:
            sha256: of the certificate, in hexadecimal with small letters.
        """
        return await self._look_up(self._by_certificate, sha256)

    async def renew_hash(self, credential: Credential, password_hash: str) -> None:
        """Keep the same password under another hash, unless either was changed meanwhile."""
        self._kept.pop(str(credential.account.address), None)
        await self._database.run(self._renew_hash, credential, password_hash)
        self._kept.pop(str(credential.account.address), None)

    async def counts_in_use(self) -> Sequence[tuple[int, int]]:
        """Return the SCRAM iteration counts of all accounts, and how many have each."""
        return await self._database.run(self._counts_in_use)

    async def _look_up(self, query: Select[Any], wanted: str) -> Credential:
        """Return what was read before if nothing has changed since, or read it now.

        Args:
            query: for it.
            wanted: an address or a certificate's SHA-256, which has no `@`.
        """
        kept = self._at_hand(wanted)
        if kept is not None:
            return kept
        number = self._number
        credential = await self._database.run(self._find, query, wanted)
        if number is not None:
            self._keep(wanted, credential, number)
        return credential

    def _at_hand(self, wanted: str) -> Credential | None:
        now_s = self._monotonic_s()
        if now_s - self._number_read_s >= FRESH_S:
            self.look_again()
        kept = self._kept.get(wanted)
        if kept is None or kept.number != self._number or now_s >= kept.until_s:
            return None
        self._kept.move_to_end(wanted)
        return kept.credential

    def _keep(self, wanted: str, credential: Credential, number: int) -> None:
        self._kept[wanted] = _Kept(credential, number, self._monotonic_s() + KEPT_S)
        self._kept.move_to_end(wanted)
        while len(self._kept) > KEPT_LIMIT:
            self._kept.popitem(last=False)

    def _find(self, query: Select[Any], wanted: str) -> Credential:
        with self._database.reading() as connection:
            rows = connection.execute(query, {"wanted": wanted}).mappings().all()
        return _credential_of(rows)

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

    def _counts_in_use(self) -> Sequence[tuple[int, int]]:
        count = ACCOUNTS.c.scram_iterations
        query = select(count, func.count()).where(count.is_not(None)).group_by(count)
        with self._database.reading() as connection:
            return [(row[0], row[1]) for row in connection.execute(query.order_by(count))]


_READ = tuple(column for column in ACCOUNTS.c if column.name not in {"counted_from", "confirmed"})
"""What a login needs of an account; each time of day costs as much as the rest of the row."""

_DEVICE = "device_"
"""Stands before the names of a device's columns in a row that has both."""

_NOBODY: Mapping[str, ColumnElement[Any]] = {
    "id": literal_column(str(NOBODY)),
    "address": literal_column("'@'"),
    "state": literal_column(f"'{AccountState.DISABLED.value}'"),
    "created": literal_column("'1970-01-01 00:00:00.000000'"),
    "password_version": literal_column("0"),
    "password_changed": literal_column("'1970-01-01 00:00:00.000000'"),
}
"""Written out, because each parameter would be bound anew at each login; the rest is null."""


def _with_nobody(nobodys_hash: str, condition: ColumnElement[bool]) -> Select[Any]:
    """Return the query for one account with its devices, and for nobody where there is none."""
    nobody = {**_NOBODY, "password_hash": literal(nobodys_hash)}
    named = select(*_READ).where(condition)
    row = select(*(nobody.get(column.name, null()).label(column.name) for column in _READ))
    one = union_all(named, row).order_by(desc("id")).limit(1).subquery()
    devices = (column.label(_DEVICE + column.name) for column in DEVICES.c)
    joined = one.outerjoin(DEVICES, DEVICES.c.account_id == one.c.id)
    return select(*one.c, *devices).select_from(joined).order_by(DEVICES.c.id)


def _credential_of(rows: Sequence[RowMapping]) -> Credential:
    first = rows[0]
    devices = (
        {name.removeprefix(_DEVICE): value for name, value in row.items() if _DEVICE in name}
        for row in rows
        if row[_DEVICE + "id"] is not None
    )
    salt = first["scram_salt"]
    return Credential(
        account=account_of(first),
        version=first["password_version"],
        password_hash=first["password_hash"],
        devices=tuple(_device_credential(row) for row in devices),
        base=None if salt is None else ScramBase(salt, first["scram_iterations"]),
        main_key=_main_key(first),
    )


def _device_credential(row: Mapping[str, Any]) -> DeviceCredential:
    device = device_of(row)
    kept = divide_scram_keys(row["scram_keys"] or b"")
    keys = tuple(ScramKey(stored_key, server_key, device.id) for stored_key, server_key in kept)
    return DeviceCredential(device, row["password_hash"], keys)


def _main_key(row: RowMapping) -> ScramKey | None:
    if row["scram_stored_key"] is None:
        return None
    return ScramKey(Secret(row["scram_stored_key"]), Secret(row["scram_server_key"]), None)
