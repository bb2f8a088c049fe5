"""The lease: the exclusive right to a maildrop for one session (RFC 1939 section 4).

Within the process a set; between processes a lock on one byte of one file, at the account's number.
The lock belongs to the open file description (`F_OFD_SETLK`), so one descriptor serves a whole
process however many sessions it has, nothing is left to clean up, and every lease falls with the
process, `kill -9` included.

Known limits: a process that is forked without `exec` shares the description and keeps its locks
alive, so open `Leases` after forking. Where the platform has no such locks (macOS), POSIX record
locks do the same, since the set already excludes a second session of this process; those are lost
if anything else in the process opens and closes the same file.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path
from threading import Lock

from mailkeep.maildrop.seam import MaildropBusy, MaildropUnavailable
from mailkeep.values import AccountId

_FLOCK = struct.Struct("@hhqqi0q")
"""`struct flock`: type, whence, start, length, and a process id that must be 0 (fcntl(2))."""

_SET_LOCK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
"""Locks of the open file description, where there are such."""

_HELD_BY_ANOTHER = frozenset({errno.EAGAIN, errno.EACCES})


class Leases:
    """All the leases of one process on the maildrops of one site.

    Args:
        path: the site's file of leases, made if it is not there; its content is always empty.

    Raises:
        OSError: it cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._held: dict[AccountId, Lease] = {}
        self._guard = Lock()

    def acquire(self, account: AccountId) -> "Lease":
        """Take the lease on an account's maildrop, at once or not at all.

        Raises:
            MaildropBusy: another session has it, here or in another process.
            MaildropUnavailable: the lock file does not work.
        """
        with self._guard:
            if account in self._held:
                raise MaildropBusy(f"account {account} has a session in this process")
            try:
                _lock_byte(self._descriptor, account, fcntl.F_WRLCK)
            except OSError as cause:
                if cause.errno in _HELD_BY_ANOTHER:
                    raise MaildropBusy(f"account {account} has a session elsewhere") from cause
                raise MaildropUnavailable(f"no lease on account {account}: {cause}") from cause
            self._held[account] = Lease(self, account)
            return self._held[account]

    def release(self, lease: "Lease") -> None:
        """Give back a lease; one that was given back already stays whoever's it is now."""
        account = lease.account
        with self._guard:
            if self._held.get(account) is not lease:
                return
            del self._held[account]
            try:
                _lock_byte(self._descriptor, account, fcntl.F_UNLCK)
            except OSError:
                # A lock that cannot be given back falls with the process; the next session of
                # another process is told that the maildrop is busy, which harms no mail.
                return

    def close(self) -> None:
        """Let go of the file, and so of every lease. Not to be used afterwards."""
        os.close(self._descriptor)


class Lease:
    """One lease. It may be given back from any thread."""

    __slots__ = ("_leases", "account")

    def __init__(self, leases: Leases, account: AccountId) -> None:
        self._leases = leases
        self.account = account

    def release(self) -> None:
        """Give it back. Never raises; safe to call twice."""
        self._leases.release(self)


def _lock_byte(descriptor: int, offset: int, kind: int) -> None:
    if _SET_LOCK is not None:
        fcntl.fcntl(descriptor, _SET_LOCK, _FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0))
    else:
        command = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.lockf(descriptor, command, 1, offset, os.SEEK_SET)
