"""Where the state of an account lies: its journal, its lock, what waits and what was set aside.

STATE/USER@HOST/journal.db    what is known of every message
STATE/USER@HOST/lock          held while a run is under way; says by whom
STATE/USER@HOST/spool/        messages for destinations that are no files; emptied at start
STATE/USER@HOST/quarantine/   messages that no destination takes, as they came
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mailkeep.fetch.failures import AccountLocked, StorageFailed

_NAME_LIMIT_OCTETS = 200
"""File systems take 255; a longer account is named by its hash."""


@dataclass(frozen=True, slots=True)
class AccountFolder:
    """The folder of one account."""

    path: Path

    @classmethod
    def of(cls, state: Path, account: str) -> "AccountFolder":
        """Return the folder of `user@host`, whatever characters it has (S-57)."""
        name = quote(account, safe="@+")
        if len(name) > _NAME_LIMIT_OCTETS or name.startswith("."):
            name = hashlib.sha256(account.encode()).hexdigest()
        return cls(state / name)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.db"

    @property
    def spool(self) -> Path:
        """The folder of messages under way."""
        return self.path / "spool"

    @property
    def quarantine(self) -> Path:
        """The folder of messages that were set aside."""
        return self.path / "quarantine"

    def make(self) -> None:
        """Make what is missing, for its owner only.

        Raises:
            StorageFailed: it cannot be made.
        """
        try:
            if not self.path.exists():
                _make_folder(self.path)
            for folder in (self.path, self.spool, self.quarantine):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as cause:
            raise StorageFailed(
                f"{self.path} cannot be made: {cause.strerror}",
                hint="--state DIR keeps the state elsewhere",
            ) from cause

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the account for one run; the lock falls with the process.

        Raises:
            AccountLocked: another run has it.
            StorageFailed: there is no lock to be had.
        """
        path = self.path / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as cause:
            raise StorageFailed(f"{path} cannot be opened: {cause.strerror}") from cause
        try:
            _lock(descriptor, path)
            with contextlib.suppress(OSError):  # the lock counts; who has it is said if it can be
                os.ftruncate(descriptor, 0)
                os.write(descriptor, b"%d\n" % os.getpid())
            yield
        finally:
            os.close(descriptor)


def _make_folder(path: Path) -> None:
    from mailkeep.fetch.destinations.durable import make_folder  # needed once an account

    make_folder(path)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as cause:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
        raise AccountLocked(
            f"process {holder or 'unknown'} fetches this account already",
            hint="wait until it is done; --every polls without a second run",
        ) from cause
    except OSError as cause:
        raise StorageFailed(f"{path} cannot be locked: {cause.strerror}") from cause
