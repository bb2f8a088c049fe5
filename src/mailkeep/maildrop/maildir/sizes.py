"""The size index: what was counted once, so that it is not counted again.

One SQLite file an account. A size is known by base name and holds as long as the file's inode,
length and time of change do (its stamp). The index is only a memory: whatever is wrong with it, it
is thrown away and the messages are counted again; a disk that takes no more keeps none of it. It is
not made before there is something to remember and removed when nothing is left.

It knows nothing of Maildirs. Every call blocks; an index is used by one thread.
"""

import contextlib
import os
import sqlite3
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sizes"
    " (base BLOB PRIMARY KEY, stamp BLOB NOT NULL, octets INTEGER NOT NULL) WITHOUT ROWID"
)
_SELECT = (
    "SELECT base, stamp, octets FROM sizes"
    " WHERE typeof(octets) = 'integer' AND octets >= 0 AND base IN (%s)"
)
_ASKED_AT_ONCE = 500
"""SQLite takes 999 variables a statement in its older versions."""

_WAIT_S = 5.0
"""Only an operator's look at the maildrop, or a hop that was given up, could be writing too."""

_RUINED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR}
)
"""The file is at fault, not the moment (no descriptor, no room, somebody writing)."""


class Size(NamedTuple):
    """The size of one message, and of which file it was counted."""

    base: bytes
    stamp: bytes
    octets: int


def stamp_of(status: os.stat_result) -> bytes:
    """Return what tells this file from one that was put or written in its place."""
    return b"%d %d %d" % (status.st_ino, status.st_size, status.st_mtime_ns)


class SizeIndex:
    """The sizes remembered for one account; a context that closes the file.

    No call raises because of the index: what it cannot tell or keep is not known.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def look_up(self, bases: Sequence[bytes]) -> dict[bytes, Size]:
        """Return what is remembered of these messages."""
        found: dict[bytes, Size] = {}
        if self._is_there():
            with self._best_effort():
                for start in range(0, len(bases), _ASKED_AT_ONCE):
                    asked = bases[start : start + _ASKED_AT_ONCE]
                    query = _SELECT % ",".join("?" * len(asked))
                    rows = self._connection().execute(query, asked)
                    found.update((row[0], Size(*row)) for row in rows)
        return found

    def remember(self, sizes: Collection[Size]) -> None:
        """Keep these sizes in place of what was kept of the same messages."""
        if sizes:
            with self._best_effort(), self._connection() as transaction:
                transaction.executemany("INSERT OR REPLACE INTO sizes VALUES (?, ?, ?)", sizes)

    def forget(self, bases: Iterable[bytes]) -> None:
        """Drop these messages, and the file when that was all."""
        if not self._is_there():
            return
        with self._best_effort():
            with self._connection() as transaction:
                rows = ((base,) for base in bases)
                transaction.executemany("DELETE FROM sizes WHERE base = ?", rows)
            if self.count() == 0:
                self._throw_away()

    def forget_all_but(self, bases: Container[bytes]) -> None:
        """Drop the messages that others have removed meanwhile."""
        if self._is_there():
            with self._best_effort():
                rows = self._connection().execute("SELECT base FROM sizes")
                self.forget([base for (base,) in rows if base not in bases])

    def count(self) -> int:
        """Return how many sizes are remembered."""
        count = 0
        if self._is_there():
            with self._best_effort():
                (count,) = self._connection().execute("SELECT count(*) FROM sizes").fetchone()
        return count

    def _is_there(self) -> bool:
        try:
            return self._open is not None or self._path.exists()
        except OSError:  # what may not be looked at is not there for us
            return False

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._open = sqlite3.connect(self._path, timeout=_WAIT_S)
            self._open.execute(_SCHEMA)
        return self._open

    @contextlib.contextmanager
    def _best_effort(self) -> Iterator[None]:
        """Let an index that fails be none: the messages are counted again."""
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
