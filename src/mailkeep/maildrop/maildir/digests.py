"""The SHA-256 of messages in wire form: worked out at delivery or at the first reading, then kept.

And with it what spares the next reading its work: that the file is the wire form as it lies on
disk, and where lines of it begin with a dot.

One SQLite file an account, beside the one of sizes and apart from it: nearly every message has a
digest, so that a file of both would be opened at every login, which needs no digest (0.2 ms on top
of the 0.6 ms that a login takes). A digest is known by base name and holds as long as the file's
stamp does. Each row has a checksum of its own, because nothing here is brought to disk on purpose:
after a power cut a row is right or not there. See `index_file` for the rest.

`DigestIndex` is the file, used by one thread; `KnownDigests` is what is known of one snapshot, by
the sessions on it, one after the other. Every call blocks: for worker threads.

Known limit: what a session worked out is written in groups and at its end, so a process that is
killed forgets the last of it, and those messages are hashed again when they are read again.
"""

import zlib
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir import index_file
from mailkeep.maildrop.maildir.index_file import ASKED_AT_ONCE, IndexFile
from mailkeep.values import AccountId, Index

DELIVERY_WAIT_S = 0.2
"""A delivery must not wait for an index: what it cannot note is hashed at the first reading."""

TOGETHER = 64
"""Messages whose digests are looked up at once: opening the file costs as much as reading fifty
rows, and a session that reads one message should not read of thousands. One that reads here and
there, in a maildrop of any size, is told of one message at a time."""

_NEAR = 16
"""Who leaves out fewer messages than that still reads in a row: of a group four or more are used,
which is cheaper than to open the file for each."""

KEPT = 8 * TOGETHER
"""Of what was looked up: two programs that fetch different halves cost no more than one."""

WRITTEN_TOGETHER = 1024
"""Digests that are written at once: who takes mail away deletes most of them unwritten. In memory
they take some 300 KiB, and who is killed before has them worked out again."""

_KNOWN_OCTETS = 400
"""What one digest takes in memory, about."""

AS_SENT = 1
"""A mark: the file is the wire form, octet by octet."""
DOTS_KNOWN = 2
"""A mark: no line of the wire form begins with a dot but those that are named."""

_SLACK_OCTETS = 1 << 20
_ROW_OCTETS = 400
"""Of the file a message, at most: a row has 150 to 320, and a page of SQLite's is half full at
worst. A file that is longer than that, by more than the slack, is full of what others removed."""

_SELECT = (
    "SELECT base, stamp, sha256, marks, dots, seal FROM digests WHERE typeof(stamp) = 'blob'"
    " AND typeof(sha256) = 'blob' AND typeof(marks) = 'integer' AND typeof(dots) = 'blob'"
    " AND length(dots) & 3 = 0 AND base "
)
_RANGE = _SELECT + "BETWEEN ? AND ? LIMIT ?"
_NAMED = _SELECT + "IN (%s)"
_INSERT = "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)"


class Digest(NamedTuple):
    """The digest of one message, and of which file it was made."""

    base: bytes
    stamp: bytes
    sha256: bytes
    marks: int = 0
    """`AS_SENT` and `DOTS_KNOWN`, if they are known to hold."""
    dots: bytes = b""
    """Where lines begin with a dot, if that is known: four octets each, in this machine's order."""

    @classmethod
    def found(cls, base: bytes, stamp: bytes, found: "Found") -> Self:
        """Return what was found out about a message.

        Args:
            base: its base name.
            stamp: of its file.
            found: what.
        """
        sha256, is_as_sent, dots = found
        if dots is None:
            return cls(base, stamp, sha256, AS_SENT * is_as_sent)
        return cls(
            base, stamp, sha256, AS_SENT * is_as_sent | DOTS_KNOWN, array("I", dots).tobytes()
        )

    @property
    def seal(self) -> int:
        """The checksum of the row."""
        return zlib.crc32(b"%b\0%b\0%b\0%d\0%b" % self)

    @property
    def is_dot_free(self) -> bool:
        """Whether it is known that no line begins with a dot."""
        return bool(self.marks & DOTS_KNOWN) and not self.dots

    @property
    def places_of_dots(self) -> Sequence[int] | None:
        """Where lines begin with a dot; None if it is not known."""
        if not self.dots:
            return () if self.marks & DOTS_KNOWN else None
        return memoryview(self.dots).cast("I")


class Found(NamedTuple):
    """What was found out when a message was read or written whole."""

    sha256: bytes
    is_as_sent: bool
    """Whether the file is the wire form, octet by octet."""
    dots: Sequence[int] | None
    """Where lines of the wire form begin with a dot; None if there are more than a few."""


def digests_path(index: Path, account: AccountId) -> Path:
    """Return where an account's digests are remembered, in the site's folder of indexes."""
    return index / f"{account}.digests"


class DigestIndex(IndexFile):
    """The digests remembered for one account."""

    def __init__(self, path: Path, *, wait_s: float | None = None) -> None:
        super().__init__(
            path,
            table="digests",
            columns="stamp BLOB NOT NULL, sha256 BLOB NOT NULL, marks INTEGER NOT NULL,"
            " dots BLOB NOT NULL, seal INTEGER NOT NULL",
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


class KnownDigests:
    """The digests of one snapshot, looked up and written in groups. May be used by any thread.

    Args:
        path: tells where the index is.
        bases: the messages of the snapshot.
    """

    __slots__ = ("_bases", "_guard", "_known", "_path", "_unwritten")

    def __init__(self, path: Callable[[], Path], bases: PackedStrings) -> None:
        self._path = path
        self._bases = bases
        self._guard = Lock()
        self._known: dict[int, Digest | None] = {}
        self._unwritten: dict[int, Digest] = {}

    @property
    def has_unwritten(self) -> bool:
        """Whether there is something to write."""
        return bool(self._unwritten)

    @property
    def memory_octets(self) -> int:
        """What they take in memory, about. Asked by the loop, so it waits for no thread."""
        return _KNOWN_OCTETS * len(self._known)

    def find(self, place: Index, stamp: bytes) -> Digest | None:
        """Return what is known of a message.

        Args:
            place: its place in the snapshot.
            stamp: of its file as it is now.
        """
        with self._guard:
            digest = self._unwritten.get(place)
            if digest is None:
                if place not in self._known:
                    self._look_up(self._worth_knowing(place))
                digest = self._known[place]
        return digest if digest and digest.stamp == stamp else None

    def in_memory(self, place: Index) -> Digest | None:
        """Return what is known of a message without looking it up, whatever its stamp.

        It waits for no thread that is looking up; what one lets go of meanwhile is not found.
        """
        return self._unwritten.get(place) or self._known.get(place)

    def learn(self, place: Index, digest: Digest) -> None:
        """Take note of a digest; when there are many, they are written."""
        with self._guard:
            self._unwritten[place] = digest
            is_time = len(self._unwritten) >= WRITTEN_TOGETHER
        if is_time:
            self.write()

    def write(self) -> None:
        """Write what has not been written."""
        self._change(lambda _: None)

    def forget(self, bases: Collection[bytes]) -> None:
        """Drop messages that were removed, and write what is new of the others."""
        gone = frozenset(bases)
        with self._guard:
            left = {at: digest for at, digest in self._unwritten.items() if digest.base not in gone}
            self._unwritten = left
        self._change(lambda index: index.forget(gone))

    def _change(self, change: Callable[[DigestIndex], None]) -> None:
        with self._guard:
            unwritten = self._unwritten
            self._keep(unwritten)
            self._unwritten = {}
        with DigestIndex(self._path()) as index:
            index.remember(unwritten.values())
            change(index)

    def _worth_knowing(self, place: int) -> range:
        """Return of which messages to ask: of a group, by who begins or reads in a row."""
        near = range(place - _NEAR, place + _NEAR)
        if self._known and self._known.keys().isdisjoint(near):
            return range(place, place + 1)
        start = place - place % TOGETHER
        return range(start, min(start + TOGETHER, len(self._bases)))

    def _look_up(self, places: range) -> None:
        bases = self._bases.part(places.start, places.stop)
        with DigestIndex(self._path()) as index:
            found = index.look_up(bases)
        self._keep(dict(zip(places, map(found.get, bases), strict=True)))

    def _keep(self, digests: Mapping[int, Digest | None]) -> None:
        """Know these too, and no longer those that have been known longest."""
        self._known |= digests
        for place in list(islice(self._known, max(0, len(self._known) - KEPT))):
            del self._known[place]
