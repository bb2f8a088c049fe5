"""One cell of the table: one program fetches one mailbox, in a place of its own."""

import math
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.fetch import launcher
from bench.fetch.programs import Command, Program, Workspace

LOST_CHILD = b"waiting child pid"
"""How getmail says that it missed the end of its own child; it gives up then."""

PROOF_OCTETS = 300
"""Of what a program wrote, where it failed."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What a cell is about.

    Attributes:
        port: of the way to the server.
        account, password, ca: see `Workspace`.
        unique_ids: of all its messages.
        again: all of them were fetched before.
    """

    port: int
    account: str
    password: str
    ca: Path
    unique_ids: list[str]
    again: bool

    @property
    def expected(self) -> int:
        """How many messages are to be stored."""
        return 0 if self.again else len(self.unique_ids)


@dataclass(frozen=True, slots=True)
class Cell:
    """What was measured.

    Attributes:
        seconds: from the start of the program to its end.
        processor_s: of the program and all its children, user and system.
        peak_kib: of the largest of them.
        stored, expected: messages.
        stopped: the time limit ended it.
        problem: what went wrong, or nothing.
    """

    seconds: float
    processor_s: float
    peak_kib: int
    stored: int
    expected: int
    stopped: bool = False
    problem: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it did all that it was to do."""
        return not self.stopped and not self.problem and self.stored == self.expected

    @property
    def per_message_s(self) -> float:
        """Seconds a message, over what was done."""
        return self.seconds / self.stored if self.stored else math.inf


@contextmanager
def working(
    program: Program, mailbox: Mailbox, parent: Path
) -> Iterator[tuple[Workspace, Command]]:
    """Prepare a program and clean up behind it."""
    folder = Path(tempfile.mkdtemp(prefix=f"{program.name}-", dir=parent))
    try:
        folder.chmod(0o755)
        work = Workspace(folder, mailbox.port, mailbox.account, mailbox.password, mailbox.ca)
        work.make()
        if mailbox.again:
            program.remember(work, mailbox.unique_ids)
        yield work, program.prepare(work)
    finally:
        shutil.rmtree(folder)


def measure(program: Program, mailbox: Mailbox, parent: Path, limit_s: float) -> Cell:
    """Let a program fetch a mailbox once, in a new place.

    Args:
        program: which.
        mailbox: from where.
        parent: a folder for its own.
        limit_s: after which it is stopped.
    """
    with working(program, mailbox, parent) as place:
        return measure_in(place, mailbox.expected, limit_s)


def measure_in(place: tuple[Workspace, Command], expected: int, limit_s: float) -> Cell:
    """Let a program fetch in a place that is prepared.

    Args:
        place: see `working`.
        expected: how many messages are to be stored.
        limit_s: after which it is stopped.
    """
    work, command = place
    log = work.folder / "log"
    log.write_bytes(b"")
    log.chmod(0o666)
    before = work.stored()
    os.sync()  # nobody pays for what another wrote
    told = start(command, work, log, limit_s)
    stored = work.stored() - before
    return _cell(told, command, expected, stored, log.read_bytes())


def start(
    command: Command,
    work: Workspace,
    log: Path,
    limit_s: float,
    *,
    under: tuple[str | Path, ...] = (),
) -> list[str]:
    """Run a command and return what the launcher says.

    Args:
        command: which.
        work: where.
        log: what it writes.
        limit_s: after which it is stopped.
        under: a program that runs it, such as strace.
    """
    stdin = work.write("stdin", command.stdin) if command.stdin else Path(os.devnull)
    first, *others = (*under, *command.words)
    words = (shutil.which(first) or first, *others)
    launch = (sys.executable, "-I", "-S", launcher.__file__, str(limit_s), *_identity(command.user))
    done = subprocess.run(
        (*launch, stdin, log, *words),
        stdout=subprocess.PIPE,
        cwd=work.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(work.folder), "LC_ALL": "C.UTF-8"},
        text=True,
        check=True,
    )
    return done.stdout.split()


def _identity(user: str | None) -> tuple[str, str]:
    if user is None:
        return "-", "-"
    found = pwd.getpwnam(user)
    return str(found.pw_uid), str(found.pw_gid)


def _cell(told: list[str], command: Command, expected: int, stored: int, log: bytes) -> Cell:
    seconds, processor_s, peak_kib, code, stopped = told
    is_stopped = stopped == "1"
    problem = ""
    idle_s = 0.0
    if LOST_CHILD in log:
        problem = "lost its own child and gave up"
        idle_s = command.idle_s
    elif not is_stopped and int(code) not in {0, command.nothing_new}:
        problem = f"exit {code}: {log[-PROOF_OCTETS:].decode(errors='replace').strip()}"
    elif not is_stopped and stored != expected:
        problem = f"stored {stored} of {expected}"
    return Cell(
        seconds=float(seconds) - idle_s,
        processor_s=float(processor_s),
        peak_kib=int(peak_kib),
        stored=stored,
        expected=expected,
        stopped=is_stopped,
        problem=problem,
    )
