"""A message on its way in: in memory while it is small, then in a file that is not published yet.

`LateFile.write` is called from the event loop, so most messages cost it no system call at all: the
first 128 KiB stay in memory as the objects that came, and a file is made only behind that, or in
the disk's thread at commit. It knows no destination and no name of a message.

A named file is locked (flock) for as long as it is open. So a run that clears up knows what a
crash has left from what another account is writing into the same folder at this moment: the kernel
lets a lock go with its process. Known limit: where there is no flock, only what nobody has touched
for 36 hours is cleared up, as maildir(5) says.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mailkeep.fetch.destinations.durable import shown, storing, write_all
from mailkeep.fetch.destinations.seam import Writer

MEMORY_OCTETS = 128 << 10
"""What stays in memory of a message: nearly all mail is smaller, and a batch of a hundred takes
13 MB at most."""

WRITEBACK_OCTETS = 2 << 20
"""The disk begins after so many, so that little is left to wait for at the end."""

PIECE_OCTETS = 1 << 18
"""What is read back at a time."""

OPEN_FILES = 256
"""How many are open at once, of the 1024 that a process may have by default."""

STALE_AFTER_S = 36 * 3600
"""maildir(5): what was not touched for 36 hours belongs to a delivery that failed."""

_ATTEMPTS = 20
"""Who clears up holds a file for microseconds."""

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FLOCK = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})

T = TypeVar("T")


class LateFile:
    """One message; a `mailkeep.fetch.destinations.seam.Writer`.

    Args:
        path_maker: says where the file is to be, when it is needed; nobody else uses that name.
        is_anonymous: the file loses its name as soon as it is open, so that nothing can be left.

    Attributes:
        octets: how many came so far.
        path: of the file; None while there is none, and when it has no name.
    """

    __slots__ = (
        "_begun_octets",
        "_descriptor",
        "_held",
        "_held_octets",
        "_is_anonymous",
        "_path_maker",
        "octets",
        "path",
    )

    def __init__(self, path_maker: Callable[[], Path], *, is_anonymous: bool = False) -> None:
        self._path_maker = path_maker
        self._is_anonymous = is_anonymous
        self._held: list[bytes] = []
        self._held_octets = 0
        self._begun_octets = 0
        self._descriptor: int | None = None
        self.octets = 0
        self.path: Path | None = None

    def write(self, octets: bytes) -> None:
        """Take the next octets.

        Raises:
            DestinationUnavailable: the disk does not.
        """
        self._held.append(octets)
        self._held_octets += len(octets)
        self.octets += len(octets)
        if self._held_octets <= MEMORY_OCTETS:
            return
        descriptor = self.write_out()
        if self.octets - self._begun_octets >= WRITEBACK_OCTETS:
            self._begun_octets = self.octets
            _begin_writeback(descriptor)

    def write_out(self) -> int:
        """Bring all that came into the file, and return its descriptor, which stays ours.

        Raises:
            DestinationUnavailable: the disk does not take it.
        """
        if self._descriptor is None:
            self._descriptor = self._make_file()
        with storing(f"cannot write {shown(self.path or self._path_maker().parent)}"):
            write_all(self._descriptor, b"".join(self._held))
        self._held.clear()
        self._held_octets = 0
        return self._descriptor

    def pieces(self) -> Iterator[bytes]:
        """Yield the octets that came, in pieces; may be asked for again.

        Raises:
            DestinationUnavailable: the disk does not give them back.
        """
        if self._descriptor is None:
            yield from self._held
            return
        descriptor, offset = self.write_out(), 0
        while offset < self.octets:
            with storing("cannot read a message back"):
                piece = os.pread(descriptor, PIECE_OCTETS, offset)
                if not piece:
                    raise OSError(errno.EIO, "it became shorter while it was read")
            offset += len(piece)
            yield piece

    def sync(self) -> None:
        """Bring the file's octets to disk.

        Raises:
            DestinationUnavailable: what the disk holds of them is in doubt.
        """
        with storing(f"cannot bring {shown(self.path or 'a message')} to disk"):
            os.fsync(self.write_out())

    def publish(self, final: Path) -> None:
        """Give the file its name; from here on it is not ours to remove.

        Raises:
            DestinationUnavailable: it cannot be renamed.
        """
        self.write_out()
        if self.path is None:
            raise ValueError("an anonymous file cannot be published")
        with storing(f"cannot store {shown(final)}"):
            self.path.rename(final)
        self.path = None

    def abandon(self) -> None:
        """Remove the file unless it was published, and forget the octets. Never raises."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            self.path = None
        self.close()

    def close(self) -> None:
        """Let the file and the memory go. Never raises."""
        self._held = []
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _make_file(self) -> int:
        path = self._path_maker()
        with storing(f"cannot make {shown(path)}"):
            descriptor = _make_locked(path)
            if self._is_anonymous:
                path.unlink()
            else:
                self.path = path
        return descriptor


def make_durable(batch: Sequence[LateFile]) -> None:
    """Write a batch and bring it to disk; what is left to the caller is to publish it.

    All is written, then all handed to the disk, then all waited for: the disk orders it.

    Raises:
        DestinationUnavailable: nothing is known of any of them.
    """
    for file in batch:
        _begin_writeback(file.write_out())
    for file in batch:
        file.sync()


def own_writers(batch: Sequence[Writer], kind: type[T]) -> list[T]:
    """Return the writers of a batch as what this destination has opened.

    Raises:
        TypeError: one of them is another destination's.
    """
    own: list[T] = [writer for writer in batch if isinstance(writer, kind)]
    if len(own) != len(batch):
        raise TypeError("a batch holds what this destination has opened")
    return own


def remove_if_left(path: Path, *, now_s: float) -> None:
    """Remove a temporary file that no living run is writing.

    Raises:
        OSError: it cannot be looked at or removed.
    """
    try:
        descriptor = os.open(path, _OLD_FILE)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and _is_left(descriptor, status, now_s):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _is_left(descriptor: int, status: os.stat_result, now_s: float) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        if cause.errno not in _NO_FLOCK:
            return False
        return now_s - max(status.st_mtime, status.st_ctime) > STALE_AFTER_S
    return True


def _make_locked(path: Path) -> int:
    """Make a file that another run does not take for one that was left.

    Between making and locking somebody may clear it up, which shows in its missing name. One that
    is in the way is removed if nobody is writing it.
    """
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, _NEW_FILE, 0o600)
        except FileExistsError:
            remove_if_left(path, now_s=time.time())
            continue
        if _lock(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)
    raise FileExistsError(errno.EEXIST, "another program is writing it", path)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as cause:
        if cause.errno not in _NO_FLOCK:
            os.close(descriptor)
            raise
    return True


def _begin_writeback(descriptor: int) -> None:
    """Ask the disk to begin, where the system has a way to ask; it is a hint and no more."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
