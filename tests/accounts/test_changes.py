"""Every change is written down with itself, and told once."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, select
from tests.accounts.counting import CountingPasswords

from mailkeep.accounts import AccountExists, DeviceExists, MainPasswordPolicy, UnknownDevice
from mailkeep.accounts.changes import Change, Changes
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.tables import ACCOUNTS, DEVICES
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = Address("alice", "example.com")
FINGERPRINT = "ab" * 32


@pytest.fixture
def directory(database: Database, keying: Keying) -> AccountDirectory:
    made = AccountDirectory(database, CountingPasswords(), keying, by="carol", now=lambda: NOW)
    made.add(ALICE, Secret(b"x"))
    made.devices.add(ALICE, "Printer")
    Changes(database).done([change.id for change in Changes(database).take(10)])
    return made


Do = Callable[[AccountDirectory], object]
CHANGES: list[tuple[Do, str | None, str]] = [
    (lambda d: d.disable(ALICE), None, "disabled"),
    (lambda d: d.enable(ALICE), None, "enabled"),
    (lambda d: d.remove(ALICE), None, "removed"),
    (lambda d: d.set_password(ALICE, Secret(b"y")), None, "main password changed"),
    (lambda d: d.confirm_password(ALICE), None, "main password confirmed"),
    (
        lambda d: d.set_policy(ALICE, MainPasswordPolicy.DEVICES_ONLY),
        None,
        "main password: devices_only",
    ),
    (lambda d: d.set_policy(ALICE, None), None, "main password: as the site"),
    (lambda d: d.set_expiry(ALICE, NOW), None, "expires: 2026-03-01 12:00 UTC"),
    (lambda d: d.set_expiry(ALICE, None), None, "expires: never"),
    (lambda d: d.devices.add(ALICE, "scanner"), "scanner", "added"),
    (lambda d: d.devices.add_certificate(ALICE, "pc", FINGERPRINT), "pc", "added"),
    (lambda d: d.devices.rename(ALICE, "printer", "fax"), "Printer", "renamed to fax"),
    (lambda d: d.devices.revoke(ALICE, "printer"), "Printer", "revoked"),
]


@pytest.mark.parametrize("place", range(len(CHANGES)))
def test_a_change_is_noted_with_who_and_when(
    database: Database, directory: AccountDirectory, place: int
) -> None:
    """What the record says about an account comes from here."""
    do, device, what = CHANGES[place]
    account = directory.get(ALICE)
    do(directory)
    (change,) = Changes(database).take(10)
    assert change == Change(change.id, NOW, account.id, str(ALICE), device, what, "carol")


@pytest.mark.parametrize("place", range(len(CHANGES)))
def test_a_change_that_cannot_be_noted_is_not_made(
    database: Database, directory: AccountDirectory, place: int
) -> None:
    """Both are in one transaction, so nothing happens untold."""
    with database.writing() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON changes BEGIN SELECT * FROM missing; END"
        )
    before = _rows(database)
    with pytest.raises(DatabaseUnavailable):
        CHANGES[place][0](directory)
    assert _rows(database) == before


def _rows(database: Database) -> list[tuple[object, ...]]:
    with database.reading() as connection:
        return [
            tuple(row) for table in (ACCOUNTS, DEVICES) for row in connection.execute(select(table))
        ]


def test_what_is_refused_is_not_noted(database: Database, directory: AccountDirectory) -> None:
    """A name that is taken, a device that is not there."""
    with pytest.raises(AccountExists):
        directory.add(ALICE, Secret(b"x"))
    with pytest.raises(DeviceExists):
        directory.devices.add(ALICE, "printer")
    with pytest.raises(UnknownDevice):
        directory.devices.revoke(ALICE, "fax")
    assert Changes(database).take(10) == []


def test_changes_are_taken_in_their_order_and_stay_until_told(
    database: Database, directory: AccountDirectory
) -> None:
    """A server that falls between telling and removing tells again, under the same number."""
    for _ in range(3):
        directory.disable(ALICE)
        directory.enable(ALICE)
    changes = Changes(database)
    first = changes.take(4)
    assert [change.what for change in first] == ["disabled", "enabled"] * 2
    assert changes.take(4) == first
    changes.done([change.id for change in first])
    assert [change.what for change in changes.take(4)] == ["disabled", "enabled"]
    changes.done([])
    changes.done([999])
    assert len(changes.take(4)) == 2


def test_a_number_is_never_given_again(database: Database, directory: AccountDirectory) -> None:
    """What is told and removed must not take a later change with it."""
    changes = Changes(database)
    directory.disable(ALICE)
    (first,) = changes.take(10)
    changes.done([first.id])
    directory.enable(ALICE)
    (second,) = changes.take(10)
    assert second.id > first.id


def test_no_secret_is_noted(database: Database, directory: AccountDirectory) -> None:
    """Nothing of a password, nor of a hash."""
    said: list[str] = []
    event.listen(
        database._engine,
        "before_cursor_execute",
        lambda *args: said.append(f"{args[3]}") if "INTO changes" in args[2] else None,
    )
    directory.set_password(ALICE, Secret(b"hunter2hunter2"))
    directory.devices.add(ALICE, "scanner")
    assert len(said) == 2
    assert "hunter2" not in "".join(said)
    assert "argon2" not in "".join(said)
