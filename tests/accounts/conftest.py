"""A site's accounts in a real file, with cheap argon2."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.accounts.counting import CountingPasswords, cheap_keying

from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.values import Address

HERE = "mail.example.com"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "mailkeep.db", SCHEMA, create=True)
    yield opened
    opened.close()


@pytest.fixture
def keying() -> Keying:
    return cheap_keying()


@pytest.fixture
def directory(database: Database, keying: Keying) -> AccountDirectory:
    return AccountDirectory(database, CountingPasswords(), keying, by="root")


@pytest.fixture
def address() -> Callable[[str], Address]:
    return lambda text: Address.parse(text, default_domain=HERE)
