"""Reading what a name logs in with: the same work whether there is an account or not."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from tests.accounts.counting import cheap_keying

from mailkeep.accounts import AccountState, MainPasswordPolicy
from mailkeep.accounts.credentials import FRESH_S, KEPT_LIMIT, KEPT_S, Credential, Credentials
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


@pytest.fixture
def directory(database: Database) -> AccountDirectory:
    """Alice, with a telephone."""
    directory = AccountDirectory(database, CHEAP, cheap_keying(), by="root")
    directory.add(ALICE, Secret(b"a password"))
    directory.devices.add(ALICE, "telephone")
    return directory


def statements(database: Database) -> list[str]:
    """Return a list that grows with each statement."""
    said: list[str] = []
    event.listen(database._engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    return said


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize("address", [ALICE, STRANGER])
async def test_what_was_read_is_kept(database: Database, address: Address) -> None:
    """The next login reads nothing, whether anybody has the name or not."""
    credentials = Credentials(database, nobodys_hash="nobody's")
    first = await credentials.find(address)
    said = statements(database)
    assert await credentials.find(address) is first
    assert said == []


CHANGES: list[Callable[[AccountDirectory], object]] = [
    lambda it: it.add(STRANGER, Secret(b"another password")),
    lambda it: it.set_password(ALICE, Secret(b"a new password")),
    lambda it: it.set_policy(ALICE, MainPasswordPolicy.DEVICES_ONLY),
    lambda it: it.disable(ALICE),
    lambda it: it.remove(ALICE),
    lambda it: it.devices.add(ALICE, "printer"),
    lambda it: it.devices.revoke(ALICE, "telephone"),
    lambda it: it.devices.rename(ALICE, "telephone", "tablet"),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_seen_at_once(
    database: Database, directory: AccountDirectory, change: Callable[[AccountDirectory], object]
) -> None:
    """Made by another program, which need not say so: the change itself leaves a number."""
    now_s = [0.0]
    credentials = Credentials(database, nobodys_hash="nobody's", monotonic_s=lambda: now_s[0])
    before = [await credentials.find(address) for address in (ALICE, STRANGER)]
    change(directory)
    now_s[0] = FRESH_S
    after = [await credentials.find(address) for address in (ALICE, STRANGER)]
    assert after != before


async def test_a_change_that_is_noticed_is_seen_before_anything_else(
    database: Database, directory: AccountDirectory
) -> None:
    """A notice is answered when it is in force, however short ago the account was read."""
    credentials = Credentials(database, nobodys_hash="", monotonic_s=lambda: 0.0)
    before = await credentials.find(ALICE)
    directory.disable(ALICE)
    assert await credentials.find(ALICE) is before
    credentials.look_again()
    assert (await credentials.find(ALICE)).account.state is AccountState.DISABLED


async def test_a_change_while_it_is_read_is_seen_next_time(
    database: Database, directory: AccountDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number is that of before the reading."""
    credentials = Credentials(database, nobodys_hash="nobody's")
    find = credentials._find

    def read_and_change(query: Any, wanted: str) -> Credential:
        found = find(query, wanted)
        directory.disable(ALICE)
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(credentials, "_find", read_and_change)
        await credentials.find(ALICE)
    credentials.look_again()
    assert (await credentials.find(ALICE)).account.state is AccountState.DISABLED


@pytest.mark.usefixtures("directory")
async def test_what_was_changed_by_hand_is_seen_in_a_minute(database: Database) -> None:
    """Nothing says that it was."""
    now_s = [0.0]
    credentials = Credentials(database, nobodys_hash="", monotonic_s=lambda: now_s[0])
    await credentials.find(ALICE)
    with database.writing() as connection:
        connection.execute(text("UPDATE accounts SET state = 'disabled'"))
    now_s[0] = KEPT_S
    assert (await credentials.find(ALICE)).account.state is AccountState.DISABLED


async def test_a_renewed_hash_is_not_read_from_what_was_kept(
    database: Database, directory: AccountDirectory
) -> None:
    """It is no change that is told."""
    credentials = Credentials(database, nobodys_hash="")
    before = await credentials.find(ALICE)
    await credentials.renew_hash(before, "another hash")
    assert (await credentials.find(ALICE)).password_hash == "another hash"
    assert directory.get(ALICE) == before.account


async def test_last_uses_are_no_reason_to_read_again(
    database: Database, directory: AccountDirectory
) -> None:
    """They are written all the time."""
    credentials = Credentials(database, nobodys_hash="")
    first = await credentials.find(ALICE)
    with database.writing() as connection:
        connection.execute(text("UPDATE accounts SET last_used = created"))
    assert await credentials.find(ALICE) is first
    directory.disable(ALICE)
    credentials.look_again()
    assert await credentials.find(ALICE) is not first


async def test_as_many_are_kept_as_there_is_room_for(database: Database) -> None:
    """Names that nobody has cost memory too."""
    credentials = Credentials(database, nobodys_hash="")
    some = await credentials.find(STRANGER)
    for number in range(KEPT_LIMIT):
        credentials._keep(f"{number}@example.com", some, 0)
    assert len(credentials._kept) == KEPT_LIMIT
    said = statements(database)
    await credentials.find(STRANGER)
    assert len(said) == 1


@pytest.mark.parametrize("address", [ALICE, STRANGER])
async def test_at_hand_is_only_what_a_reading_would_return(
    database: Database, directory: AccountDirectory, address: Address
) -> None:
    """Nothing before the first reading, nothing after a change, nothing that is too old."""
    now_s = [0.0]
    credentials = Credentials(database, nobodys_hash="", monotonic_s=lambda: now_s[0])
    assert credentials.at_hand(address) is None
    found = await credentials.find(address)
    assert credentials.at_hand(address) is found
    now_s[0] = KEPT_S
    assert credentials.at_hand(address) is None
    await credentials.find(address)
    directory.disable(ALICE)
    now_s[0] += FRESH_S
    assert credentials.at_hand(address) is None
