"""One Maildir on disk, beside other programs that deliver, rename and delete in it all the time.

Responsible for finding the files of messages, wherever their neighbours have moved them, and for
opening them without being led astray: only regular files count, and no link is followed from `cur`
and `new` on. It knows nothing of sizes, sessions or removal. Every call blocks: for worker threads.

A session keeps no place for each message. It knows the few places that files had when it looked
(`new`, or `cur` with this or that set of flags), tries those, and only then looks through the
folders again.

Known limit: directory reading promises nothing about names that change meanwhile, so a folder is
read again while its time of change moves, a few times at most.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mailkeep.maildrop.maildir.names import base_of

FOLDERS = (b"new", b"cur")
"""In the order in which mail moves, so that what moves while we look is met once more, not missed.
"""

PATIENCE = 4
"""How often to look again while a neighbour keeps renaming; one that renames faster than a folder
can be read four times is no mail program."""

_PLACES_TRIED = 32
"""The places tried before looking through the folders. Opening what is not there takes 2 us,
reading a folder of 100,000 files 60 ms; IMAP keywords make more places than flags do."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MESSAGE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_UNNOTICED = getattr(os, "O_NOATIME", 0)
"""Reading mail for somebody is not their reading of it. Linux, and only for the file's owner."""

_NO_MESSAGE_THERE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""Nothing, a link, a socket; or a base name so long that it cannot have these flags."""

T = TypeVar("T")


class NotAMaildir(OSError):
    """There is something else where the Maildir should be."""


class Maildir:
    """The files of one Maildir, found by base name.

    Args:
        path: the folder that holds `new` and `cur`. If it is not there, it has no messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folders = {folder: os.fsencode(path) + b"/" + folder for folder in FOLDERS}
        self._places: tuple[tuple[bytes, bytes], ...] = ()
        """Where files were: folder and flags, the likeliest first. Replaced, never changed, so
        that hops in several threads may use it."""

    def files(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield folder and name of every file that is a message, some perhaps twice.

        Raises:
            OSError: a folder cannot be read.
        """
        for folder in FOLDERS:
            for _ in range(PATIENCE):
                before = self._changed(folder)
                for filename in self._filenames(folder):
                    yield folder, filename
                if self._changed(folder) == before:
                    break

    def learn_bases(self) -> list[bytes]:
        """Return the base names of all messages, unordered, some perhaps twice.

        Raises:
            NotAMaildir: there is something, and it is no Maildir.
            OSError: a folder cannot be read.
        """
        self._check()
        bases = []
        places: Counter[tuple[bytes, bytes]] = Counter()
        for folder, filename in self.files():
            base = base_of(filename)
            bases.append(base)
            places[folder, filename[len(base) :]] += 1
        self._places = tuple(place for place, _ in places.most_common(_PLACES_TRIED))
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

    @contextmanager
    def folder(self, folder: bytes) -> Iterator[int]:
        """Hold a descriptor of `new` or `cur` itself, never of what a link there points to."""
        descriptor = os.open(self._folders[folder], _DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _reach(self, base: bytes, action: Callable[[bytes, int], T]) -> T:
        """Do `action` on the message's file, which may be moving."""
        for folder, flags in self._places:
            try:
                return self._act(folder, base + flags, action)
            except FileNotFoundError:
                continue
        for _ in range(PATIENCE):
            found = next(((d, n) for d, n in self.files() if base_of(n) == base), None)
            if found is None:
                break
            try:
                result = self._act(*found, action)
            except FileNotFoundError:
                continue
            self._learn_place(found[0], found[1][len(base) :])
            return result
        raise FileNotFoundError(errno.ENOENT, "the message vanished", base)

    def _learn_place(self, folder: bytes, flags: bytes) -> None:
        """Try this place first from now on: who moves one message often moves many."""
        place = (folder, flags)
        others = (known for known in self._places if known != place)
        self._places = (place, *others)[:_PLACES_TRIED]

    def _act(self, folder: bytes, filename: bytes, action: Callable[[bytes, int], T]) -> T:
        try:
            with self.folder(folder) as descriptor:
                return action(filename, descriptor)
        except OSError as cause:
            if cause.errno in _NO_MESSAGE_THERE:
                raise FileNotFoundError(errno.ENOENT, "no message there", filename) from cause
            raise

    def _filenames(self, folder: bytes) -> Iterator[bytes]:
        try:
            entries = os.scandir(self._folders[folder])
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if not entry.name.startswith(b".") and entry.is_file(follow_symlinks=False):
                    yield entry.name

    def _changed(self, folder: bytes) -> int | None:
        """Return when a name in `folder` changed last, in ns; `None` if there is no such folder."""
        try:
            with self.folder(folder) as descriptor:
                return os.fstat(descriptor).st_mtime_ns
        except FileNotFoundError:
            return None

    def _check(self) -> None:
        """Refuse a folder that holds other things: empty is what a client would conclude from it.

        A folder with nothing but `tmp` is one whose first delivery is still under way.
        """
        try:
            inside = {path.name for path in self._path.iterdir()}
        except FileNotFoundError:
            return
        if inside - {"tmp"} and inside.isdisjoint({"new", "cur"}):
            raise NotAMaildir(errno.ENOTDIR, "has neither new nor cur", str(self._path))


def _open_regular(filename: bytes, folder: int) -> int:
    try:
        descriptor = os.open(filename, _MESSAGE | _UNNOTICED, dir_fd=folder)
    except PermissionError:  # only the owner may read unnoticed
        descriptor = os.open(filename, _MESSAGE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", filename)
    return descriptor


def _stat_regular(filename: bytes, folder: int) -> os.stat_result:
    found = os.stat(filename, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", filename)
    return found
