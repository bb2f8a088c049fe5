"""What every program under test has in common: a place to work in, a command, a state."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PARTS = ("tmp", "new", "cur")


@dataclass(frozen=True, slots=True)
class Workspace:
    """One program's folder for one cell, and the mailbox that it is to fetch.

    Attributes:
        folder: its own; nothing is in it that another run left.
        port: where the server, or the way to it, speaks TLS as `localhost`.
        account, password: the mailbox.
        ca: a file that every user may read.
    """

    folder: Path
    port: int
    account: str
    password: str
    ca: Path

    @property
    def maildir(self) -> Path:
        """Where mail is to go."""
        return self.folder / "maildir"

    def write(self, name: str, text: str) -> Path:
        """Write a file that only its owner may read, as settings with a password must be."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def make(self) -> None:
        """Make the folder and the empty Maildir."""
        for part in PARTS:
            (self.maildir / part).mkdir(parents=True)

    def own(self, user: str) -> None:
        """Give it to a user."""
        for path in (self.folder, *self.folder.rglob("*")):
            shutil.chown(path, user, user if user != "nobody" else "nogroup")

    def stored(self) -> int:
        """Return how many messages have arrived."""
        return sum(len(list((self.maildir / part).iterdir())) for part in ("new", "cur"))


@dataclass(frozen=True, slots=True)
class Command:
    """How a program is started.

    Attributes:
        words: program and arguments.
        user: as whom; None for whoever runs the benchmark.
        stdin: what it is given to read.
        nothing_new: the exit code that says so, beside 0.
        idle_s: how long it stands still before it gives a lost child up; not held against it.
    """

    words: tuple[str | Path, ...]
    user: str | None = None
    stdin: str = ""
    nothing_new: int = 0
    idle_s: float = 0.0


class Program(Protocol):
    """A program that fetches mail."""

    @property
    def name(self) -> str:
        """What it is called in the table."""
        ...

    @property
    def durability(self) -> str:
        """What its manual or its source says of fsync, for machines without strace."""
        ...

    def find(self) -> Path | None:
        """Return where it is; None if it is not installed."""
        ...

    def prepare(self, work: Workspace) -> Command:
        """Write its settings, return how it is started: verified TLS, keep all, fetch all new."""
        ...

    def remember(self, work: Workspace, unique_ids: list[str]) -> None:
        """Write the state that it would have if it had fetched these messages before."""
        ...


def found(name: str) -> Path | None:
    """Return where a program is."""
    path = shutil.which(name)
    return Path(path) if path else None
