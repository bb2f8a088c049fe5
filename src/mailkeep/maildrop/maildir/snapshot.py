"""Taking the snapshot of a Maildir: which messages, in which order, how long on the wire.

A size comes from the index, else from the name, else it is counted, once in the file's life.
Counting a big old Maildir may take longer than a client waits, so it stops when it is told to, and
what was counted until then is remembered. Blocks: for worker threads. Removes nothing.
"""

import errno
import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from mailkeep.maildrop.listing import Listing, PackedStrings
from mailkeep.maildrop.maildir.folder import Folders
from mailkeep.maildrop.maildir.names import UidlsOfNames, announced_octets, time_of
from mailkeep.maildrop.maildir.sizes import Size, SizeIndex
from mailkeep.maildrop.maildir.stamps import stamp_of
from mailkeep.message import WireCounter
from mailkeep.values import Index

_TOGETHER = 500
"""Messages whose sizes are looked up, and remembered, at once."""

_CHUNK_OCTETS = 1 << 18
"""Counted at once: most messages whole, and no more of a big one in memory."""

_EUCLEAN = getattr(errno, "EUCLEAN", errno.EIO)  # Linux: ext4 and XFS say it of damaged inodes
_OF_THIS_MESSAGE_ALONE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EIO, errno.EBADMSG, errno.ESTALE, _EUCLEAN}
)
"""What makes one file unreadable, and says nothing of the others."""


class NotInTime(Exception):
    """Counting was told to stop."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The messages of a Maildir in the order of their delivery."""

    bases: PackedStrings
    octets: "array[int]"

    @property
    def listing(self) -> Listing:
        """What a session announces of it."""
        return Listing.of_columns(UidlsOfNames(self.bases), self.octets)


def take_snapshot(folders: Folders, index: SizeIndex, go_on: Callable[[], bool]) -> Snapshot:
    """Return the messages that are there now.

    Args:
        folders: where they are.
        index: what was counted before; what is counted now goes there too.
        go_on: asked again and again while there is something to count.

    Raises:
        NotInTime: `go_on` said no. At least one message more is counted than before.
        OSError: the Maildir cannot be read.
    """
    bases = _ordered(folders.learn_bases())
    octets = array("Q")
    vanished: set[int] = set()
    sizing = _Sizing(folders, index, go_on)
    for start in range(0, len(bases), _TOGETHER):
        group = range(start, min(start + _TOGETHER, len(bases)))
        sizes = sizing.of_group([bases[Index(place)] for place in group])
        vanished.update(place for place, size in zip(group, sizes, strict=True) if size is None)
        octets.extend(size for size in sizes if size is not None)
    if vanished:
        there = (place for place in range(len(bases)) if place not in vanished)
        bases = PackedStrings(bases[Index(place)] for place in there)
    if index.count() > 2 * sizing.in_index:
        index.forget_all_but({bases[Index(place)] for place in range(len(bases))})
    return Snapshot(bases, octets)


def count_message(folders: Folders, base: bytes) -> Size:
    """Count the octets of one message on the wire by reading it.

    Raises:
        FileNotFoundError: it vanished.
        OSError: it cannot be read.
    """
    descriptor = folders.open_message(base)
    try:
        stamp = stamp_of(os.fstat(descriptor))
        counter = WireCounter()
        while chunk := os.read(descriptor, _CHUNK_OCTETS):
            counter.feed(chunk)
    finally:
        os.close(descriptor)
    return Size(base, stamp, counter.finish())


def _ordered(bases: list[bytes]) -> PackedStrings:
    """Sort by time, then name, each name once: in two passes, which need no pairs."""
    bases.sort()
    bases.sort(key=time_of)
    return PackedStrings(base for base, _ in groupby(bases))


class _Sizing:
    """Finds out sizes, and stops when told to."""

    def __init__(self, folders: Folders, index: SizeIndex, go_on: Callable[[], bool]) -> None:
        self._folders = folders
        self._index = index
        self._go_on = go_on
        self._has_counted = False
        self.in_index = 0
        """How many of the messages asked about the index knows, or knows now."""

    def of_group(self, bases: Sequence[bytes]) -> list[int | None]:
        """Return the size of each message, `None` for one that vanished.

        Raises:
            NotInTime: it was time to stop; what was counted is remembered.
        """
        known = self._index.look_up(bases)
        counted: list[Size] = []
        try:
            return [self._size(base, known.get(base), counted) for base in bases]
        finally:
            self._index.remember(counted)
            self.in_index += len(known.keys() | {size.base for size in counted})

    def _size(self, base: bytes, known: Size | None, counted: list[Size]) -> int | None:
        try:
            if known and stamp_of(self._folders.stat_message(base)) == known.stamp:
                return known.octets
            announced = announced_octets(base)
            return self._count(base, counted) if announced is None else announced
        except FileNotFoundError:
            return None
        except OSError as cause:
            if cause.errno not in _OF_THIS_MESSAGE_ALONE:
                raise
            # One bad file must not close the maildrop: it is listed, and reading it says so.
            return self._stored_octets(base)

    def _count(self, base: bytes, counted: list[Size]) -> int:
        if self._has_counted and not self._go_on():
            raise NotInTime
        self._has_counted = True
        counted.append(count_message(self._folders, base))
        return counted[-1].octets

    def _stored_octets(self, base: bytes) -> int:
        """Return the nearest to its size that a bad file tells, be it nothing."""
        try:
            return self._folders.stat_message(base).st_size
        except OSError:
            return 0
