"""The audit trail's table, filled from the chain of files, which is the truth.

Whatever the table lacks it gets from the chain; a table that says something else than the chain
is emptied and filled anew, and a damaged file is put aside. So the database may be lost, or be
behind by what a crash came between.

Known limit: filling a lost table of millions of events takes minutes (some 20,000 a second).
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import cast

from sqlalchemy import func, select

from mailkeep.database.engine import Database
from mailkeep.database.errors import DatabaseUnavailable, unavailable
from mailkeep.database.opening import open_database
from mailkeep.events.checkpoints import is_checkpoint
from mailkeep.events.records import (
    ASKED_BY,
    NOT_KNOWN,
    NoRecord,
    Record,
    Writable,
    parse_line,
    record_in,
)
from mailkeep.events.tables import EVENTS, SCHEMA, record_of
from mailkeep.events.trail_files import RawLine, lines_backwards, lines_of, numbered_files

_BATCH = 5000
"""Rows a transaction while a table is filled: a second's work, some megabytes."""

_ROWS_A_STATEMENT = (64, 8, 1)
"""Few different statements, because SQLite parses each of them once a connection; with ten values
a row the longest has fewer than the 999 that SQLite's older versions take."""

_COLUMNS = ("seq", "at", "type", *ASKED_BY[:-1], "claimed", "fields")
_ROW = f"({','.join([*'???', *[f'NULLIF(?,{NOT_KNOWN})'] * len(ASKED_BY), '?'])})"
_INSERTS = {
    count: f"INSERT OR REPLACE INTO {EVENTS.name} ({','.join(_COLUMNS)})"  # noqa: S608  # our names
    f" VALUES {','.join([_ROW] * count)}"
    for count in _ROWS_A_STATEMENT
}

_PRIMARY_CODE = 0xFF
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_trail_database(path: Path, folder: Path) -> Database:
    """Open the table and bring it up to the chain.

    Args:
        path: of the database; made when it is missing.
        folder: of the chain.

    Raises:
        DatabaseUnavailable: it cannot be used.
        OSError: the chain cannot be read.
    """
    try:
        return _open_filled(path, folder)
    except DatabaseUnavailable as failure:
        if not _is_damaged(failure):
            raise
    _put_aside(path)
    return _open_filled(path, folder)


def add_records(database: Database, records: Sequence[Writable]) -> None:
    """Add records that are in the chain; what stands under their numbers gives way.

    Raises:
        DatabaseUnavailable: nothing was added.
    """
    with database.writing() as connection:
        try:
            _insert(cast("sqlite3.Connection", connection.connection.driver_connection), records)
        except sqlite3.Error as failure:
            raise unavailable(database.path, failure) from failure


def catch_up(database: Database, folder: Path) -> None:
    """Bring the table up to the chain.

    Raises:
        DatabaseUnavailable: the table cannot be read or written.
        OSError: the chain cannot be read.
    """
    if not folder.exists():
        return
    last = _last_agreed(database, folder)
    records = records_after(folder, last)
    while batch := list(islice(records, _BATCH)):
        add_records(database, batch)


def records_after(folder: Path, seq: int) -> Iterator[Record]:
    """Yield the chain's records behind a number; what is no record is left out.

    Raises:
        OSError: the files cannot be read.
    """
    files = [path for _, path in numbered_files(folder)]
    first = len(files) - 1
    while first > 0 and _first_seq(files[first]) > seq + 1:
        first -= 1
    for path in files[max(first, 0) :]:
        for raw in lines_of(path):
            record = _record_of(raw)
            if record is not None and record.seq > seq:
                yield record


def _open_filled(path: Path, folder: Path) -> Database:
    database = open_database(path, SCHEMA, create=True)
    try:
        catch_up(database, folder)
    except BaseException:
        database.close()
        raise
    return database


def _insert(connection: sqlite3.Connection, records: Sequence[Writable]) -> None:
    """Write a row a record, many in a statement.

    A statement a row gives Python's lock away and takes it back for each, while the event loop
    wants it too: with events as they come, that cost both of them more than the writing itself.
    And SQLAlchemy would cost more than SQLite.
    """
    rest = [_values_of(record) for record in records]
    for count in _ROWS_A_STATEMENT:
        while len(rest) >= count:
            some, rest = rest[:count], rest[count:]
            connection.execute(_INSERTS[count], [*chain.from_iterable(some)])


def _values_of(record: Writable) -> tuple[object, ...]:
    """Return a row in the order of `_COLUMNS`; the time in the form of SQLAlchemy's SQLite.

    A run is one row, under the number of its first event; what its events differ in is in `fields`.
    """
    at = record.time_text.replace("T", " ")[:-1]
    return record.seq, at, record.type, *record.asked_by, record.fields_text


def _last_agreed(database: Database, folder: Path) -> int:
    """Return the number up to which the table says what the chain says; 0 after emptying it."""
    with database.reading() as connection:
        last = connection.execute(select(func.max(EVENTS.c.seq))).scalar_one() or 0
        query = select(EVENTS).where(EVENTS.c.seq == last)
        row = connection.execute(query).mappings().one_or_none()
    if row is None or record_of(row) == _record_at(folder, last):
        return int(last)
    with database.writing() as connection:
        connection.execute(EVENTS.delete())
    return 0


def _record_at(folder: Path, seq: int) -> Record | None:
    """Return the chain's record of a number; near the end this is quick."""
    for _, path in reversed(numbered_files(folder)):
        for raw in lines_backwards(path):
            record = _record_of(raw)
            if record is not None and record.seq <= seq:
                return record if record.seq == seq else None
    return None


def _first_seq(path: Path) -> int:
    records = (_record_of(raw) for raw in lines_of(path))
    return next((record.seq for record in records if record is not None), 1 << 62)


def _record_of(raw: RawLine) -> Record | None:
    if not raw.is_whole:
        return None
    try:
        line = parse_line(raw.octets)
        return None if is_checkpoint(line) else record_in(line)
    except NoRecord:
        return None


def _is_damaged(failure: DatabaseUnavailable) -> bool:
    cause = failure.__cause__
    code = getattr(getattr(cause, "orig", cause), "sqlite_errorcode", 0)
    return (code & _PRIMARY_CODE) in _DAMAGED


def _put_aside(path: Path) -> None:
    """Leave a damaged database to whoever wants to look at it."""
    path.replace(path.with_name(f"{path.name}.damaged"))
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
