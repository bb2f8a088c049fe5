"""Sites whose clock is ahead, so that folders which changed just now count as long unchanged."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.maildrop.maildir import renewing as renewing_module
from mailkeep.maildrop.maildir import snapshot as snapshot_module
from mailkeep.maildrop.maildir.states import TELLS_AFTER_NS
from mailkeep.maildrop.maildir.store import MaildirStore
from mailkeep.testing.maildir_site import ALICE, PATTERN, MaildirSite


def later_ns() -> int:
    """Return the time at which everything that has happened is old enough to be believed."""
    return time.time_ns() + TELLS_AFTER_NS


@contextmanager
def warm_site(
    folder: Path,
    *,
    now_ns: Callable[[], int] = later_ns,
    opening: Executor | None = None,
    files: Executor | None = None,
) -> Iterator[MaildirSite]:
    """Make a site, without the Maildir itself, and end its threads afterwards."""
    paths = MaildirPaths(folder, PATTERN)
    paths.of(ALICE).parent.mkdir(parents=True, exist_ok=True)
    leases = Leases(folder / "run" / "leases")
    with ThreadPoolExecutor(1) as own_opening, ThreadPoolExecutor(2) as own_files:
        store = MaildirStore(
            paths,
            leases,
            folder / "index",
            opening=opening or own_opening,
            files=files or own_files,
            now_ns=now_ns,
        )
        yield MaildirSite(paths.of(ALICE), folder / "index", leases, store)
    leases.close()


@contextmanager
def by_a_neighbour(*folders: Path) -> Iterator[None]:
    """Change folders as at another moment: the times of change move on, however coarse they are."""
    before = [_times(folder) for folder in folders]
    yield
    for folder, times in zip(folders, before, strict=True):
        if folder.exists():
            while _times(folder)[0] == times[0]:
                os.utime(folder, ns=(folder.stat().st_atime_ns, times[1] + 1))


def _times(folder: Path) -> tuple[int, int]:
    if not folder.exists():
        return 0, 0
    status = folder.stat()
    return status.st_ctime_ns, status.st_mtime_ns


@contextmanager
def big_from(messages: int) -> Iterator[None]:
    """Let Maildirs of so many messages count as big."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot_module, "BIG", messages)
        patch.setattr(renewing_module, "BIG", messages)
        yield
