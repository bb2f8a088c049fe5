"""A site of an older Mailkeep keeps its accounts, with everything that is theirs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.accounts.counting import CountingPasswords, cheap_keying

from mailkeep.accounts import AccountState
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.lookup import find_account
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.engine import Database, connect
from mailkeep.database.opening import open_database
from mailkeep.values import AccountId, Address, Secret

ALICE = Address("alice", "example.com")
MADE = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
CHANGED = datetime(2021, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

ADD = """
    INSERT INTO accounts
    (id, address, state, created, password_hash, password_version, password_changed)
    VALUES (?, ?, ?, '2020-01-02 03:04:05.000000', 'a hash', 7, '2021-01-02 03:04:05.000678')
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of before, with alice, bob, and a third account that was removed."""
    path = tmp_path / "mailkeep.db"
    open_database(path, replace(SCHEMA, head="0001"), create=True).close()
    with closing(connect(path)) as connection:
        connection.execute(ADD, (3, "alice@example.com", "enabled"))
        connection.execute(ADD, (5, "bob@example.com", "disabled"))
        connection.execute(ADD, (9, "carol@example.com", "enabled"))
        connection.execute("DELETE FROM accounts WHERE id = 9")
    return path


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = open_database(path, SCHEMA, create=False)
    yield opened
    opened.close()


def directory_of(database: Database) -> AccountDirectory:
    return AccountDirectory(database, CountingPasswords(), cheap_keying(), by="root")


async def test_accounts_are_carried_over(database: Database) -> None:
    """Number, state, times, password and its version; no policy, no expiry, no device."""
    alice = directory_of(database).get(ALICE)
    assert (alice.id, alice.state) == (AccountId(3), AccountState.ENABLED)
    assert (alice.created, alice.password_changed) == (MADE, CHANGED)
    assert (alice.main_password, alice.expires, alice.last_used) == (None, None, None)
    credential = await Credentials(database, nobodys_hash="").find(ALICE)
    assert (credential.version, credential.password_hash) == (7, "a hash")
    assert (credential.devices, credential.scram_keys) == ((), ())
    bob = directory_of(database).get(Address("bob", "example.com"))
    assert bob.state is AccountState.DISABLED


def test_what_was_never_confirmed_counts_from_the_last_change(database: Database) -> None:
    """Of the main password."""
    with database.reading() as connection:
        confirmed = connection.exec_driver_sql("SELECT confirmed, password_changed FROM accounts")
        assert all(one == other for one, other in confirmed)


def test_days_without_use_count_from_the_migration(database: Database) -> None:
    """Nobody wrote uses down before: a policy must not disable everybody on the day of it."""
    directory = directory_of(database)
    assert directory.stale(days=1).accounts == []
    later = datetime.now(UTC) + timedelta(days=2)
    directory = AccountDirectory(
        database, CountingPasswords(), cheap_keying(), by="root", now=lambda: later
    )
    assert [account.address for account in directory.stale(days=1).accounts] == [ALICE]


def test_the_numbers_of_removed_accounts_stay_taken(database: Database) -> None:
    """Also that of an account which was the last one."""
    added = directory_of(database).add(Address("dave", "example.com"), Secret(b"x"))
    assert added.id == 10


def test_an_empty_database_is_migrated_too(tmp_path: Path) -> None:
    """A site that was made and not used yet."""
    path = tmp_path / "empty.db"
    open_database(path, replace(SCHEMA, head="0001"), create=True).close()
    database = open_database(path, SCHEMA, create=False)
    assert directory_of(database).add(ALICE, Secret(b"x")).id == 1
    database.close()


def test_delivery_finds_accounts_before_and_after(path: Path) -> None:
    """`deliver` opens no database for writing, and its one question is the same."""
    assert find_account(path, ALICE) == AccountId(3)
    open_database(path, SCHEMA, create=False).close()
    assert find_account(path, ALICE) == AccountId(3)


def test_rules_hold_for_what_was_there(database: Database) -> None:
    """One address is one account, and a state is one that is known."""
    with closing(connect(database.path)) as connection:
        for statement in (
            "UPDATE accounts SET address = 'alice@example.com'",
            "UPDATE accounts SET state = 'asleep'",
            "UPDATE accounts SET main_password = 'sometimes'",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)
