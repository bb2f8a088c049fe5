"""The size index: what was counted once, so that it is not counted again.

One SQLite file an account. A size is known by base name and holds as long as the file's inode,
length and time of change do (its stamp). See `index_file` for what happens when it is wrong.

It knows nothing of Maildirs. Every call blocks; an index is used by one thread.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from mailkeep.maildrop.maildir import index_file
from mailkeep.maildrop.maildir.index_file import ASKED_AT_ONCE, IndexFile

_SELECT = (
    "SELECT base, stamp, octets FROM sizes"
    " WHERE typeof(octets) = 'integer' AND octets >= 0 AND base IN (%s)"
)


class Size(NamedTuple):
    """The size of one message, and of which file it was counted."""

    base: bytes
    stamp: bytes
    octets: int


class SizeIndex(IndexFile):
    """The sizes remembered for one account."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            table="sizes",
            columns="stamp BLOB NOT NULL, octets INTEGER NOT NULL",
            wait_s=index_file.WAIT_S,
            is_synced=True,
        )

    def look_up(self, bases: Sequence[bytes]) -> dict[bytes, Size]:
        """Return what is remembered of these messages."""
        found: dict[bytes, Size] = {}
        if self._is_there():
            with self._best_effort():
                for start in range(0, len(bases), ASKED_AT_ONCE):
                    asked = bases[start : start + ASKED_AT_ONCE]
                    query = _SELECT % ",".join("?" * len(asked))
                    rows = self._connection().execute(query, asked)
                    found.update((row[0], Size(*row)) for row in rows)
        return found

    def remember(self, sizes: Collection[Size]) -> None:
        """Keep these sizes in place of what was kept of the same messages."""
        if sizes:
            with self._best_effort(), self._connection() as transaction:
                transaction.executemany("INSERT OR REPLACE INTO sizes VALUES (?, ?, ?)", sizes)
