"""Reading what a name logs in with: the same work whether there is an account or not."""

from sqlalchemy import event

from mailkeep.accounts import AccountState
from mailkeep.accounts.credentials import NOBODY, Credentials
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

ALICE = Address("alice", "example.com")
STRANGER = Address("mallory", "example.com")
CHEAP = Argon2Passwords(time_cost=1, memory_kib=8)


async def test_a_name_without_an_account_has_nobodys_credential(database: Database) -> None:
    """It may not log in, and its hash is the one that no password has."""
    found = await Credentials(database, nobodys_hash="nobody's").find(STRANGER)
    assert (found.account.id, found.account.state) == (NOBODY, AccountState.DISABLED)
    assert (found.password_hash, found.version) == ("nobody's", 0)


async def test_an_account_is_found_before_nobody(database: Database) -> None:
    """Both rows answer the query, and the account's is taken."""
    made = AccountDirectory(database, CHEAP).add(ALICE, Secret(b"a password"))
    found = await Credentials(database, nobodys_hash="nobody's").find(ALICE)
    assert found.account == made
    assert found.password_hash != "nobody's"


async def test_both_are_one_statement_that_returns_one_row(database: Database) -> None:
    """Time tells nobody which names exist: the database does the same for both."""
    AccountDirectory(database, CHEAP).add(ALICE, Secret(b"a password"))
    credentials = Credentials(database, nobodys_hash="nobody's")
    said: list[str] = []
    engine = database._engine
    event.listen(engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    for address in (ALICE, STRANGER):
        await credentials.find(address)
    first, second = said
    assert first == second
