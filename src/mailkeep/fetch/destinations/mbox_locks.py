"""Holding an mbox alone: a dotlock beside it and a lock of fcntl(2) on it, taken together.

Programs differ in which of the two they look at, so both are needed (Debian Policy section 11.6);
neither is waited for while the other is held, so nobody can be waited for in a circle. The dotlock
comes first, since it also keeps threads of this process apart: a process loses its fcntl lock when
any of its threads closes the file.

A dotlock that was left is removed if its process is dead on this host, or if it names none and is
old. Known limits: a process-id that was given again keeps it until a person removes it; a file
system without O_EXCL (NFS version 2) has no dotlocks.
"""

import contextlib
import errno
import fcntl
import os
import re
import socket
import threading
import time
from pathlib import Path

from mailkeep.fetch.destinations.durable import shown, storing
from mailkeep.fetch.destinations.seam import DestinationUnavailable

LOCK_TIMEOUT_S = 20.0
"""As long as Postfix tries (deliver_lock_attempts and deliver_lock_delay, postconf(5))."""

STALE_AFTER_S = 500
"""Postfix's stale_lock_time (postconf(5))."""

_PAUSE_S = 0.05
_PROCESS = re.compile(rb"\s*([0-9]{1,9})(?::(\S+))?\s*")
_BUSY = frozenset({errno.EAGAIN, errno.EACCES})

_guard = threading.Lock()
_held: set[Path] = set()
"""The dotlocks of this process: in a container every run may have the same process-id."""


class MboxLock:
    """One mbox, held by nobody else.

    Args:
        path: of the mbox, which is there.
        timeout_s: how long to wait for others.
    """

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._path = path
        self._dotlock = path.with_name(path.name + ".lock")
        self._timeout_s = timeout_s
        self._made: os.stat_result | None = None  # the dotlock
        self.descriptor = -1

    def acquire(self) -> int:
        """Take both locks, and return a descriptor for reading and appending.

        Raises:
            DestinationUnavailable: another program does not let go, or the system refuses.
        """
        deadline = time.monotonic() + self._timeout_s
        with storing(f"cannot lock {shown(self._path)}"):
            while (descriptor := self._try()) is None:
                if time.monotonic() >= deadline:
                    raise self._busy()
                time.sleep(_PAUSE_S)
        self.descriptor = descriptor
        return descriptor

    def release(self) -> None:
        """Let both go. Never raises; safe to call twice."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            with contextlib.suppress(OSError):
                os.close(descriptor)
            self._remove_dotlock()

    def _try(self) -> int | None:
        with _guard:
            self._made = _make_dotlock(self._dotlock)
            if self._made is None:
                return None
            _held.add(self._dotlock)
        try:
            descriptor = self._try_fcntl()
        except BaseException:
            self._remove_dotlock()
            raise
        if descriptor is None:
            self._remove_dotlock()
        return descriptor

    def _try_fcntl(self) -> int | None:
        """Open and lock the file that has the name, and not one that a program has just replaced.

        A rename over the name is how some programs rewrite an mbox.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                return descriptor
        except OSError as cause:
            os.close(descriptor)
            if cause.errno not in _BUSY:
                raise
            return None
        os.close(descriptor)
        return None

    def _remove_dotlock(self) -> None:
        with _guard:
            with contextlib.suppress(OSError):
                # Not one that another program has put in the place of ours.
                if self._made and os.path.samestat(self._made, self._dotlock.lstat()):
                    self._dotlock.unlink()
            _held.discard(self._dotlock)

    def _busy(self) -> DestinationUnavailable:
        lock = shown(self._dotlock)
        if self._dotlock.exists():
            with contextlib.suppress(OSError):
                owner = self._dotlock.read_bytes()[:80].decode(errors="replace").strip()
                lock = f"{lock} ({owner if owner.isprintable() and owner else 'no process named'})"
            return DestinationUnavailable(
                f"{shown(self._path)} is locked: {lock}",
                hint="a mail program has it open; if none has, remove the lock file",
            )
        return DestinationUnavailable(
            f"{shown(self._path)} is locked by another program",
            hint="a mail program has it open; fetch again when it is done",
        )


def _make_dotlock(path: Path) -> os.stat_result | None:
    """Make a dotlock and return what it is; None while another's is there.

    Where the system can, it gets its name when it says whose it is: one that a killed run leaves
    without is respected for minutes.
    """
    owner = f"{os.getpid()}:{socket.gethostname()}\n".encode()
    try:
        try:
            return _link_dotlock(path, owner)
        except FileExistsError:
            raise
        except OSError:  # no O_TMPFILE here, no hard links, no /proc
            return _open_dotlock(path, owner)
    except FileExistsError:
        _remove_if_stale(path)
        return None


def _link_dotlock(path: Path, owner: bytes) -> os.stat_result:
    if not hasattr(os, "O_TMPFILE"):
        raise OSError(errno.ENOTSUP, "it needs Linux")
    descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, owner)
        # With a descriptor it is linkat(2) and follows /proc's link, as open(2) describes it.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _open_dotlock(path: Path, owner: bytes) -> os.stat_result:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    try:
        os.write(descriptor, owner)
        return os.fstat(descriptor)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _remove_if_stale(path: Path) -> None:
    """Remove a dotlock that was left, unless it has been replaced since it was read.

    Of several runs that find it, the one that has flock(2) on it removes it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            if _is_stale(path, os.read(descriptor, 300), status) and os.path.samestat(
                status, path.lstat()
            ):
                path.unlink()
    finally:
        os.close(descriptor)


def _is_stale(path: Path, content: bytes, status: os.stat_result) -> bool:
    found = _PROCESS.fullmatch(content)
    host = socket.gethostname().encode()
    if found and int(found[1]) and found[2] in {None, host}:
        process = int(found[1])
        if process == os.getpid():
            return path not in _held
        return not _is_alive(process)
    return time.time() - status.st_mtime > STALE_AFTER_S


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
