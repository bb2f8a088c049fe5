"""The SHA-256 of messages in wire form: worked out at delivery or at the first reading, then kept.

One SQLite file an account, beside the one of sizes and apart from it: nearly every message has a
digest, so that a file of both would be opened at every login, which needs no digest (0.2 ms on top
of the 0.6 ms that a login takes). A digest is known by base name and holds as long as the file's
stamp does. Each row has a checksum of its own, because nothing here is brought to disk on purpose:
after a power cut a row is right or not there. See `index_file` for the rest.

`DigestIndex` is the file, used by one thread; `SessionDigests` is what one session knows of it.
Every call blocks: for worker threads.

Known limit: what a session worked out is written in groups and at its end, so a process that is
killed forgets the last of it, and those messages are hashed again when they are read again.
"""

import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir import index_file
from mailkeep.maildrop.maildir.index_file import ASKED_AT_ONCE, IndexFile
from mailkeep.values import AccountId, Index

DELIVERY_WAIT_S = 0.2
"""A delivery must not wait for an index: what it cannot note is hashed at the first reading."""

TOGETHER = 64
"""Messages whose digests are looked up, or written, at once: opening the file costs as much as
reading fifty rows, and a session that reads one message should not read of thousands."""

_SLACK_OCTETS = 1 << 20
_ROW_OCTETS = 400
"""Of the file a message, at most: a row has 150 to 250, and a page of SQLite's is half full at
worst. A file that is longer than that, by more than the slack, is full of what others removed."""

_SELECT = (
    "SELECT base, stamp, sha256, seal FROM digests"
    " WHERE typeof(stamp) = 'blob' AND typeof(sha256) = 'blob' AND base "
)
_RANGE = _SELECT + "BETWEEN ? AND ? LIMIT ?"
_NAMED = _SELECT + "IN (%s)"
_INSERT = "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)"


class Digest(NamedTuple):
    """The digest of one message, and of which file it was made."""

    base: bytes
    stamp: bytes
    sha256: bytes

    @property
    def seal(self) -> int:
        """The checksum of the row."""
        return zlib.crc32(b"%b\0%b\0%b" % self)


def digests_path(index: Path, account: AccountId) -> Path:
    """Return where an account's digests are remembered, in the site's folder of indexes."""
    return index / f"{account}.digests"


class DigestIndex(IndexFile):
    """The digests remembered for one account."""

    def __init__(self, path: Path, *, wait_s: float | None = None) -> None:
        super().__init__(
            path,
            table="digests",
            columns="stamp BLOB NOT NULL, sha256 BLOB NOT NULL, seal INTEGER NOT NULL",
            wait_s=index_file.WAIT_S if wait_s is None else wait_s,
            is_synced=False,
        )

    def look_up(self, bases: Sequence[bytes]) -> dict[bytes, Digest]:
        """Return what is remembered of these messages, which should lie near each other."""
        found: dict[bytes, Digest] = {}
        if bases and self._is_there():
            with self._best_effort():
                # A range costs a tenth of as many names, and messages in a row are one, unless
                # others have strange names.
                limit = 4 * len(bases)
                rows = self._rows(_RANGE, (min(bases), max(bases), limit))
                if len(rows) == limit:
                    for start in range(0, len(bases), ASKED_AT_ONCE):
                        asked = bases[start : start + ASKED_AT_ONCE]
                        rows += self._rows(_NAMED % ",".join("?" * len(asked)), asked)
                found.update((row.base, row) for row in rows)
        return found

    def remember(self, digests: Collection[Digest]) -> None:
        """Keep these digests in place of what was kept of the same messages."""
        if digests:
            rows = ((*digest, digest.seal) for digest in digests)
            with self._best_effort(), self._connection() as transaction:
                transaction.executemany(_INSERT, rows)

    def forget_what_is_gone(self, bases: PackedStrings) -> None:
        """Drop what others removed, if the file is far too long for these messages."""
        with suppress(OSError):  # mostly because it is not there
            if self._path.stat().st_size > _SLACK_OCTETS + _ROW_OCTETS * len(bases):
                self.forget_all_but({bases[Index(place)] for place in range(len(bases))})
                self._give_room_back()

    def _give_room_back(self) -> None:
        if self._is_there():
            with self._best_effort():
                self._connection().execute("VACUUM")

    def _rows(self, query: str, values: Sequence[object]) -> list[Digest]:
        """Return the rows that are what was written."""
        rows = self._connection().execute(query, values)
        return [digest for *row, seal in rows if (digest := Digest(*row)).seal == seal]


def remember_delivered(path: Path, digest: Digest) -> None:
    """Keep the digest of a message that is being delivered, if that takes no time."""
    with DigestIndex(path, wait_s=DELIVERY_WAIT_S) as index:
        index.remember([digest])


class SessionDigests:
    """The digests of one snapshot, looked up and written in groups.

    Args:
        path: of the index.
        bases: the messages of the snapshot.
    """

    def __init__(self, path: Path, bases: PackedStrings) -> None:
        self._path = path
        self._bases = bases
        self._group: range = range(0)
        self._of_group: dict[bytes, Digest] = {}
        self._unwritten: dict[bytes, Digest] = {}

    @property
    def has_unwritten(self) -> bool:
        """Whether there is something to write."""
        return bool(self._unwritten)

    def find(self, place: Index, stamp: bytes) -> str | None:
        """Return the digest of a message in hexadecimal digits, if it is known.

        Args:
            place: its place in the snapshot.
            stamp: of its file as it is now.
        """
        base = self._bases[place]
        if place not in self._group:
            self._look_up_group(place)
        digest = self._unwritten.get(base) or self._of_group.get(base)
        return digest.sha256.hex() if digest and digest.stamp == stamp else None

    def learn(self, place: Index, stamp: bytes, sha256: str) -> None:
        """Take note of a digest; a full group is written."""
        base = self._bases[place]
        self._unwritten[base] = Digest(base, stamp, bytes.fromhex(sha256))
        if len(self._unwritten) >= TOGETHER:
            self.write()

    def write(self) -> None:
        """Write what has not been written."""
        self._change(lambda _: None)

    def forget(self, bases: Iterable[bytes]) -> None:
        """Drop messages that were removed, and write what is new of the others."""
        gone = tuple(bases)
        for base in gone:
            self._unwritten.pop(base, None)
        self._change(lambda index: index.forget(gone))

    def _change(self, change: Callable[[DigestIndex], None]) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        self._of_group |= unwritten
        with DigestIndex(self._path) as index:
            index.remember(unwritten.values())
            change(index)

    def _look_up_group(self, place: Index) -> None:
        start = place - place % TOGETHER
        self._group = range(start, min(start + TOGETHER, len(self._bases)))
        with DigestIndex(self._path) as index:
            self._of_group = index.look_up([self._bases[Index(one)] for one in self._group])
