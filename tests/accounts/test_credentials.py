"""Reading what a name logs in with: the same work whether there is an account or not."""

from typing import Any

from sqlalchemy import event
from tests.accounts.counting import cheap_keying

from mailkeep.accounts import AccountState
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.deciding import NOBODY
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

ALICE = Address("alice", "example.com")
STRANGER = Address("mallory", "example.com")
FINGERPRINT = "ab" * 32
CHEAP = Argon2Passwords(time_cost=1, memory_kib=8)


async def test_a_name_without_an_account_has_nobodys_credential(database: Database) -> None:
    """It may not log in, and its hash is the one that no password has."""
    found = await Credentials(database, nobodys_hash="nobody's").find(STRANGER)
    assert (found.account.id, found.account.state) == (NOBODY, AccountState.DISABLED)
    assert (found.password_hash, found.version) == ("nobody's", 0)


async def test_an_account_is_found_before_nobody(database: Database) -> None:
    """Both rows answer the query, and the account's is taken."""
    made = AccountDirectory(database, CHEAP, cheap_keying(), by="root").add(
        ALICE, Secret(b"a password")
    )
    found = await Credentials(database, nobodys_hash="nobody's").find(ALICE)
    assert found.account == made
    assert found.password_hash != "nobody's"


async def test_both_are_one_statement_that_returns_one_row(database: Database) -> None:
    """Time tells nobody which names exist: the database does the same for both."""
    AccountDirectory(database, CHEAP, cheap_keying(), by="root").add(ALICE, Secret(b"a password"))
    credentials = Credentials(database, nobodys_hash="nobody's")
    said: list[str] = []
    engine = database._engine
    event.listen(engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    for address in (ALICE, STRANGER):
        await credentials.find(address)
    first, second = said
    assert first == second


async def test_devices_come_in_the_same_statement(database: Database) -> None:
    """However many there are: one question to the database, and each device once."""
    directory = AccountDirectory(database, CHEAP, cheap_keying(), by="root")
    directory.add(ALICE, Secret(b"a password"))
    made = [directory.devices.add(ALICE, f"device {number}").device for number in range(5)]
    made.append(directory.devices.add_certificate(ALICE, "laptop", FINGERPRINT))
    credentials = Credentials(database, nobodys_hash="nobody's")
    said: list[str] = []
    event.listen(database._engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    found = await credentials.find(ALICE)
    assert len(said) == 1
    assert [one.device for one in found.devices] == made
    assert [len(one.keys) for one in found.devices] == [2] * 5 + [0]
    assert found.devices[-1].seal is None


async def test_a_certificate_finds_its_account_with_all_its_devices(database: Database) -> None:
    """And nobody's credential when it is nobody's; one statement either way."""
    directory = AccountDirectory(database, CHEAP, cheap_keying(), by="root")
    account = directory.add(ALICE, Secret(b"a password"))
    directory.devices.add(ALICE, "printer")
    directory.devices.add_certificate(ALICE, "laptop", FINGERPRINT)
    credentials = Credentials(database, nobodys_hash="nobody's")
    found = await credentials.find_by_certificate(FINGERPRINT)
    assert found.account == account
    assert [one.device.name for one in found.devices] == ["printer", "laptop"]
    assert (await credentials.find_by_certificate("cd" * 32)).account.id == NOBODY


async def test_no_index_is_missing(database: Database) -> None:
    """A login reads rows and no tables, however many accounts and devices there are."""
    credentials = Credentials(database, nobodys_hash="nobody's")
    said: list[tuple[str, Any]] = []
    event.listen(
        database._engine, "before_cursor_execute", lambda *args: said.append((args[2], args[3]))
    )
    await credentials.find(ALICE)
    await credentials.find_by_certificate(FINGERPRINT)
    asked = tuple(said)
    for statement, parameters in asked:
        with database.reading() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        steps = [row[3] for row in plan]
        assert not [step for step in steps if step in {"SCAN accounts", "SCAN devices"}], steps
