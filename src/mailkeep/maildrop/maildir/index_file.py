"""A file that remembers what was found out about an account's messages; only a memory.

Whatever is wrong with it, it is thrown away and found out again; a disk that takes no more keeps
none of it. It is not made before there is something to remember and removed when nothing is left.
No call raises because of it: what it cannot tell or keep is not known.

It knows nothing of Maildirs, nor what is remembered. Every call blocks; one is used by one thread.
"""

import contextlib
import os
import sqlite3
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Self

WAIT_S = 5.0
"""For an operator's look at the maildrop, or a hop that was given up: only they write too."""

ASKED_AT_ONCE = 500
"""SQLite takes 999 variables a statement in its older versions."""

_RUINED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR}
)
"""The file is at fault, not the moment (no descriptor, no room, somebody writing)."""


class IndexFile:
    """A table by base name in a SQLite file of its own; a context that closes the file.

    Args:
        path: of the file.
        table: the table's name.
        columns: what it has beside `base`, as SQL.
        wait_s: how long another may hold it before it is left alone.
        is_synced: whether a power cut must not harm it.
    """

    def __init__(
        self, path: Path, *, table: str, columns: str, wait_s: float, is_synced: bool
    ) -> None:
        self._path = path
        self._table = table
        self._schema = (
            f"CREATE TABLE IF NOT EXISTS {table} (base BLOB PRIMARY KEY, {columns}) WITHOUT ROWID"
        )
        self._wait_s = wait_s
        self._is_synced = is_synced
        self._open: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def forget(self, bases: Iterable[bytes]) -> None:
        """Drop these messages, and the file when that was all."""
        if not self._is_there():
            return
        with self._best_effort():
            with self._connection() as transaction:
                rows = ((base,) for base in bases)
                delete = f"DELETE FROM {self._table} WHERE base = ?"  # noqa: S608  # our own name
                transaction.executemany(delete, rows)
            if self._is_empty():
                self._throw_away()

    def forget_all_but(self, bases: Container[bytes]) -> None:
        """Drop the messages that others have removed meanwhile."""
        if self._is_there():
            with self._best_effort():
                rows = self._connection().execute(f"SELECT base FROM {self._table}")  # noqa: S608
                self.forget([base for (base,) in rows if base not in bases])

    def count(self) -> int:
        """Return how many messages are remembered."""
        count = 0
        if self._is_there():
            with self._best_effort():
                query = f"SELECT count(*) FROM {self._table}"  # noqa: S608  # our own name
                (count,) = self._connection().execute(query).fetchone()
        return count

    def _is_empty(self) -> bool:
        query = f"SELECT 1 FROM {self._table} LIMIT 1"  # noqa: S608  # our own name
        return self._connection().execute(query).fetchone() is None

    def _is_there(self) -> bool:
        try:
            return self._open is not None or self._path.exists()
        except OSError:  # what may not be looked at is not there for us
            return False

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._open = sqlite3.connect(self._path, timeout=self._wait_s)
            if not self._is_synced:
                self._open.execute("PRAGMA synchronous = OFF")
            self._open.execute(self._schema)
        return self._open

    @contextlib.contextmanager
    def _best_effort(self) -> Iterator[None]:
        """Let an index that fails be none."""
        try:
            yield
        except sqlite3.Error as cause:
            if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _RUINED:
                self._throw_away()
        except OSError:
            self.__exit__()

    def _throw_away(self) -> None:
        self.__exit__()
        for suffix in ("", "-journal"):
            with contextlib.suppress(OSError):  # what cannot be removed is found ruined once more
                Path(f"{self._path}{suffix}").unlink()
