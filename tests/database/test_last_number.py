"""The last number of a table: seen at once, whoever wrote, and never waited for."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailkeep.database.last_number import LastNumber


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database as a site's are: with a write-ahead log."""
    path = tmp_path / "things.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)")
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_it_is_nought_before_the_first_row(path: Path) -> None:
    """SQLite has no number yet."""
    assert LastNumber(path, "things").read() == 0


def test_it_rises_with_each_row_and_never_falls(path: Path, writer: sqlite3.Connection) -> None:
    """A row that is gone has had its number."""
    last = LastNumber(path, "things")
    for number in range(1, 4):
        writer.execute("INSERT INTO things (name) VALUES ('x')")
        assert last.read() == number
    writer.execute("DELETE FROM things")
    assert last.read() == 3


def test_what_is_not_committed_does_not_count(path: Path, writer: sqlite3.Connection) -> None:
    """And a writer in the middle of a transaction is not waited for."""
    last = LastNumber(path, "things")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO things (name) VALUES ('x')")
    assert last.read() == 0
    writer.execute("COMMIT")
    assert last.read() == 1


def test_a_database_that_is_held_says_nothing(path: Path, writer: sqlite3.Connection) -> None:
    """None, at once; and the number when it is let go."""
    last = LastNumber(path, "things")
    writer.execute("PRAGMA journal_mode = DELETE")
    writer.execute("BEGIN EXCLUSIVE")
    assert last.read() is None
    writer.execute("INSERT INTO things (name) VALUES ('x')")
    writer.execute("COMMIT")
    assert last.read() == 1


def test_a_database_that_is_missing_says_nothing(tmp_path: Path) -> None:
    """And it is not made."""
    path = tmp_path / "none.db"
    assert LastNumber(path, "things").read() is None
    assert not path.exists()
