"""The other side: one Dovecot with all mailboxes, and a way to it for every round trip."""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.fetch.mailboxes import fill, list_unique_ids
from bench.fetch.measuring import Mailbox
from bench.fetch.rows import Row
from tests.harness.dovecot import RunningDovecot, running_dovecot
from tests.harness.programs import Background

from mailkeep.tls.authority import create_authority, issue

PASSWORD = "correct-horse-battery-staple"  # noqa: S105  # of mailboxes that live for minutes


@dataclass
class Server:
    """Dovecot and the ways to it.

    Attributes:
        folder: its own; Maildirs are in `mail`.
        dovecot: it.
        ca: a copy of the authority's certificate that every user may read.
    """

    folder: Path
    dovecot: RunningDovecot
    ca: Path
    _stack: ExitStack
    _ways: dict[int, int] = field(default_factory=dict)
    _unique_ids: dict[str, list[str]] = field(default_factory=dict)

    def mailbox(self, row: Row) -> Mailbox:
        """Return a row's mailbox, filled and known to Dovecot, at its distance."""
        account = row.mailbox
        if account not in self._unique_ids:
            self._fill(row)
        return Mailbox(
            port=self._way(row.round_trip_ms),
            account=account,
            password=PASSWORD,
            ca=self.ca,
            unique_ids=self._unique_ids[account],
            again=row.again,
        )

    def forget(self, account: str) -> None:
        """Remove a mailbox that no later row needs."""
        self._unique_ids.pop(account, None)
        shutil.rmtree(self.folder / "mail" / account, ignore_errors=True)

    def _fill(self, row: Row) -> None:
        maildir = self.folder / "mail" / row.mailbox
        fill(maildir, row)
        for folder in (maildir, maildir / "tmp", maildir / "new", maildir / "cur"):
            if self.dovecot.user is not None:
                shutil.chown(folder, self.dovecot.user)
        self._unique_ids[row.mailbox] = list_unique_ids(
            self.dovecot.pop3s.number, row.mailbox, PASSWORD, self.ca
        )

    def _way(self, round_trip_ms: int) -> int:
        """Return the port at which the server is so far away."""
        if round_trip_ms == 0:
            return self.dovecot.pop3s.number
        if round_trip_ms not in self._ways:
            self._ways[round_trip_ms] = self._start_proxy(round_trip_ms)
        return self._ways[round_trip_ms]

    def _start_proxy(self, round_trip_ms: int) -> int:
        to = ("--to", str(self.dovecot.pop3s.number), "--round-trip-ms", str(round_trip_ms))
        proxy = Background((sys.executable, "-m", "bench.fetch.delay_proxy", *to))
        self._stack.callback(proxy.stop)
        line = proxy.wait_for(lambda text: text.startswith("listening"), "its port")
        return int(re.findall(r"\d+", line)[0])


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Run the server in a folder that others may look into."""
    tls = folder / "tls"
    create_authority(tls, "localhost", datetime.now(UTC))
    issue(tls, "localhost", datetime.now(UTC))
    ca = folder / "ca.pem"
    shutil.copy(tls / "ca.pem", ca)
    ca.chmod(0o644)
    (folder / "mail").mkdir()
    maildirs = f"{folder}/mail/%n"
    with (
        ExitStack() as stack,
        running_dovecot(folder, tls=tls, maildirs=maildirs, password=PASSWORD) as dovecot,
    ):
        yield Server(folder, dovecot, ca, stack)
