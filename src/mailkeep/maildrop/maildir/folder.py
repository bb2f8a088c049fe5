"""One Maildir on disk, beside other programs that deliver, rename and delete in it all the time.

Responsible for finding the files of messages, wherever their neighbours have moved them, and for
opening them without being led astray: only regular files count, and no link is followed from `cur`
and `new` on. It knows nothing of sizes, sessions or removal. Every call blocks: for worker threads.

A session keeps no place for each message. It knows the few places that files had when it looked
(`new`, or `cur` with this or that set of flags), tries those, and only then looks through the
folders again.

Known limits: directory reading promises nothing about names that change meanwhile, so a folder is
read again while its time of change moves, a few times at most, and once more where that time is too
young to tell. An account's folder itself may be a link, as operators move mail to other disks.
"""

import errno
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from mailkeep.maildrop.maildir.names import base_of

FOLDERS = (b"new", b"cur")
"""In the order in which mail moves, so that what moves while we look is met once more, not missed.
"""

PATIENCE = 4
"""How often to look again while a neighbour keeps renaming; one that renames faster than a folder
can be read four times is no mail program."""

_TELLS_AFTER_NS = 2 * 10**9
"""How old a folder's time of change must be to tell of the next: ext3, HFS+ and old NFS count in
seconds, Linux in ticks of up to 10 ms."""

_PLACES_TRIED = 32
"""The places tried before looking through the folders. Opening what is not there takes 2 us,
reading a folder of 100,000 files 60 ms; IMAP keywords make more places than flags do."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MESSAGE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_UNNOTICED = getattr(os, "O_NOATIME", 0)
"""Reading mail for somebody is not their reading of it. Linux, and only for the file's owner."""

_NO_MESSAGE_THERE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""Nothing, a link, a socket; or a base name so long that it cannot have these flags."""

T = TypeVar("T")


class NotAMaildir(OSError):
    """There is something else where the Maildir should be."""


class Maildir:
    """Where one Maildir is, and where in it messages were found.

    Args:
        path: the folder that holds `new` and `cur`. If it is not there, it has no messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.places: tuple[tuple[bytes, bytes], ...] = ()
        """Folder and flags of messages, the likeliest first. Replaced, never changed, so that
        several threads may use it."""

    @contextmanager
    def entered(self) -> Iterator["Folders"]:
        """Hold `new` and `cur` open, as far as they are there.

        Raises:
            OSError: one of them is no folder, or cannot be read.
        """
        with ExitStack() as stack:
            descriptors: dict[bytes, int] = {}
            for folder in FOLDERS:
                path = self.path_of(folder)
                try:
                    descriptors[folder] = os.open(path, _FOLDER)
                except FileNotFoundError:
                    continue
                stack.callback(os.close, descriptors[folder])
            if not descriptors:
                self._check_that_nothing_is_there()
            yield Folders(self, descriptors)

    def path_of(self, folder: bytes) -> bytes:
        """Return the path of `new` or `cur`."""
        return b"%s/%s" % (os.fsencode(self._path), folder)

    def learn_place(self, folder: bytes, flags: bytes) -> None:
        """Try this place first from now on: who moves one message often moves many."""
        place = (folder, flags)
        others = (known for known in self.places if known != place)
        self.places = (place, *others)[:_PLACES_TRIED]

    def _check_that_nothing_is_there(self) -> None:
        """Refuse what holds other things: a client would conclude that all its mail is gone.

        A folder with nothing but `tmp` is one whose first delivery is still under way.
        """
        try:
            inside = {path.name for path in self._path.iterdir()}
        except FileNotFoundError:
            return
        if inside - {"tmp"}:
            raise NotAMaildir(errno.ENOTDIR, "has neither new nor cur", str(self._path))


class Folders:
    """`new` and `cur` of a Maildir, held open.

    Args:
        maildir: whose folders.
        descriptors: those that are there, by name.
    """

    def __init__(self, maildir: Maildir, descriptors: dict[bytes, int]) -> None:
        self._maildir = maildir
        self.descriptors = descriptors

    def files(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield folder and name of every file that is a message, some perhaps twice.

        Raises:
            OSError: a folder cannot be read.
        """
        for folder, descriptor in self.descriptors.items():
            for reading in range(PATIENCE):
                changed_ns = os.fstat(descriptor).st_mtime_ns
                is_young = time.time_ns() - changed_ns < _TELLS_AFTER_NS
                with os.scandir(self._maildir.path_of(folder)) as entries:
                    for entry in entries:
                        name = entry.name
                        if not name.startswith(b".") and entry.is_file(follow_symlinks=False):
                            yield folder, name
                is_same = os.fstat(descriptor).st_mtime_ns == changed_ns
                if is_same and (reading or not is_young):
                    break

    def learn_bases(self) -> list[bytes]:
        """Return the base names of all messages, unordered, some perhaps twice.

        Raises:
            OSError: a folder cannot be read.
        """
        bases = []
        places: Counter[tuple[bytes, bytes]] = Counter()
        for folder, filename in self.files():
            base = base_of(filename)
            bases.append(base)
            places[folder, filename[len(base) :]] += 1
        self._maildir.places = tuple(place for place, _ in places.most_common(_PLACES_TRIED))
        return bases

    def open_message(self, base: bytes) -> int:
        """Return a descriptor of the message's file, for reading.

        Raises:
            FileNotFoundError: it vanished.
            OSError: it cannot be opened.
        """
        return self._reach(base, _open_regular)

    def stat_message(self, base: bytes) -> os.stat_result:
        """Return what the file system knows about the message's file.

        Raises:
            FileNotFoundError: it vanished.
            OSError: it cannot be asked.
        """
        return self._reach(base, _stat_regular)

    def _reach(self, base: bytes, action: Callable[[bytes, int], T | None]) -> T:
        """Do `action` on the message's file, which may be moving."""
        for folder, flags in self._maildir.places:
            if folder in self.descriptors:
                result = action(base + flags, self.descriptors[folder])
                if result is not None:
                    return result
        for _ in range(PATIENCE):
            for folder, filename in [f for f in self.files() if base_of(f[1]) == base]:
                result = action(filename, self.descriptors[folder])
                if result is not None:
                    self._maildir.learn_place(folder, filename[len(base) :])
                    return result
        raise FileNotFoundError(errno.ENOENT, "the message vanished", base)


def _open_regular(filename: bytes, folder: int) -> int | None:
    """Open a message's file, or return `None` if there is none."""
    try:
        descriptor = _open_unnoticed(filename, folder)
    except OSError as cause:
        if cause.errno in _NO_MESSAGE_THERE:
            return None
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _open_unnoticed(filename: bytes, folder: int) -> int:
    try:
        return os.open(filename, _MESSAGE | _UNNOTICED, dir_fd=folder)
    except PermissionError:  # perhaps only because somebody else owns the file
        return os.open(filename, _MESSAGE, dir_fd=folder)


def _stat_regular(filename: bytes, folder: int) -> os.stat_result | None:
    """Ask about a message's file, or return `None` if there is none."""
    try:
        status = os.stat(filename, dir_fd=folder, follow_symlinks=False)
    except OSError as cause:
        if cause.errno in _NO_MESSAGE_THERE:
            return None
        raise
    return status if stat.S_ISREG(status.st_mode) else None
