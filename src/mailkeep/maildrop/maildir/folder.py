"""One Maildir on disk, beside other programs that deliver, rename and delete in it all the time.

Responsible for finding the files of messages, wherever their neighbours have moved them, and for
opening them without being led astray: only regular files count, and no link is followed from `cur`
and `new` on. It knows nothing of sizes, sessions or removal. Every call blocks and is for worker
threads, but those that say `at_once`, which never wait.

A session keeps no place for each message. It knows the few places that files had when it looked
(`new`, or `cur` with this or that set of flags), tries those, and only then looks through the
folders again.

Known limits: directory reading promises nothing about names that change meanwhile, so a folder is
read again while its time of change moves, a few times at most, and once more where that time is too
young to tell. An account's folder itself may be a link, as operators move mail to other disks.
"""

import contextlib
import errno
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TypeVar

from mailkeep.maildrop.cached import NOT_CACHED, open_cached, open_how
from mailkeep.maildrop.maildir.names import base_of
from mailkeep.maildrop.maildir.reach import MESSAGE, UNNOTICED, Place, Reach, find_reach
from mailkeep.maildrop.maildir.stamps import stamp_of
from mailkeep.maildrop.maildir.states import TELLS_AFTER_NS, FolderState, States, state_of

FOLDERS = (b"new", b"cur")
"""In the order in which mail moves, so that what moves while we look is met once more, not missed.
"""

PATIENCE = 4
"""How often to look again while a neighbour keeps renaming; one that renames faster than a folder
can be read four times is no mail program."""

_PLACES_TRIED = 32
"""The places tried before looking through the folders. Opening what is not there takes 2 us,
reading a folder of 100,000 files 60 ms; IMAP keywords make more places than flags do."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK_CACHED = open_how(getattr(os, "O_PATH", 0) | os.O_DIRECTORY | os.O_NOFOLLOW)

_NO_MESSAGE_THERE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""Nothing, a link, a socket; or a base name so long that it cannot have these flags."""

T = TypeVar("T")


class NotAMaildir(OSError):
    """There is something else where the Maildir should be."""


class Maildir:
    """Where one Maildir is, and where in it messages were found.

    Args:
        path: the folder that holds `new` and `cur`. If it is not there, it has no messages.
        now_ns: the time of day, as the file system has it.
    """

    __slots__ = ("_cur", "_new", "now_ns", "places", "reach")

    def __init__(self, path: Path, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._new, self._cur = (b"%s/%s" % (os.fsencode(path), folder) for folder in FOLDERS)
        self.now_ns = now_ns
        self.places: tuple[Place, ...] = ()
        """Folder and flags of messages, the likeliest first. Replaced, never changed, so that
        several threads may use it."""
        self.reach: Reach | None = None
        """`None` until a thread has read a message, and where the loop cannot open any."""

    @contextmanager
    def entered(self) -> Iterator["Folders"]:
        """Hold `new` and `cur` open, as far as they are there.

        Raises:
            OSError: one of them is no folder, or cannot be read.
        """
        descriptors: dict[bytes, int] = {}
        try:
            for folder, path in zip(FOLDERS, (self._new, self._cur), strict=True):
                with contextlib.suppress(FileNotFoundError):
                    descriptors[folder] = os.open(path, _FOLDER)
            if not descriptors:
                self._check_that_nothing_is_there()
            yield Folders(self, descriptors)
        finally:
            for descriptor in descriptors.values():
                os.close(descriptor)

    def states(self) -> States:
        """Return how `new` and `cur` are now, with `None` where that cannot be told."""
        return _state_now(self._new), _state_now(self._cur)

    def is_same_at_once(self, new: FolderState, cur: FolderState) -> bool:
        """Tell whether `new` and `cur` are so; False where that cannot be told without waiting."""
        return _is_same_at_once(self._new, new) and _is_same_at_once(self._cur, cur)

    def path_of(self, folder: bytes) -> bytes:
        """Return the path of `new` or `cur`."""
        return self._new if folder == FOLDERS[0] else self._cur

    def learn_place(self, folder: bytes, flags: bytes) -> None:
        """Try this place first from now on: who moves one message often moves many."""
        place = (folder, flags)
        others = (known for known in self.places if known != place)
        self.places = (place, *others)[:_PLACES_TRIED]

    def note_place(self, folder: bytes, flags: bytes) -> None:
        """Try this place too, after those that are known."""
        if (folder, flags) not in self.places:
            self.places = (*self.places[: _PLACES_TRIED - 1], (folder, flags))

    def _check_that_nothing_is_there(self) -> None:
        """Refuse what holds other things: a client would conclude that all its mail is gone.

        A folder with nothing but `tmp` is one whose first delivery is still under way.
        """
        path = Path(os.fsdecode(self._new)).parent
        try:
            inside = {entry.name for entry in path.iterdir()}
        except FileNotFoundError:
            return
        if inside - {"tmp"}:
            raise NotAMaildir(errno.ENOTDIR, "has neither new nor cur", str(path))


class Folders:
    """`new` and `cur` of a Maildir, held open.

    Args:
        maildir: whose folders.
        descriptors: those that are there, by name.
    """

    def __init__(self, maildir: Maildir, descriptors: dict[bytes, int]) -> None:
        self._maildir = maildir
        self.descriptors = descriptors
        self.read_states: dict[bytes, FolderState | None] = {}
        """How a folder was when its names were read last, if that tells anything: as long as it
        stays so, it has the names that were read then."""

    @property
    def states(self) -> States:
        """How `new` and `cur` were when their names were read."""
        return self.read_states.get(FOLDERS[0]), self.read_states.get(FOLDERS[1])

    def files(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield folder and name of every file that is a message, some perhaps twice.

        Raises:
            OSError: a folder cannot be read.
        """
        for folder in self.descriptors:
            for names in self._readings(folder):
                for name in names:
                    yield folder, name

    def learn_names(self) -> dict[bytes, list[bytes]]:
        """Return the file names of all messages in each folder, and learn their places.

        Raises:
            OSError: a folder cannot be read.
        """
        found: dict[bytes, list[bytes]] = {}
        places: Counter[tuple[bytes, bytes]] = Counter()
        for folder in self.descriptors:
            first, *others = self._readings(folder)
            names = list(dict.fromkeys(chain(first, *others))) if others else first
            found[folder] = names
            # Of octets alone: tuples in between would call the garbage collector 140 times.
            for flags, count in Counter([name.partition(b":")[2] for name in names]).items():
                places[folder, b":" + flags if flags else b""] = count
        self._maildir.places = tuple(place for place, _ in places.most_common(_PLACES_TRIED))
        return found

    def _readings(self, folder: bytes) -> Iterator[list[bytes]]:
        """Yield the names of messages in a folder, again as long as it may have changed."""
        descriptor = self.descriptors[folder]
        for reading in range(PATIENCE):
            now_ns = self._maildir.now_ns()
            state = state_of(os.fstat(descriptor))
            is_young = now_ns - state.modified_ns < TELLS_AFTER_NS
            with os.scandir(self._maildir.path_of(folder)) as entries:
                names = [
                    entry.name
                    for entry in entries
                    if entry.is_file(follow_symlinks=False) and entry.name[:1] != b"."
                ]
            yield names
            is_same = state_of(os.fstat(descriptor)) == state
            self.read_states[folder] = state if is_same and state.tells(now_ns) else None
            if is_same and (reading or not is_young):
                break

    def names(self, folder: bytes) -> list[bytes]:
        """Return all names in a folder, once, quickly: some may be of no message.

        Of names that change meanwhile some may be missing, as in any reading of a folder.

        Raises:
            OSError: it cannot be read.
        """
        now_ns = self._maildir.now_ns()
        state = state_of(os.fstat(self.descriptors[folder]))
        names = os.listdir(self._maildir.path_of(folder))  # noqa: PTH208  # twice as fast
        is_same = state_of(os.fstat(self.descriptors[folder])) == state
        self.read_states[folder] = state if is_same and state.tells(now_ns) else None
        return names

    def state(self, folder: bytes) -> FolderState:
        """Return how a folder is now."""
        return state_of(os.fstat(self.descriptors[folder]))

    def note_place(self, folder: bytes, filename: bytes) -> None:
        """Look for messages where this one is, too."""
        self._maildir.note_place(folder, filename[len(base_of(filename)) :])

    def learn_reach(self, message: int, device: int) -> None:
        """Find out how the event loop can open messages itself, if that is not known.

        Args:
            message: a descriptor that `open_message` returned.
            device: `st_dev` of it, of a file system that promises not to wait.
        """
        if self._maildir.reach is None and len(self.descriptors) == len(FOLDERS):
            self._maildir.reach = find_reach(self.descriptors, message, device)

    def is_message(self, folder: bytes, filename: bytes) -> bool:
        """Tell whether a name is that of a message.

        Raises:
            OSError: it cannot be asked.
        """
        if filename.startswith(b"."):
            return False
        return _stat_regular(filename, self.descriptors[folder]) is not None

    def open_message(self, base: bytes) -> tuple[int, os.stat_result]:
        """Return a descriptor of the message's file, for reading, and what there is to know of it.

        Raises:
            FileNotFoundError: it vanished.
            OSError: it cannot be opened.
        """
        return self._reach(base, _open_regular)

    def read_message(self, base: bytes, at_most_octets: int) -> tuple[bytes, bytes]:
        """Return the octets of a short message's file, and its stamp.

        Raises:
            FileNotFoundError: it vanished.
            OSError: it cannot be read, or is longer than that, or changes meanwhile.
        """
        descriptor, status = self.open_message(base)
        try:
            stored = os.pread(descriptor, at_most_octets + 1, 0)
        finally:
            os.close(descriptor)
        if len(stored) != status.st_size:
            raise OSError(errno.EFBIG, "not as long as it should be", base)
        return stored, stamp_of(status)

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


def _state_now(path: bytes) -> FolderState | None:
    try:
        return state_of(os.stat(path, follow_symlinks=False))  # noqa: PTH116  # paths are octets
    except OSError:
        return None


def _is_same_at_once(path: bytes, state: FolderState) -> bool:
    descriptor = open_cached(path, _LOOK_CACHED)
    if descriptor == NOT_CACHED:
        return False
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return state.is_of(status)


def _open_regular(filename: bytes, folder: int) -> tuple[int, os.stat_result] | None:
    """Open a message's file and ask about it, or return `None` if there is none."""
    try:
        descriptor = _open_unnoticed(filename, folder)
    except OSError as cause:
        if cause.errno in _NO_MESSAGE_THERE:
            return None
        raise
    return _regular(descriptor)


def _regular(descriptor: int) -> tuple[int, os.stat_result] | None:
    """Return an open file and what there is to know of it; close what is no file."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    return None


def _open_unnoticed(filename: bytes, folder: int) -> int:
    try:
        return os.open(filename, MESSAGE | UNNOTICED, dir_fd=folder)
    except PermissionError:  # perhaps only because somebody else owns the file
        return os.open(filename, MESSAGE, dir_fd=folder)


def _stat_regular(filename: bytes, folder: int) -> os.stat_result | None:
    """Ask about a message's file, or return `None` if there is none."""
    try:
        status = os.stat(filename, dir_fd=folder, follow_symlinks=False)
    except OSError as cause:
        if cause.errno in _NO_MESSAGE_THERE:
            return None
        raise
    return status if stat.S_ISREG(status.st_mode) else None
