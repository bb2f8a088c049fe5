"""Taking the snapshot of a Maildir: which messages, in which order, how long on the wire.

A size comes from the index, else from the name, else it is counted, once in the file's life.
Counting a big old Maildir may take longer than a client waits, so it stops when it is told to, and
what was counted until then is remembered. Blocks: for worker threads. Removes nothing.
"""

import errno
import os
import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import eq

from mailkeep.maildrop.listing import Listing, PackedStrings
from mailkeep.maildrop.maildir.changes import Names, joined, starts_of
from mailkeep.maildrop.maildir.folder import FOLDERS, Folders
from mailkeep.maildrop.maildir.names import (
    UidlsOfNames,
    all_announced_octets,
    announced_octets,
    time_of,
)
from mailkeep.maildrop.maildir.sizes import Size, SizeIndex
from mailkeep.maildrop.maildir.stamps import stamp_of
from mailkeep.maildrop.maildir.states import UNKNOWN, States
from mailkeep.message import WireCounter

BIG = 1_000
"""From so many messages on more is remembered than what a session sees, so that a change is found
without beginning anew: reading a folder and sorting its names takes 3 us a message."""

_TOGETHER = 500
"""Messages whose names are looked through, and whose sizes are looked up and remembered, at once:
what is made of so many for a moment stays in the processor's cache."""

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
    listing: Listing
    """What a session announces of it."""
    states: States
    """How the folders were: this is what is there as long as they stay so."""
    names: Names | None
    """The names of the files, in which `bases` lie; of a big Maildir, where no message has two."""

    @classmethod
    def of(
        cls, bases: PackedStrings, octets: "array[int]", states: States, names: Names | None
    ) -> "Snapshot":
        """Return the snapshot with these columns."""
        listing = Listing.of_columns(UidlsOfNames(bases), octets)
        return cls(bases, octets, listing, states, names)

    @property
    def memory_octets(self) -> int:
        """What it takes in memory, about."""
        return self.bases.octets + self.listing.memory_octets


NOTHING = Snapshot.of(PackedStrings(()), array("Q"), UNKNOWN, None)
"""What was seen before anybody looked."""


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
    names, bases, listed = _read(folders)
    if any(map(eq, listed, islice(listed, 1, None))):
        bases = bases.chosen({base: place for place, base in enumerate(listed)}.values())
        listed = bases.all()
    sizing = Sizing(folders, index, go_on)
    octets, vanished = sizing.of_all(listed)
    if vanished:
        bases = bases.chosen(at for at, base in enumerate(listed) if base not in vanished)
        listed = bases.all()
    if index.count() > 2 * sizing.in_index:
        index.forget_all_but(set(listed))
    if not sizing.is_sure:
        return Snapshot.of(bases, octets, UNKNOWN, None)
    is_kept = len(bases) >= BIG and len(bases) == names.joined.count(b"/")
    return Snapshot.of(bases, octets, folders.states, names if is_kept else None)


def _read(folders: Folders) -> tuple[Names, PackedStrings, list[bytes]]:
    """Return the names of all files, and in order the base names, in those and as objects."""
    names, bases, as_read = _as_read(folders)
    order = ordered(bases, names.joined)
    return names, as_read.chosen(order), [bases[place] for place in order]


def _as_read(folders: Folders) -> tuple[Names, list[bytes], PackedStrings]:
    """Return the names of all files, and the base name of each, as objects and in the names.

    The names as objects take much memory, and are let go of here.
    """
    found = folders.learn_names()
    new, cur = (found.get(folder, []) for folder in FOLDERS)
    names = Names.of_folders(joined(new), joined(cur))
    files = [*cur, *new]
    bases = [name.partition(b":")[0] for name in files]
    lengths = array("H", [len(base) for base in bases])
    return names, bases, PackedStrings.within(names.joined, starts_of(files), lengths)


def count_message(folders: Folders, base: bytes) -> Size:
    """Count the octets of one message on the wire by reading it.

    Raises:
        FileNotFoundError: it vanished.
        OSError: it cannot be read.
    """
    descriptor, status = folders.open_message(base)
    try:
        stamp = stamp_of(status)
        counter = WireCounter()
        while chunk := os.read(descriptor, _CHUNK_OCTETS):
            counter.feed(chunk)
    finally:
        os.close(descriptor)
    return Size(base, stamp, counter.finish())


def ordered(bases: Sequence[bytes], names: bytes) -> list[int]:
    """Return the places of base names in order of time, then name.

    Args:
        bases: in any order.
        names: those of the files that they are of, in the same order, joined.
    """
    order = sorted(range(len(bases)), key=bases.__getitem__)
    if bases and not _have_times_of_one_length(names, len(bases[0].partition(b".")[0])):
        order.sort(key=lambda place: time_of(bases[place]))
    return order


def _have_times_of_one_length(names: bytes, digits: int) -> bool:
    """Tell whether these names sort by time as they are, as nearly all do since 2001."""
    form = rb"[0-9]{%d}[.:/]" % digits
    return re.match(form, names) is not None and not re.search(rb"/(?!%b|\Z)" % form, names)


class Sizing:
    """Finds out sizes, and stops when told to.

    Args:
        folders: where the messages are.
        index: what was counted before; what is counted now goes there too.
        go_on: asked again and again while there is something to count.
    """

    def __init__(self, folders: Folders, index: SizeIndex, go_on: Callable[[], bool]) -> None:
        self._folders = folders
        self._index = index
        self._go_on = go_on
        self._has_counted = False
        self.in_index = 0
        """How many of the messages asked about the index knows, or knows now."""
        self.is_sure = True
        """Whether no size had to be guessed, of a file that may be readable next time."""

    def of_all(self, bases: Sequence[bytes]) -> tuple["array[int]", set[bytes]]:
        """Return the sizes of those messages that are there, and which vanished.

        Raises:
            NotInTime: it was time to stop; what was counted is remembered.
            OSError: the Maildir cannot be read.
        """
        octets = array("Q")
        vanished: set[bytes] = set()
        for start in range(0, len(bases), _TOGETHER):
            group = bases[start : start + _TOGETHER]
            known = self._index.look_up(group)
            announced = None if known else all_announced_octets(group)
            if announced is not None:
                octets.extend(announced)
                continue
            sizes = self._of_each(group, known)
            vanished.update(base for base, size in zip(group, sizes, strict=True) if size is None)
            octets.extend(size for size in sizes if size is not None)
        return octets, vanished

    def _of_each(self, bases: Sequence[bytes], known: dict[bytes, Size]) -> list[int | None]:
        """Return the size of each message, `None` for one that vanished.

        Raises:
            NotInTime: it was time to stop; what was counted is remembered.
        """
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
            self.is_sure = False
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
