"""Transactions keep all or nothing, and a failure says what to do next."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, event, insert, select
from sqlalchemy.exc import IntegrityError, StatementError

from mailkeep.database import DatabaseUnavailable, engine
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.database.schema import Schema
from mailkeep.database.utc import UtcTime


@pytest.fixture
def database(tmp_path: Path, newer: Schema) -> Iterator[Database]:
    opened = open_database(tmp_path / "site.db", newer, create=True)
    yield opened
    opened.close()


def add(connection: Connection, name: str) -> None:
    connection.exec_driver_sql("INSERT INTO things (name) VALUES (?)", (name,))


def add_all(database: Database, *wanted: str) -> None:
    with database.writing() as connection:
        for name in wanted:
            add(connection, name)


def names(database: Database) -> list[str]:
    with database.reading() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT name FROM things ORDER BY id")]


@pytest.mark.parametrize("kind", ["reading", "writing"])
def test_every_connection_has_the_same_settings(database: Database, kind: str) -> None:
    """Durable commits (FULL is 2), rules between tables, a bounded wait: per connection."""
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    with getattr(database, kind)() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in expected}
    assert found == expected


def test_what_raises_is_undone(database: Database) -> None:
    """A transaction is all or nothing."""

    def fail_after_writing() -> None:
        with database.writing() as connection:
            add(connection, "half")
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail_after_writing()
    assert names(database) == []


def test_a_rule_of_the_table_is_the_callers_to_understand(database: Database) -> None:
    """Only the room that declared the table knows what a conflict means."""
    with database.writing() as connection:
        add(connection, "one")
    with pytest.raises(IntegrityError):
        add_all(database, "two", "one")
    assert names(database) == ["one"]


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    """Write-ahead log: a login is not held up by an operator's change."""
    with database.writing() as connection:
        add(connection, "unfinished")
        assert names(database) == []
    assert names(database) == ["unfinished"]


def test_reading_and_then_writing_loses_no_update(database: Database) -> None:
    """A transaction that writes has the writer's place before it reads."""

    def count_up() -> None:
        for _ in range(25):
            with database.writing() as connection:
                seen = connection.exec_driver_sql("SELECT count(*) FROM things").scalar_one()
                add(connection, str(seen))

    threads = [threading.Thread(target=count_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(database) == [str(number) for number in range(75)]


def test_a_database_that_is_held_is_waited_for_and_then_reported(
    tmp_path: Path, newer: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program that writes for too long: a clear error, and it is no damage."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.01)
    database = open_database(tmp_path / "site.db", newer, create=True)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="locked") as caught:
            add_all(database, "too early")
    assert "try again" in caught.value.hint
    add_all(database, "later")
    assert names(database) == ["later"]
    database.close()


def test_a_full_disk_is_reported_and_changes_nothing(database: Database) -> None:
    """What was there stays, what did not fit is undone, the hint names the disk."""
    with database.writing() as connection:
        add(connection, "before")
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    @event.listens_for(database._engine, "begin")
    def fill_the_disk(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(DatabaseUnavailable, match="full") as caught:
        add_all(database, "x" * 100_000)
    assert "disk" in caught.value.hint
    assert names(database) == ["before"]


def test_pages_that_were_overwritten_are_reported(database: Database) -> None:
    """A damaged disk: the error names the file and a way out."""
    with database.writing() as connection:
        for number in range(2000):
            add(connection, f"{number:100}")
    database.close()
    content = bytearray(database.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    database.path.write_bytes(content)
    damaged = Database(database.path)
    with pytest.raises(DatabaseUnavailable, match="malformed") as caught:
        names(damaged)
    assert "backup" in caught.value.hint
    damaged.close()


def test_an_error_does_not_carry_what_was_written(database: Database) -> None:
    """A password hash must not reach a log by way of a failed statement."""
    table = Table("no_such_table", MetaData(), Column("secret", Integer))
    with pytest.raises(DatabaseUnavailable) as caught, database.writing() as connection:
        connection.execute(insert(table).values(secret=271828))
    told = f"{caught.value!r} {caught.value.__cause__} {caught.value.__cause__!r}"
    assert "no_such_table" in told
    assert "271828" not in told


async def test_work_runs_off_the_loop(database: Database) -> None:
    """SQLite blocks; the loop does not."""
    assert await database.run(threading.get_ident) != threading.get_ident()
    assert await database.run(names, database) == []


async def test_an_error_comes_back_to_who_asked(database: Database) -> None:
    """What fails on a thread is not lost there."""
    database.path.with_name("site.db").unlink()
    with pytest.raises(ZeroDivisionError):
        await database.run(divmod, 1, 0)


async def test_cancelled_work_that_has_not_begun_is_not_done(database: Database) -> None:
    """A connection that is gone leaves nothing in the queue."""
    release = threading.Event()
    busy = [asyncio.create_task(database.run(release.wait)) for _ in range(4)]
    await asyncio.sleep(0)
    done: list[int] = []
    waiting = asyncio.create_task(database.run(done.append, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await asyncio.gather(*busy)
    assert await database.run(len, done) == 0


def test_closing_twice_is_closing_once(database: Database) -> None:
    """The order of a shutdown is not always known."""
    database.close()
    database.close()


TIMES = Table("times", MetaData(), Column("at", UtcTime))


def test_a_time_comes_back_in_utc(database: Database) -> None:
    """SQLite keeps no time zone; without one nobody can tell when it was."""
    moment = datetime(2024, 3, 31, 2, 30, 0, 123456, timezone(timedelta(hours=2)))
    with database.writing() as connection:
        TIMES.create(connection)
        connection.execute(insert(TIMES), [{"at": moment}, {"at": None}])
        kept = connection.execute(select(TIMES.c.at)).scalars().all()
    assert kept == [moment, None]
    assert kept[0] is not None
    assert kept[0].tzinfo is UTC


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    """A local time kept by accident would be hours off, and only in some places."""
    naive = datetime(2024, 1, 1)  # noqa: DTZ001  # what the test is about
    with database.writing() as connection:
        TIMES.create(connection)
        with pytest.raises(StatementError, match="without a time zone"):
            connection.execute(insert(TIMES).values(at=naive))
