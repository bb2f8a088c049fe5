"""A site in a temporary folder with one account's Maildir, for tests of what works on it."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.maildrop.maildir.digests import digests_path
from mailkeep.maildrop.maildir.store import MaildirStore, OpenMaildir
from mailkeep.values import AccountId, Address

ACCOUNT = AccountId(7)
ALICE = Address("alice", "example.com")
PATTERN = "mail/{domain}/{local}"


class HeldExecutor(Executor):
    """An executor whose work waits until the test lets it go, then runs in the test's thread."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take work and do nothing yet."""
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def start(self) -> Callable[[], None]:
        """Begin the oldest work, which can no longer be cancelled; call the result to do it."""
        future, work = self._waiting.pop(0)
        is_wanted = future.set_running_or_notify_cancel()

        def finish() -> None:
            if is_wanted:
                try:
                    future.set_result(work())
                except BaseException as cause:  # noqa: BLE001  # an executor hands every one over
                    future.set_exception(cause)

        return finish


@dataclass(frozen=True, slots=True)
class MaildirSite:
    """The parts of such a site that tests touch."""

    maildir: Path
    index: Path
    leases: Leases
    store: MaildirStore

    @property
    def sizes(self) -> Path:
        """The account's remembered sizes."""
        return self.index / f"{ACCOUNT}.sizes"

    @property
    def digests(self) -> Path:
        """The account's remembered digests."""
        return digests_path(self.index, ACCOUNT)

    def put(self, filename: str | bytes, stored: bytes = b"x\n", *, folder: str = "cur") -> Path:
        """Lay a message into the Maildir as another program would."""
        for name in ("tmp", "new", "cur"):
            (self.maildir / name).mkdir(parents=True, exist_ok=True)
        path = self.maildir / folder / os.fsdecode(filename)
        path.write_bytes(stored)
        return path

    def filenames(self) -> set[str]:
        """Return the names of all files of messages."""
        return {path.name for folder in ("new", "cur") for path in self.maildir.glob(f"{folder}/*")}

    def open_files(self) -> list[Path]:
        """Return the messages' files that this process has open (Linux only)."""
        links = []
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the descriptor of this very reading
                links.append(descriptor.readlink())
        return [link for link in links if self.maildir in link.parents]

    async def open(self, *, timeout_s: float = 30.0) -> OpenMaildir:
        """Open the account's maildrop."""
        return await self.store.open(ACCOUNT, ALICE, timeout_s=timeout_s)


@contextmanager
def maildir_site(
    site: Path,
    *,
    clock: Callable[[], float] = time.monotonic,
    opening: Executor | None = None,
    files: Executor | None = None,
) -> Iterator[MaildirSite]:
    """Make the site, without the Maildir itself, and end its threads afterwards."""
    paths = MaildirPaths(site, PATTERN)
    paths.of(ALICE).parent.mkdir(parents=True, exist_ok=True)
    leases = Leases(site / "run" / "leases")
    with ThreadPoolExecutor(1) as own_opening, ThreadPoolExecutor(2) as own_files:
        store = MaildirStore(
            paths,
            leases,
            site / "index",
            opening=opening or own_opening,
            files=files or own_files,
            clock=clock,
        )
        yield MaildirSite(paths.of(ALICE), site / "index", leases, store)
    leases.close()
