"""What the crash tests of `mailkeep fetch` share: mailboxes on two servers, runs, and what is left.

A mailbox is a Maildir that a server serves, so a test can see what the server still holds without
asking it. What is in a destination is read here by other means than those of the program.
"""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Protocol

from tests.harness.dovecot import RunningDovecot, running_dovecot
from tests.harness.programs import Port
from tests.harness.site import PASSWORD, RunningSite, python_path

from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.rows import State
from mailkeep.tls.authority import create_authority, issue

CHILD = Path(__file__).parent / "fetch_killed.py"

NO_AUTHORITIES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
"""The system's take 50 ms to read, in each of a thousand runs."""

AGAIN = (FetchExit.NETWORK, FetchExit.BUSY)
"""What a run may end with while the server still has the session of one that was killed."""
TRIES = 50

LOOKS = 3
"""At a Maildir whose server may be renaming at this moment what is listed."""

_NAMES = count(1)
_MBOX_START = re.compile(rb"^From mailkeep-K[0-9a-f]{32}\.([0-9]+)\.[^\n]*\n", re.MULTILINE)


class Mailbox(Protocol):
    """An account's mailbox, on a server that runs."""

    user: str
    port: Port
    ca: Path
    maildir: Path

    def put(self, *messages: bytes) -> None:
        """Let new mail arrive; messages have LF, as files of a Maildir do."""


class MailkeepMailbox:
    """A mailbox that `mailkeep serve` serves."""

    def __init__(self, site: RunningSite, user: str) -> None:
        self.user = site.add_account(user)
        self.port = site.pop3s
        self.ca = site.ca
        self.maildir = site.maildir(user)
        make_maildir(self.maildir)

    def put(self, *messages: bytes) -> None:
        for message in messages:
            put_file(self.maildir, message)


class DovecotMailbox:
    """A mailbox that Dovecot serves; its accounts need no adding."""

    def __init__(self, dovecot: RunningDovecot, folder: Path, user: str) -> None:
        self.user = user
        self.port = dovecot.pop3s
        self.ca = folder / "tls" / "ca.pem"
        self.maildir = folder / "mail" / user
        self._owner = dovecot.user
        make_maildir(self.maildir)
        dovecot.own(self.maildir)

    def put(self, *messages: bytes) -> None:
        for message in messages:
            put_file(self.maildir, message, owner=self._owner)


@contextlib.contextmanager
def quick_folder() -> Iterator[Path]:
    """Make a folder that others may look into, in memory where there is such a place.

    A kill takes nothing from a disk's cache, so waiting for a real disk would show nothing.
    """
    memory = Path("/dev/shm")  # noqa: S108  # named by Linux
    place = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="mk-", dir=place))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def dovecot_with_folder() -> Iterator[tuple[RunningDovecot, Path]]:
    """Run Dovecot over the Maildirs in `FOLDER/mail`."""
    with quick_folder() as folder:
        tls, now = folder / "tls", datetime.now(UTC)
        create_authority(tls, "localhost", now)
        issue(tls, "localhost", now)
        (folder / "mail").mkdir()
        maildirs = f"{folder}/mail/%n"
        with running_dovecot(folder, tls=tls, maildirs=maildirs, password=PASSWORD) as dovecot:
            dovecot.own(folder / "mail")
            yield dovecot, folder


def make_maildir(maildir: Path) -> None:
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir(parents=True, exist_ok=True)


def put_file(maildir: Path, message: bytes, owner: str | None = None) -> None:
    """Deliver as any delivery agent does: written in tmp, renamed into new."""
    name = f"{1_700_000_000 + next(_NAMES)}.M1P{os.getpid()}.example"
    written = maildir / "tmp" / name
    written.write_bytes(message)
    if owner is not None:
        shutil.chown(written, owner)
    written.rename(maildir / "new" / name)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a run.

    Attributes:
        code: its exit code; None if it was killed.
        steps: the names of the steps it took.
        listed_s: how long it ran after it had the listing.
        said: what it wrote.
    """

    code: int | None
    steps: Sequence[str]
    listed_s: float
    said: str


class Runner:
    """Runs `mailkeep fetch`, each time in a process of its own; see `fetch_killed.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | python_path() | NO_AUTHORITIES,
            text=True,
        )

    def begin(
        self,
        arguments: Sequence[str],
        *,
        step: tuple[str, int] | None = None,
        after_s: float | None = None,
        batch: int | None = None,
    ) -> None:
        """Start a run; `end` must follow."""
        job = {
            "arguments": ["fetch", *arguments],
            "password": PASSWORD,
            "step": step,
            "after_s": after_s,
            "batch": batch,
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def end(self) -> Result:
        """Wait for the run that was begun."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "mailkeep fetch does not even start"
        return Result(**json.loads(line))

    def run(
        self,
        arguments: Sequence[str],
        *,
        step: tuple[str, int] | None = None,
        batch: int | None = None,
    ) -> Result:
        """Run to the end, or to the n-th step of a name, before which it is killed."""
        self.begin(arguments, step=step, batch=batch)
        return self.end()

    def run_to_the_end(self, arguments: Sequence[str]) -> Result:
        """Run again until the server has let the killed session's mailbox go, and it ends well."""
        result = self.run(arguments)
        for _ in range(TRIES):
            if result.code not in AGAIN:
                break
            result = self.run(arguments)
        assert result.code == 0, result.said
        return result

    def stop(self) -> None:
        """End the process that forks."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@contextlib.contextmanager
def running() -> Iterator[Runner]:
    """Have a runner for as long as the caller needs it."""
    runner = Runner()
    try:
        yield runner
    finally:
        runner.stop()


def arguments_of(mailbox: Mailbox, to: Sequence[str], state: Path, *more: str) -> list[str]:
    """Return what stands behind `mailkeep fetch`."""
    url = f"pop3s://{mailbox.user}@localhost:{mailbox.port.number}"
    destinations = [word for one in to for word in ("--to", one)]
    common = ["--state", str(state), "--ca", str(mailbox.ca), "--password-stdin"]
    return [url, *destinations, *common, *more]


def wire(message: bytes) -> bytes:
    """Return what a server sends of a message with LF."""
    return message.replace(b"\n", b"\r\n")


def held_by(mailbox: Mailbox) -> list[bytes]:
    """Return the messages that the server still holds, as it sends them."""
    found: dict[str, bytes] = {}
    for folder in ("new", "cur"):  # the order in which a server moves them
        for path in (mailbox.maildir / folder).iterdir():
            with contextlib.suppress(FileNotFoundError):  # flags changed, or it is being removed
                found[path.name.partition(":")[0]] = wire(path.read_bytes())
    return list(found.values())


def stored_in(destination: str) -> list[bytes]:
    """Return the messages in a destination that is, or may be, there."""
    kind, _, path = destination.partition(":")
    place = Path(path)
    match kind:
        case "maildir":
            paths = [*place.glob("new/*"), *place.glob("cur/*")]
            return [each.read_bytes() for each in paths]
        case "dir":
            return [each.read_bytes() for each in place.glob("*.eml") if each.name[0] != "."]
        case _:
            return read_mbox(place.read_bytes()) if place.exists() else []


def read_mbox(text: bytes) -> list[bytes]:
    """Return the whole messages of an mbox in which everything is ours; torn ones are left out."""
    return [body[:octets] for octets, body in _mbox_parts(text) if len(body) > octets]


def _mbox_parts(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield how long each message shall be, and what stands between its separator and the next."""
    starts = [*_MBOX_START.finditer(text)]
    ends = [*(start.start() for start in starts[1:]), len(text)]
    for start, end in zip(starts, ends, strict=False):  # without a message there is one end
        body = re.sub(rb"^>(>*From )", rb"\1", text[start.end() : end], flags=re.MULTILINE)
        yield int(start[1]), body


def mark_read(destination: str) -> None:
    """Do what a mail program does with new mail: move it to `cur` and set a flag."""
    kind, _, path = destination.partition(":")
    if kind == "maildir":
        for each in Path(path).glob("new/*"):
            each.rename(Path(path, "cur", f"{each.name}:2,S"))


def check_nothing_lost(mailbox: Mailbox, to: Sequence[str], messages: Sequence[bytes]) -> None:
    """Every message is on the server, or in every destination; in none of them twice."""
    expected = Counter(map(wire, messages))
    for destination in to:
        missing = expected
        for _ in range(LOOKS):
            held = Counter(held_by(mailbox))  # first: what goes from here must be there already
            stored = Counter(stored_in(destination))
            assert not stored - expected, f"{destination} has a message twice, or a torn one"
            missing = expected - stored - held
            if not missing:
                break
        assert not missing, f"a message is lost: {destination} and the server lack it"


def check_each_once(to: Sequence[str], messages: Sequence[bytes]) -> None:
    """Each destination has each message once, octet for octet, and nothing else."""
    for destination in to:
        stored = Counter(stored_in(destination))
        expected = Counter(map(wire, messages))
        assert stored == expected, (
            f"{destination}: {sum((stored - expected).values())} too many,"
            f" {sum((expected - stored).values())} missing"
        )
        check_nothing_unfinished(destination)


def check_nothing_unfinished(destination: str) -> None:
    kind, _, path = destination.partition(":")
    match kind:
        case "maildir":
            assert [*(Path(path) / "tmp").iterdir()] == []
        case "dir":
            assert [*Path(path).glob(".*.part")] == []
        case _:
            assert not Path(f"{path}.lock").exists()
            parts = [*_mbox_parts(Path(path).read_bytes())]
            assert {body[octets:] for octets, body in parts} <= {b"\n", b"\n\n"}


def check_journal(state: Path, to: Sequence[str], expected: Mapping[State, int]) -> None:
    """The journal is sound, has a row a message in its state, and says where each of them is."""
    (path,) = state.glob("*/journal.db")
    assert [*path.parent.glob("spool/.*")] == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        states = connection.execute("SELECT state, count(*) FROM message GROUP BY state").fetchall()
        held = connection.execute(
            "SELECT d.name, count(*) FROM held h JOIN destination d ON d.id = h.destination"
            " GROUP BY d.name"
        ).fetchall()
    assert dict(states) == expected
    assert dict(held) == dict.fromkeys(to, sum(expected.values()))
