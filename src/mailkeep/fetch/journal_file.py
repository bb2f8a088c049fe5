"""The file of a journal: its tables, made whole or not at all, and what can be wrong with it.

It must not know what the rows mean. A file that is no journal, is cut short, or was written by a
newer version is told apart from one that cannot be used now: only the latter mends itself.
"""

import contextlib
import sqlite3
from pathlib import Path

from mailkeep.fetch.failures import JournalUnusable, StorageFailed

VERSION = 1
"""Of the tables; kept in SQLite's `user_version`."""

BUSY_TIMEOUT_S = 5.0
"""Only `status` reads while a run writes; the account's lock keeps a second run out."""

_TABLES = """
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    uidl BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    state INTEGER NOT NULL,
    place INTEGER NOT NULL,
    listed_at INTEGER NOT NULL,
    announced INTEGER,
    octets INTEGER,
    sha256 BLOB,
    header_sha256 BLOB,
    stored_at INTEGER,
    missing_since INTEGER,
    gone_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX message_key ON message (uidl, ordinal, generation);
CREATE TABLE held (
    message INTEGER NOT NULL REFERENCES message (id),
    destination INTEGER NOT NULL REFERENCES destination (id),
    place TEXT NOT NULL,
    PRIMARY KEY (message, destination)
) WITHOUT ROWID;
CREATE TABLE destination (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    mark INTEGER
);
CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""


class Transaction:
    """A transaction that writes: durable when the block has ended, undone if it raises."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as cause:
            raise journal_failure(self._path, cause) from cause
        return self._connection

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        if failure is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as cause:
                self._undo()
                raise journal_failure(self._path, cause) from cause
            return
        self._undo()
        if isinstance(failure, sqlite3.Error):
            raise journal_failure(self._path, failure) from failure

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # some failures have undone it already
            self._connection.execute("ROLLBACK")


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Return a connection for one thread at a time; transactions are begun by `Transaction`."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # one thread at a time, not always the same
    )


def make_journal_file(path: Path) -> None:
    """Make an empty journal, which gets its name when it is whole.

    So a file without tables was not left by a crash: it is damaged. What SQLite has left beside a
    journal that was moved away must not be taken for a part of the new one.
    """
    from mailkeep.fetch.destinations.durable import fsync_folder  # needed once an account

    new = path.with_name(f"{path.name}.new")
    for left in (new, Path(f"{new}-journal"), Path(f"{path}-wal"), Path(f"{path}-shm")):
        left.unlink(missing_ok=True)
    connection = connect(new, mode="rwc")
    try:
        with Transaction(path, connection):
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
    finally:
        connection.close()
    new.replace(path)
    fsync_folder(path.parent)


def make_ready(path: Path, connection: sqlite3.Connection) -> None:
    """See that it is a journal of this version and whole, and set how it is written.

    Raises:
        JournalUnusable: it is not.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise JournalUnusable(
            f"the journal {path} was written by a newer version of Mailkeep",
            hint="use that version; nothing was changed",
        )
    if version < VERSION:
        raise damaged_journal(path, "it has no tables of ours")
    if not _ends_with_a_page(path, connection):
        raise damaged_journal(path, "it is cut short")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _ends_with_a_page(path: Path, connection: sqlite3.Connection) -> bool:
    """Tell whether the last page is all there; SQLite reads zeros for what is missing of it.

    A state of zero would be STORED. Pages that are missing as a whole SQLite sees itself; and while
    there is a write-ahead log, the end may still be in it.
    """
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        return True
    (page_octets,) = connection.execute("PRAGMA page_size").fetchone()
    return path.stat().st_size % int(page_octets) == 0


_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""SQLITE_ERROR is what a table or a column that is missing gives: every statement here is fixed."""


def journal_failure(path: Path, cause: sqlite3.Error) -> StorageFailed | JournalUnusable:
    """Return what an error of SQLite means for a run."""
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED:
        return damaged_journal(path, str(cause))
    return StorageFailed(f"the journal {path} cannot be used: {cause}")


def damaged_journal(path: Path, reason: str) -> JournalUnusable:
    """Return what is said of a journal that cannot be believed."""
    return JournalUnusable(
        f"the journal {path} is damaged ({reason}); nothing more is fetched or deleted",
        hint="put a backup in its place; or move it away and run `mailkeep fetch state rebuild`"
        " so that what you have does not come again",
    )
