"""Disks, destinations and journals that fail `mailkeep fetch`, as the whole command tells them.

Every time the same is asked: a line that says what is wrong and a hint, an exit code of its own,
and nothing deleted anywhere; and when the trouble is over, each message comes exactly once.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.crash.fetching import (
    MailkeepMailbox,
    Result,
    Runner,
    arguments_of,
    check_each_once,
    held_by,
    running,
    stored_in,
    wire,
)
from tests.harness.programs import cannot_run
from tests.harness.site import RunningSite

from mailkeep.fetch.destinations.temporary import MEMORY_OCTETS
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.journal_file import VERSION

MESSAGES = [
    b"Subject: message %d\n\n" % number + b"line\n" * (octets // 5)
    for number, octets in enumerate((0, 200, MEMORY_OCTETS * 2, 4000))
]
KINDS = ("maildir", "dir", "mbox")
_USERS = count(1)


class Fetch:
    """One account, its mailbox, where its mail goes (on `disk`), and its journal (in `state`)."""

    def __init__(self, site: RunningSite, runner: Runner, folder: Path, kind: str) -> None:
        self._runner = runner
        self.mailbox = MailkeepMailbox(site, f"storage{next(_USERS)}")
        self.mailbox.put(*MESSAGES)
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.path = self.disk / "Mail"
        self.to = [f"{kind}:{self.path}"]
        self.state = folder / "state"

    @property
    def journal(self) -> Path:
        (path,) = self.state.glob("*/journal.db")
        return path

    def run(self, policy: str = "--delete") -> Result:
        return self._runner.run(arguments_of(self.mailbox, self.to, self.state, policy))

    def run_well(self, policy: str = "--delete") -> None:
        result = self.run(policy)
        assert result.code == 0, result.said

    def run_until_killed(self) -> None:
        """Run until the messages are stored and journalled, and be killed then."""
        arguments = arguments_of(self.mailbox, self.to, self.state, "--keep")
        assert self._runner.run(arguments, step=("QUIT", 1)).code is None

    def check_refused(self, code: FetchExit, *words: str) -> None:
        """A run with `--delete` ends with that code and an error that says these words."""
        result = self.run()
        assert result.code == code, result.said
        lines = result.said.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, result.said
        for word in words:
            assert word in errors[0]
        assert lines[lines.index(errors[0]) + 1].startswith("hint: ")
        self.check_nothing_deleted()

    def check_nothing_deleted(self) -> None:
        assert sorted(held_by(self.mailbox)) == sorted(map(wire, MESSAGES))

    def check_all_moved(self) -> None:
        """Another run brings each message here once, and deletes it there."""
        self.run_well()
        check_each_once(self.to, MESSAGES)
        assert held_by(self.mailbox) == []


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """The process that runs fetches."""
    with running() as runner:
        yield runner


@pytest.fixture
def make(served: RunningSite, runner: Runner, tmp_path: Path) -> Callable[[str], Fetch]:
    """Make a fetch into a destination of a kind."""
    return lambda kind: Fetch(served, runner, tmp_path, kind)


@pytest.fixture
def fetch(make: Callable[[str], Fetch]) -> Fetch:
    """A fetch into a Maildir."""
    return make("maildir")


@contextlib.contextmanager
def mounted(*arguments: str, at: Path) -> Iterator[None]:
    """Mount something for the length of a test."""
    done = subprocess.run(["mount", *arguments, str(at)], capture_output=True, check=False)
    if done.returncode != 0:
        cannot_run(f"cannot mount here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def small_disk(at: Path, size: str) -> contextlib.AbstractContextManager[None]:
    return mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", at=at)


def set_size(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into a folder; root ignores modes, so it is a mount."""
    with mounted("--bind", str(folder), at=folder):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield


def fill(ballast: Path) -> None:
    """Fill a disk to the last page."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(ballast).free == 0


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_ends_the_fetch_and_deletes_nothing(
    make: Callable[[str], Fetch], kind: str
) -> None:
    """S-09: nothing half is left, and with room all of it comes, once."""
    fetch = make(kind)
    with small_disk(fetch.disk, "1m"):
        fill(fetch.disk / "ballast")
        fetch.check_refused(FetchExit.STORAGE, "no space left", str(fetch.path))
        assert stored_in(fetch.to[0]) == []
        (fetch.disk / "ballast").unlink()
        fetch.check_all_moved()


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_fills_half_way_keeps_what_was_stored(
    make: Callable[[str], Fetch], kind: str
) -> None:
    """S-09: whole messages stay and do not come again; even they are not deleted yet."""
    fetch = make(kind)
    with small_disk(fetch.disk, "200k"):
        fetch.check_refused(FetchExit.STORAGE, "no space left", str(fetch.path))
        some = stored_in(fetch.to[0])
        assert set(some) < set(map(wire, MESSAGES))
        assert len(set(some)) == len(some)
        set_size(fetch.disk, "4m")
        fetch.check_all_moved()


@pytest.mark.root
def test_a_full_disk_of_journals_deletes_nothing(fetch: Fetch) -> None:
    """S-09: without a journal nothing is asked for, as nothing could be told apart later."""
    fetch.state.mkdir()
    with small_disk(fetch.state, "1m"):
        fetch.run_well("--keep")
        before = stored_in(fetch.to[0])
        fetch.mailbox.put(b"Subject: another\n\n")
        fill(fetch.state / "ballast")
        result = fetch.run()
        assert result.code == FetchExit.STORAGE, result.said
        assert str(fetch.state) in result.said
        assert sorted(stored_in(fetch.to[0])) == sorted(before)
        assert len(held_by(fetch.mailbox)) == len(MESSAGES) + 1
        (fetch.state / "ballast").unlink()
        fetch.run_well()
        check_each_once(fetch.to, [*MESSAGES, b"Subject: another\n\n"])
        assert held_by(fetch.mailbox) == []


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
def test_a_read_only_destination_ends_the_fetch_before_it_begins(
    make: Callable[[str], Fetch], kind: str
) -> None:
    """S-14: said at once, with the place; when it may be written again, all goes on."""
    fetch = make(kind)
    with read_only(fetch.disk):
        fetch.check_refused(FetchExit.STORAGE, str(fetch.path), "read-only")
    fetch.run_well("--keep")
    with read_only(fetch.disk):
        fetch.check_refused(FetchExit.STORAGE, str(fetch.path))
        check_each_once(fetch.to, MESSAGES)
    fetch.check_all_moved()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write where modes forbid it")
@pytest.mark.parametrize("kind", KINDS)
def test_a_destination_that_modes_close_ends_the_fetch(
    make: Callable[[str], Fetch], kind: str
) -> None:
    """S-14: the same for a user who may not write there."""
    fetch = make(kind)
    fetch.disk.chmod(0o500)
    fetch.check_refused(FetchExit.STORAGE, str(fetch.path), "permission denied")
    fetch.disk.chmod(0o700)
    fetch.check_all_moved()


@pytest.mark.root
def test_a_read_only_journal_ends_the_fetch_before_it_begins(fetch: Fetch) -> None:
    """Nothing is asked for that could not be noted."""
    fetch.run_well("--keep")
    with read_only(fetch.state):
        result = fetch.run()
        assert result.code == FetchExit.STORAGE, result.said
        assert str(fetch.state) in result.said
        fetch.check_nothing_deleted()
        check_each_once(fetch.to, MESSAGES)
    fetch.check_all_moved()


@pytest.mark.parametrize("kind", KINDS)
def test_a_destination_that_vanished_is_not_made_anew(
    make: Callable[[str], Fetch], kind: str
) -> None:
    """S-14: a disk that is not mounted leaves an empty folder; its mail is not fetched again."""
    fetch = make(kind)
    fetch.run_well("--keep")
    away = fetch.path.with_name("away")
    fetch.path.rename(away)
    fetch.check_refused(FetchExit.STORAGE, str(fetch.path), "has vanished")
    assert not fetch.path.exists()
    if kind != "mbox":
        fetch.path.mkdir()
        fetch.check_refused(FetchExit.STORAGE, str(fetch.path), "has vanished")
        assert [*fetch.path.iterdir()] == []
        fetch.path.rmdir()
    away.rename(fetch.path)
    fetch.check_all_moved()


def test_one_of_two_destinations_that_vanished_stops_both(fetch: Fetch) -> None:
    """A message is done when all have it, and none is deleted that one of them lacks."""
    other = fetch.disk / "mbox"
    fetch.to.append(f"mbox:{other}")
    fetch.run_well("--keep")
    away = other.rename(fetch.disk / "away")
    fetch.check_refused(FetchExit.STORAGE, str(other), "has vanished")
    away.rename(other)
    fetch.check_all_moved()


def cut_to(octets: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, octets)


def cut_by(octets: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, path.stat().st_size - octets)


def overwrite(path: Path) -> None:
    path.write_bytes(b"this is no journal\n" * 1000)


def scramble(path: Path) -> None:
    """Leave the first page as it is, and nothing of the others."""
    text = path.read_bytes()
    path.write_bytes(text[:4096] + b"\xa5" * (len(text) - 4096))


def empty_tables(path: Path) -> None:
    """Make it another program's database."""
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")


def become_newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


DAMAGES = {
    "cut to nothing": cut_to(0),
    "cut in its header": cut_to(50),
    "cut behind its header": cut_to(100),
    "cut behind its first page": cut_to(4096),
    "cut by an octet": cut_by(1),
    "cut in its last page": cut_by(3000),
    "cut by a page": cut_by(4096),
    "garbage": overwrite,
    "garbage behind its first page": scramble,
    "another program's": empty_tables,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_ends_the_fetch_and_stays_as_it_is(fetch: Fetch, damage: str) -> None:
    """S-10: mail whose journal is lost must not come again unasked, and none may be deleted."""
    fetch.run_well("--keep")
    whole = fetch.journal.read_bytes()
    DAMAGES[damage](fetch.journal)
    damaged = fetch.journal.read_bytes()
    fetch.check_refused(FetchExit.JOURNAL, str(fetch.journal), "damaged")
    check_each_once(fetch.to, MESSAGES)
    assert fetch.journal.read_bytes() == damaged
    fetch.journal.write_bytes(whole)
    fetch.check_all_moved()


def test_a_journal_of_a_newer_version_is_not_touched(fetch: Fetch) -> None:
    """What a newer version means by a row, this one cannot know."""
    fetch.run_well("--keep")
    whole = fetch.journal.read_bytes()
    become_newer(fetch.journal)
    newer = fetch.journal.read_bytes()
    fetch.check_refused(FetchExit.JOURNAL, str(fetch.journal), "newer version")
    check_each_once(fetch.to, MESSAGES)
    assert fetch.journal.read_bytes() == newer
    fetch.journal.write_bytes(whole)
    fetch.check_all_moved()


@pytest.mark.parametrize("kind", KINDS)
def test_mail_whose_journal_was_moved_away_does_not_come_again(
    make: Callable[[str], Fetch], kind: str
) -> None:
    """S-10: our files are known by their names, so nothing is lost with the journal."""
    fetch = make(kind)
    fetch.run_well("--keep")
    shutil.rmtree(fetch.state)
    fetch.run_well("--keep")
    check_each_once(fetch.to, MESSAGES)
    fetch.check_all_moved()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rest", [0.0, 0.5, 0.9])
def test_a_journal_whose_log_was_cut_forgets_and_doubles_nothing(
    make: Callable[[str], Fetch], kind: str, rest: float
) -> None:
    """S-08: SQLite drops what is torn, and with it rows of messages that are here already."""
    fetch = make(kind)
    fetch.run_well("--keep")
    more = [b"Subject: more %d\n\n" % number for number in range(6)]
    fetch.mailbox.put(*more)
    fetch.run_until_killed()
    (log,) = fetch.state.glob("*/journal.db-wal")
    os.truncate(log, int(log.stat().st_size * rest))
    fetch.run_well("--keep")
    check_each_once(fetch.to, [*MESSAGES, *more])
