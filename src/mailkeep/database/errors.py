"""What can be wrong with a database file, in words that an operator can act on.

It imports neither SQLAlchemy nor alembic: `deliver` reports the same errors and must be quick.
"""

import sqlite3
from pathlib import Path

_PRIMARY_CODE = 0xFF
"""The low byte of SQLite's result code is the kind, the rest a detail (sqlite.org/rescode.html)."""

_DAMAGED = (
    "restore it from a backup; what is left can be read with: sqlite3 {path} .recover",
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB},
)
_BUSY = (
    "another program holds it; try again when that has ended",
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL},
)
_FULL = (
    "free some space on the disk and see what the system log says about it",
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR},
)
_HINTS = (_DAMAGED, _BUSY, _FULL)
_HINT_OTHERWISE = "see that {path} and its folder belong to the user who runs this and are writable"


class DatabaseUnavailable(Exception):
    """A database cannot be used now; what it holds is as it was.

    Attributes:
        path: the file.
        hint: the next step, for an operator.
    """

    def __init__(self, path: Path, reason: str, hint: str) -> None:
        super().__init__(f"database {path}: {reason}")
        self.path = path
        self.hint = hint


class DatabaseTooNew(DatabaseUnavailable):
    """A newer program made or changed the database; this one would not understand it."""


def unavailable(path: Path, cause: BaseException | None) -> DatabaseUnavailable:
    """Return the error that tells what SQLite or the system said about the file at `path`."""
    code = getattr(cause, "sqlite_errorcode", None)
    hint = _HINT_OTHERWISE
    if code is not None:
        hint = next((hint for hint, codes in _HINTS if code & _PRIMARY_CODE in codes), hint)
    reason = cause.strerror if isinstance(cause, OSError) else str(cause)
    return DatabaseUnavailable(path, reason or "unknown", hint.format(path=path))
