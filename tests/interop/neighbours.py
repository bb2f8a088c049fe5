"""Dovecot and Mailkeep over one tree of Maildirs: what the tests of both share."""

from pathlib import Path
from typing import NamedTuple

from tests.harness.client import WireClient, logged_in
from tests.harness.dovecot import RunningDovecot
from tests.harness.maildir import make_maildir
from tests.harness.site import PASSWORD, RunningSite


class Neighbours(NamedTuple):
    """Two servers over one tree of Maildirs."""

    maildirs: Path
    site: RunningSite
    dovecot: RunningDovecot

    def add_account(self, name: str) -> Path:
        """Make an account for both and return its empty Maildir."""
        self.site.add_account(name)
        return make_maildir(self.maildirs / name)

    def own(self) -> None:
        """Give all mail to the user that Dovecot serves it as."""
        self.dovecot.own(self.maildirs)


def read_all(client: WireClient) -> list[bytes]:
    """Return every message of a session in which nothing is deleted."""
    numbers = [number for number, _ in client.listing(b"LIST")]
    assert [number for number, _ in client.listing(b"UIDL")] == numbers
    bodies = list(client.bodies([b"RETR %d" % number for number in numbers]))
    client.command(b"QUIT")
    return bodies


def read_by_dovecot(neighbours: Neighbours, account: str) -> tuple[list[int], list[bytes]]:
    """Return the sizes that Dovecot announces and what it sends."""
    ca = neighbours.site.ca
    with logged_in(neighbours.dovecot.pop3s, ca, account, PASSWORD) as client:
        return [int(size) for _, size in client.listing(b"LIST")], read_all(client)
