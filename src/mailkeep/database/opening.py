"""Opening a database: making it, finding out whether it fits this program, migrating it.

A room describes its tables' history as a `Schema`. When the database is already where the schema
ends, opening reads one row and alembic is not even imported. Otherwise one program at a time makes
or migrates it, in one transaction: a crash leaves what was there before.

Known limit: a program that migrates is waited for without a deadline; its own waits have one, and
the lock falls with the process.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mailkeep.database.engine import Database, connect
from mailkeep.database.errors import DatabaseUnavailable, unavailable
from mailkeep.database.schema import Schema


def open_database(path: Path, schema: Schema, *, create: bool) -> Database:
    """Open the database at `path`, migrated to the end of `schema`.

    Args:
        path: the file; its folder exists.
        schema: what is to be in it.
        create: make it when it is missing. Without this a missing file is an error, because a
            server on an empty database would tell everybody that their password is wrong.

    Raises:
        DatabaseTooNew: a newer program has migrated it further.
        DatabaseUnavailable: it is missing, damaged, held by another program or not writable.
    """
    try:
        if not path.exists() and not create:
            raise DatabaseUnavailable(
                path, "there is none", "see that this is the site you mean, or make it with init"
            )
        if not path.exists() or not _is_ready(path, schema):
            with _alone_in(path.parent):
                _make_ready(path, schema)
    except (OSError, sqlite3.Error) as cause:
        raise unavailable(path, cause) from cause
    return Database(path)


def _is_ready(path: Path, schema: Schema) -> bool:
    """Tell whether there is nothing to do, which is so at nearly every start."""
    with closing(connect(path)) as connection:
        return _journal_mode(connection) == "wal" and _stored_heads(connection) == {schema.head}


def _journal_mode(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def _stored_heads(connection: sqlite3.Connection) -> set[str]:
    table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'alembic_version'"
    if connection.execute(table).fetchone() is None:
        return set()
    return {row[0] for row in connection.execute("SELECT version_num FROM alembic_version")}


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one program at a time make or migrate a database in `folder`.

    SQLite's own lock is not enough: of two that switch a new file to the write-ahead log one is
    told "locked" at once, whatever its timeout. The folder is locked and not the file, because
    closing a second descriptor of a database file drops all of SQLite's locks on it
    (sqlite.org/howtocorrupt.html section 2.2).
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)  # a new file's name is durable when its folder is
    finally:
        os.close(descriptor)


def _make_ready(path: Path, schema: Schema) -> None:
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    from mailkeep.database.migrating import migrate  # alembic takes as long as all the rest

    database = Database(path)
    try:
        with database.writing() as connection_in_transaction:
            migrate(connection_in_transaction, path, schema)
    finally:
        database.close()
