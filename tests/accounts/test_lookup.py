"""`deliver` asks one question of the accounts, quickly."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.lookup import find_account
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

Parse = Callable[[str], Address]
PASSWORD = Secret(b"x")

HEAVY = {"sqlalchemy", "alembic", "argon2", "asyncio", "typer", "rich", "structlog"}

ASK = """
import sys
from pathlib import Path
from mailkeep.accounts.lookup import find_account
from mailkeep.values import Address
print(find_account(Path(sys.argv[1]), Address.parse("alice", default_domain="mail.example.com")))
print(" ".join({name.partition(".")[0] for name in sys.modules}))
"""


def test_it_finds_what_the_directory_keeps(
    database: Database, directory: AccountDirectory, address: Parse
) -> None:
    """The one query outside SQLAlchemy names the same table, and sees what was just written."""
    names = ("alice", "Bob@Other.example", "ren\u00e9")
    for name in names:
        added = directory.add(address(name), PASSWORD)
        assert find_account(database.path, address(name)) == added.id
    assert find_account(database.path, address("nobody")) is None
    directory.remove(address("alice"))
    assert find_account(database.path, address("alice")) is None


def test_a_disabled_account_still_gets_mail(
    database: Database, directory: AccountDirectory, address: Parse
) -> None:
    """Disabling refuses logins; mail that an MTA has accepted must not bounce."""
    added = directory.add(address("alice"), PASSWORD)
    directory.disable(address("alice"))
    assert find_account(database.path, address("alice")) == added.id


def test_it_answers_while_another_program_writes(
    database: Database, directory: AccountDirectory, address: Parse
) -> None:
    """A delivery is not held up by an operator's change."""
    added = directory.add(address("alice"), PASSWORD)
    with database.writing():
        assert find_account(database.path, address("alice")) == added.id


def test_it_imports_nothing_heavy(
    database: Database, directory: AccountDirectory, address: Parse
) -> None:
    """A whole `deliver` has 0.15 s of CPU; SQLAlchemy alone takes more."""
    added = directory.add(address("alice"), PASSWORD)
    asked = subprocess.run(
        [sys.executable, "-c", ASK, database.path], capture_output=True, text=True, check=True
    )
    answer, modules = asked.stdout.splitlines()
    assert answer == str(added.id)
    assert HEAVY.isdisjoint(modules.split())


def test_a_missing_database_is_not_made(tmp_path: Path, address: Parse) -> None:
    """The wrong folder: an error that names it, and nothing there afterwards."""
    path = tmp_path / "mailkeep.db"
    with pytest.raises(DatabaseUnavailable, match=str(path)) as caught:
        find_account(path, address("alice"))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_file_that_is_no_database_of_accounts_is_said_to_be_so(
    tmp_path: Path, address: Parse, content: bytes
) -> None:
    """Never answered as "no such account": the MTA would bounce the mail."""
    path = tmp_path / "mailkeep.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnavailable, match=str(path)):
        find_account(path, address("alice"))
    assert path.read_bytes() == content
