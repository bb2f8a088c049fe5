"""Bringing folders and names to disk, and saying plainly what a disk refuses.

Known limit: a file system that cannot fsync a folder (EINVAL: some of FUSE and CIFS) is taken as it
is; there a power cut may take the newest names, and their messages are fetched again.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from mailkeep.fetch.destinations.seam import DestinationUnavailable

_NOTHING_DELETED = "make room and fetch again: nothing was deleted from the server"
_HINTS = {
    errno.ENOSPC: _NOTHING_DELETED,
    errno.EDQUOT: _NOTHING_DELETED,
    errno.EFBIG: "the file system takes no file of this size",
    errno.ENOENT: "is its disk mounted?",
    errno.ENOTDIR: "is its disk mounted?",
    errno.ESTALE: "is its disk mounted?",
    errno.EACCES: "it must be readable and writable for the user who fetches",
    errno.EPERM: "it must be readable and writable for the user who fetches",
    errno.EROFS: "it is mounted read-only",
    errno.EIO: "the disk failed: look into the system's log before anything else",
}


@contextlib.contextmanager
def storing(place: str) -> Iterator[None]:
    """Turn what the system refuses into what a destination says.

    Args:
        place: what was asked for, for people.

    Raises:
        DestinationUnavailable: for every OSError inside.
    """
    try:
        yield
    except OSError as cause:
        raise unavailable(cause, place) from cause


def unavailable(cause: OSError, place: str) -> DestinationUnavailable:
    """Return what a destination says of a refusal of the system."""
    reason = (cause.strerror or str(cause)).lower()
    if cause.filename and shown(cause.filename) not in place:
        reason = f"{reason} ({shown(cause.filename)})"
    return DestinationUnavailable(f"{place}: {reason}", hint=_HINTS.get(cause.errno or 0))


def shown(path: Path | str) -> str:
    """Return a path as text that any file and any terminal takes; the same for ever."""
    return os.fsencode(path).decode(errors="backslashreplace")


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, for its owner alone; not yet durable.

    Raises:
        OSError: it cannot be made.
    """
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def fsync_way_down_to(folder: Path) -> None:
    """Bring a folder's names to disk, and the names of the way down to it.

    Above the first that may not be read, or that is another disk's, this run has made nothing.

    Raises:
        OSError: the disk failed.
    """
    device = folder.stat().st_dev
    for each in (folder, *folder.parents):
        if each.stat().st_dev != device or not os.access(each, os.R_OK):
            break
        fsync_folder(each)


def fsync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as cause:
        if cause.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def write_all(descriptor: int, octets: bytes | bytearray) -> None:
    """Write octets, however few the system takes at a time.

    Raises:
        OSError: it takes no more.
    """
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
