"""A mailbox on a served site, and the home folder of somebody who fetches it by the commands."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cli.conftest import Done, Run
from tests.harness.site import PASSWORD, RunningSite
from tests.messages import naive_wire_form

DAY_S = 86_400


def mail(subject: object, body: str = "Hello.", date: str | None = None) -> bytes:
    """Return a message as it lies on a disk."""
    dated = f"Date: {date}\n" if date else ""
    return f"From: a@example.test\n{dated}Subject: {subject}\n\n{body}\n".encode()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One account on a site, and where its mail goes.

    Attributes:
        home: of who fetches; state and settings are in their usual places below it.
        run: runs a command in this process, with that home.
    """

    site: RunningSite
    account: str
    home: Path
    run: Run

    @property
    def url(self) -> str:
        """Its address, TLS from the first octet."""
        return f"pop3s://{self.account}@localhost:{self.site.pop3s.number}"

    @property
    def stls_url(self) -> str:
        """Its address, STLS."""
        return f"pop3://{self.account}@localhost:{self.site.pop3.number}"

    @property
    def maildir(self) -> Path:
        """Where mail goes unless a test says otherwise."""
        return self.home / "Mail" / self.account

    @property
    def state(self) -> Path:
        """The account's folder of state."""
        state = self.home / ".local" / "state" / "mailkeep" / "fetch"
        return state / f"{self.account}@localhost"

    @property
    def settings(self) -> Path:
        """The settings file, made when a test writes it."""
        return self.home / ".config" / "mailkeep" / "fetch.toml"

    def deliver(self, *messages: bytes) -> None:
        """Let mail arrive."""
        self.site.deliver(self.account, *messages)

    def fetch(
        self, *arguments: str | Path, to: Sequence[str] | None = None, password: str = PASSWORD
    ) -> Done:
        """Run `mailkeep fetch URL --to ...` with the password on standard input."""
        return self.run(
            "fetch", self.url, *self.options(to), *arguments, stdin=f"{password}\n".encode()
        )

    def options(self, to: Sequence[str] | None = None) -> list[str]:
        """Return what a command needs to store this mailbox."""
        places = [f"maildir:{self.maildir}"] if to is None else to
        return [*(word for one in places for word in ("--to", one)), *self.reaching()]

    def reaching(self) -> list[str]:
        """Return what a command needs to look into this mailbox."""
        return ["--ca", str(self.site.ca), "--password-stdin"]

    def look(self, command: str, *arguments: str) -> Done:
        """Run `mailkeep fetch COMMAND URL`."""
        words = ("fetch", *command.split(), self.url, *self.reaching(), *arguments)
        return self.run(*words, stdin=f"{PASSWORD}\n".encode())

    def write_settings(self, text: str) -> None:
        """Write `fetch.toml`."""
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        self.settings.write_text(text)
        self.settings.chmod(0o600)

    def table(self, label: str, *lines: str, account: str | None = None) -> str:
        """Return a table of settings for an account of the site, with its password in a file."""
        name = account or self.account
        secret = self.home / "password"
        secret.write_text(f"{PASSWORD}\n")
        secret.chmod(0o600)
        common = [
            f"[accounts.{label}]",
            f'url = "pop3s://{name}@localhost:{self.site.pop3s.number}"',
            f'ca = "{self.site.ca}"',
            f'to = "maildir:~/Mail/{name}"',
        ]
        said = "\n".join(lines)
        if not any(key in said for key in ("password", "netrc", "credential", "token_command")):
            common.append(f'password_file = "{secret}"')
        return "\n".join((*common, *lines)) + "\n"

    def remaining(self) -> list[bytes]:
        """Return the messages on the server, oldest first."""
        with self.site.session(self.account) as client:
            numbers = [number for number, _ in client.listing(b"LIST")]
            bodies = list(client.bodies([b"RETR %d" % number for number in numbers]))
            client.command(b"QUIT")
            return bodies

    def age(self, days: float) -> None:
        """Let everything have been stored so much earlier."""
        with contextlib.closing(sqlite3.connect(self.state / "journal.db")) as journal, journal:
            journal.execute("UPDATE message SET stored_at = stored_at - ?", (int(days * DAY_S),))

    def remember(self, name: str) -> str | None:
        """Return a fact that is remembered of the account."""
        with contextlib.closing(sqlite3.connect(self.state / "journal.db")) as journal:
            found = journal.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None


def stored(maildir: Path) -> Counter[bytes]:
    """Return what is in a Maildir, how often."""
    paths = [path for part in ("new", "cur") for path in (maildir / part).glob("*")]
    return Counter(path.read_bytes() for path in paths)


def in_folder(folder: Path) -> Counter[bytes]:
    """Return what is in a folder of `.eml` files, how often."""
    return Counter(path.read_bytes() for path in folder.glob("*.eml"))


def wires(*messages: bytes) -> Counter[bytes]:
    """Return the wire forms of messages, each once."""
    return Counter(naive_wire_form(message) for message in messages)


def subjects(maildir: Path) -> list[str]:
    """Return the subjects of what is in a Maildir, sorted."""
    lines = [line for octets in stored(maildir).elements() for line in octets.split(b"\r\n")]
    return sorted(line[9:].decode() for line in lines if line.startswith(b"Subject: "))
