"""An operator's accounts: what is asked for is done durably, or refused with a reason."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, select
from tests.accounts.counting import CountingPasswords, cheap_keying

from mailkeep.accounts import (
    AccountExists,
    AccountState,
    MainPasswordPolicy,
    ScramKey,
    UnknownAccount,
)
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.tables import ACCOUNTS
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.sasl import ScramKeys
from mailkeep.values import Address, NotPrepared, Secret

Parse = Callable[[str], Address]
PASSWORD = Secret(b"correct horse")


async def kept(database: Database, address: Address) -> tuple[int, str]:
    credential = await Credentials(database, nobodys_hash="").find(address)
    return credential.version, credential.password_hash


def test_an_account_is_added_and_shown(database: Database, address: Parse) -> None:
    """What `account add` and `account show` promise; times are in UTC."""
    now = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    directory = AccountDirectory(
        database, CountingPasswords(), cheap_keying(), by="root", now=lambda: now
    )
    added = directory.add(address("Alice"), PASSWORD)
    assert added.address == address("alice@mail.example.com")
    assert added.state is AccountState.ENABLED
    assert (added.created, added.password_changed) == (now, now)
    assert added.created.tzinfo is UTC
    assert directory.get(address("alice")) == added
    assert directory.list() == [added]


@pytest.mark.parametrize("again", ["alice", "ALICE", "alice@Mail.Example.Com", "\uff41lice"])
def test_one_address_is_one_account(
    directory: AccountDirectory, address: Parse, again: str
) -> None:
    """RFC 8265 section 3.3: the same name in another dress is the same name."""
    added = directory.add(address("alice"), PASSWORD)
    with pytest.raises(AccountExists, match="alice@mail"):
        directory.add(address(again), Secret(b"other"))
    assert directory.list() == [added]


def test_accounts_are_listed_by_domain_and_name(
    directory: AccountDirectory, address: Parse
) -> None:
    """A list that a person reads has an order."""
    for name in ("zoe@a.example", "bob", "alice", "amy@z.example"):
        directory.add(address(name), PASSWORD)
    assert [str(account.address) for account in directory.list()] == [
        "zoe@a.example",
        "alice@mail.example.com",
        "bob@mail.example.com",
        "amy@z.example",
    ]


@pytest.mark.parametrize("ask", ["get", "disable", "enable", "remove"])
def test_an_unknown_account_is_said_by_name(
    directory: AccountDirectory, address: Parse, ask: str
) -> None:
    """Bad input gets a clear error that names the thing."""
    directory.add(address("alice"), PASSWORD)
    with pytest.raises(UnknownAccount, match="bob@mail"):
        getattr(directory, ask)(address("bob"))
    with pytest.raises(UnknownAccount, match="bob@mail"):
        directory.set_password(address("bob"), PASSWORD)
    assert len(directory.list()) == 1


@pytest.mark.parametrize("password", [b"", b"line\n", b"half \xc3", b"\0"])
async def test_an_unusable_password_is_refused_before_anything_changes(
    database: Database, directory: AccountDirectory, address: Parse, password: bytes
) -> None:
    """RFC 8265 section 4: a password that could never be typed again would lock its owner out."""
    directory.add(address("alice"), PASSWORD)
    before = await kept(database, address("alice"))
    with pytest.raises(NotPrepared):
        directory.add(address("bob"), Secret(password))
    with pytest.raises(NotPrepared):
        directory.set_password(address("alice"), Secret(password))
    assert await kept(database, address("alice")) == before
    assert len(directory.list()) == 1


async def test_each_change_of_the_password_is_a_new_version(
    database: Database, address: Parse
) -> None:
    """What is remembered of the old password must not be taken for the new one."""
    moments = iter(datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    directory = AccountDirectory(
        database, CountingPasswords(), cheap_keying(), by="root", now=lambda: next(moments)
    )
    first = directory.add(address("alice"), PASSWORD)
    seen, changed = [await kept(database, address("alice"))], first
    for _ in range(2):
        changed = directory.set_password(address("alice"), PASSWORD)
        seen.append(await kept(database, address("alice")))
    assert [version for version, _ in seen] == [1, 2, 3]
    assert len({password_hash for _, password_hash in seen}) == 3, "each has a salt of its own"
    assert changed.created == first.created
    assert changed.password_changed == datetime(2024, 1, 3, tzinfo=UTC)


async def test_disabling_keeps_the_password(
    database: Database, directory: AccountDirectory, address: Parse
) -> None:
    """Enabled again, an account has the password it had; both may be asked for twice."""
    added = directory.add(address("alice"), PASSWORD)
    before = await kept(database, address("alice"))
    assert directory.disable(address("alice")).state is AccountState.DISABLED
    assert directory.disable(address("alice")).state is AccountState.DISABLED
    assert directory.enable(address("alice")) == added
    assert await kept(database, address("alice")) == before


def test_policy_and_expiry_are_kept_until_they_are_taken_back(
    directory: AccountDirectory, address: Parse
) -> None:
    """`None` is what the site's settings say, and no end."""
    added = directory.add(address("alice"), PASSWORD)
    end = datetime(2027, 1, 1, tzinfo=UTC)
    assert (added.main_password, added.expires, added.last_used) == (None, None, None)
    for policy in MainPasswordPolicy:
        assert directory.set_policy(address("alice"), policy).main_password is policy
    assert directory.set_expiry(address("alice"), end).expires == end
    assert directory.get(address("alice")).main_password is MainPasswordPolicy.DEVICES_ONLY
    directory.set_policy(address("alice"), None)
    assert directory.set_expiry(address("alice"), None) == added


@pytest.mark.parametrize(
    ("change", "is_confirmed"),
    [
        (lambda d, a: d.confirm_password(a), True),
        (lambda d, a: d.set_password(a, PASSWORD), True),
        (lambda d, a: d.disable(a), False),
        (lambda d, a: d.enable(a), False),
        (lambda d, a: d.set_policy(a, MainPasswordPolicy.ALLOW), False),
    ],
)
def test_a_changed_or_confirmed_password_is_the_owners(
    database: Database,
    address: Parse,
    change: Callable[[AccountDirectory, Address], object],
    is_confirmed: bool,
) -> None:
    """From there guesses of strangers are counted."""
    moments = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]
    now = [moments[0]]
    directory = AccountDirectory(
        database, CountingPasswords(), cheap_keying(), by="root", now=lambda: now[0]
    )
    directory.add(address("alice"), PASSWORD)
    now[0] = moments[1]
    change(directory, address("alice"))
    with database.reading() as connection:
        confirmed = connection.execute(select(ACCOUNTS.c.confirmed)).scalar_one()
    assert confirmed == moments[is_confirmed]


async def test_scram_keys_of_a_main_password_are_kept_only_when_asked_for(
    database: Database, directory: AccountDirectory, address: Parse
) -> None:
    """They are easier to guess from, once stolen; each change decides anew."""
    credentials = Credentials(database, nobodys_hash="")
    directory.add(address("alice"), PASSWORD)
    directory.add(address("bob"), PASSWORD, scram_main=True)
    kept = [(await credentials.find(address(name))).main_key for name in ("alice", "bob")]
    assert kept[0] is None
    base = cheap_keying().base_for(address("bob"))
    derived = ScramKeys.derive(PASSWORD, base.salt, base.iterations)
    assert kept[1] == ScramKey(derived.stored_key, derived.server_key, None)
    directory.set_password(address("bob"), PASSWORD)
    directory.set_password(address("alice"), PASSWORD, scram_main=True)
    credentials.look_again()  # what a notice brings about; without one it takes `FRESH_S`
    kept = [(await credentials.find(address(name))).main_key for name in ("alice", "bob")]
    assert kept[0] is not None
    assert kept[1] is None


def test_a_hash_from_elsewhere_makes_an_account(
    directory: AccountDirectory, address: Parse
) -> None:
    """`account import`; an address that is taken is left as it is."""
    added = directory.add_with_hash(address("alice"), "{SSHA}c29tZXRoaW5n")
    assert added == directory.get(address("alice"))
    with pytest.raises(AccountExists):
        directory.add_with_hash(address("alice"), "{SSHA}c29tZXRoaW5n")


def test_a_removed_accounts_number_is_not_given_again(
    directory: AccountDirectory, address: Parse
) -> None:
    """Leases, remembered passwords and records name the number: it must not become another's."""
    directory.add(address("alice"), PASSWORD)
    last = directory.add(address("bob"), PASSWORD)
    assert directory.remove(address("bob")) == last
    again = directory.add(address("bob"), PASSWORD)
    assert again.address == last.address
    assert again.id > last.id
    assert directory.remove(address("bob")).id == again.id
    assert directory.add(address("carol"), PASSWORD).id > again.id


async def test_a_full_disk_changes_nothing(
    database: Database, directory: AccountDirectory, address: Parse
) -> None:
    """The error says so, and the account that was there still has its password."""
    directory.add(address("alice"), PASSWORD)
    before = await kept(database, address("alice"))
    with database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    event.listen(
        database._engine,
        "begin",
        lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}"),
    )
    added = {address("alice")}

    def add_until_it_is_full() -> None:
        for number in range(1000):
            added.add(directory.add(address(f"user{number}"), PASSWORD).address)

    with pytest.raises(DatabaseUnavailable, match="full") as caught:
        add_until_it_is_full()
    assert "space" in caught.value.hint
    assert {account.address for account in directory.list()} == added
    assert await kept(database, address("alice")) == before


def test_no_hash_is_ever_shown(database: Database, address: Parse) -> None:
    """A password's hash is for the one who checks it; no log and no error has it."""
    directory = AccountDirectory(database, CountingPasswords(), cheap_keying(), by="root")
    account = directory.add(address("alice"), PASSWORD)
    assert "argon2" not in repr(account)
    with pytest.raises(AccountExists) as caught:
        directory.add(address("alice"), PASSWORD)
    assert "argon2" not in f"{caught.value!r} {caught.value.__cause__}"


async def test_a_credential_prints_without_its_hash(
    database: Database, directory: AccountDirectory, address: Parse
) -> None:
    """The same for what a login reads."""
    directory.add(address("alice"), PASSWORD)
    credential = await Credentials(database, nobodys_hash="").find(address("alice"))
    assert "argon2" not in repr(credential)
