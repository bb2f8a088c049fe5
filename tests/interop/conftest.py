"""What the tests of real mail programs share: an account with mail, and a folder to work in.

A program is run against `mailkeep serve` as its manual says, with the certificate verified. What it
does to mail on its own (line ends, a `From ` line) is undone where the test says so, and what is
left must be what was sent.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from tests.harness.dovecot import running_dovecot
from tests.harness.programs import open_folder
from tests.harness.site import PASSWORD, RunningSite, running_site
from tests.interop.neighbours import Neighbours
from tests.messages import naive_wire_form

HEADER = b"From: a@example.test\nTo: b@example.test\nDate: Sun, 1 Jan 2023 10:00:00 +0000\n"

MAIL = (
    HEADER + b"Subject: plain\n\nHello.\n",
    HEADER + b"Subject: dots\n\n.\n..\n...text\n.\n",
    HEADER + b"Subject: no final newline\n\nThe end is missing",
    HEADER + b"Content-Type: text/plain; charset=utf-8\n"
    b"Content-Transfer-Encoding: 8bit\nSubject: =?utf-8?q?8_bit?=\n\n"
    + "Grüße, 你好\n".encode()
    + b"not UTF-8: \xe4\xf6\xfc\n",
    HEADER + b"Subject: long lines\n\n" + b"x" * 4_000 + b"\n." + b"y" * 4_000 + b"\n",
    HEADER + b"Subject: large\n\n" + b"".join(b".%06d\n" % n for n in range(30_000)),
)
"""What mail programs must bring home. Stranger mail they change themselves: fetchmail 6.4 breaks a
line of more than 8 KiB and adds octets of its own."""

WIRE = [naive_wire_form(message) for message in MAIL]

_accounts = (f"reader{number}" for number in count(1))


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An account with `MAIL` in it, and what a program needs to read it."""

    site: RunningSite
    account: str
    folder: Path
    """To work in; any user may look into it."""
    ca: Path
    """A copy that every user may read."""
    password: str = PASSWORD

    def remaining(self) -> list[bytes]:
        """Return the wire form of what is there now."""
        with self.site.session(self.account) as client:
            numbers = [number for number, _ in client.listing(b"LIST")]
            bodies = list(client.bodies([b"RETR %d" % number for number in numbers]))
            client.command(b"QUIT")
            return bodies

    def write(self, name: str, text: str, *, owner: str | None = None) -> Path:
        """Write a program's settings, readable for their owner only."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        if owner:
            shutil.chown(path, owner)
        return path


@pytest.fixture
def mailboxes(served: RunningSite) -> Iterator[Callable[[], Mailbox]]:
    """Make as many accounts with mail as a test asks for."""
    with ExitStack() as stack:

        def make() -> Mailbox:
            account = served.add_account(next(_accounts))
            served.deliver(account, *MAIL)
            folder = stack.enter_context(open_folder())
            ca = folder / "ca.pem"
            shutil.copyfile(served.ca, ca)
            ca.chmod(0o644)
            return Mailbox(served, account, folder, ca)

        yield make


@pytest.fixture
def mailbox(mailboxes: Callable[[], Mailbox]) -> Mailbox:
    """An account with mail."""
    return mailboxes()


@pytest.fixture(scope="session")
def neighbours() -> Iterator[Neighbours]:
    """Serve one tree of Maildirs by Dovecot and by a site of its own."""
    with open_folder() as folder:
        maildirs = folder / "mail"
        with running_site(folder / "site", maildrops=f"{maildirs}/{{local}}") as site:
            tls, pattern = site.folder / "tls", f"{maildirs}/%n"
            with running_dovecot(folder, tls=tls, maildirs=pattern, password=PASSWORD) as dovecot:
                yield Neighbours(maildirs, site, dovecot)


def sorted_wire(messages: Sequence[bytes]) -> list[bytes]:
    """Return the wire forms of stored messages in an order of their own, to compare sets."""
    return sorted(naive_wire_form(message) for message in messages)
