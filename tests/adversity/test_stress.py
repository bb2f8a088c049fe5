"""Everything at once, at random: clients, a neighbour, and the server killed, on a real site.

By bookkeeping: gone is what a QUIT answered with +OK removed, perhaps what an unanswered one had
marked, and nothing else; no message is doubled or changed, and each has the size announced.
`STRESS_S` in the environment makes it longer, `STRESS_SEED` makes the same choices again.
"""

import contextlib
import io
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from tests.harness.client import UnexpectedReply, WireClient
from tests.harness.maildir import lay, make_maildir
from tests.harness.site import RunningSite, running_site
from tests.messages import naive_wire_form

from mailkeep.maildrop.maildir import deliver

SECONDS = float(os.environ.get("STRESS_S", "12"))
LONGER_S = 60.0
"""How much longer at most, until a message of each account was removed: on a machine that others
use the server starts slowly, and is killed again before anybody was served."""

SEED = int(os.environ.get("STRESS_SEED", time.time_ns() % 10**9))
SIZES = (0, 1, 70, 5_000, *((1 << 17) + shift for shift in range(-2, 3)), 400_000)
RST = struct.pack("ii", 1, 0)
FLAGS = (":2,S", ":2,RS", ":2,FS", ":2,")
Listed = dict[int, tuple[bytes, bytes]]  # unique-id and announced size by number


class Account:
    """One account's book. What may happen is written down before it can, what did after."""

    def __init__(self, site: RunningSite, name: str) -> None:
        self.site, self.name, self.maildir = site, name, make_maildir(site.maildir(name))
        self.stored: dict[bytes, bytes] = {}
        self.removed: set[bytes] = set()
        self.perhaps_removed: set[bytes] = set()
        self.read: list[tuple[bytes, bytes, bytes]] = []

    def deliver(self, random: Random) -> None:
        if len([*self.maildir.glob("*/*")]) < 40:
            line = bytes(random.choices(b"ab.\r\n\0\xff", k=997))
            message = (line * 402)[: random.choice(SIZES)]
            if random.random() < 0.5:
                base = deliver(self.maildir, io.BytesIO(message), "host")
            else:  # a name without sizes: they are counted and remembered
                base = lay(self.maildir, message, len(self.stored)).name.encode()
            self.stored[base] = message

    def disturb(self, random: Random) -> None:
        """Do what an IMAP server does beside us: see, flag, and now and then remove."""
        for path in [*self.maildir.glob("new/*"), *self.maildir.glob("cur/*")]:
            base = path.name.partition(":")[0]
            with contextlib.suppress(FileNotFoundError):
                if random.random() < 0.3:
                    path.rename(self.maildir / "cur" / (base + random.choice(FLAGS)))
                elif random.random() < 0.02:
                    self.perhaps_removed.add(base.encode())
                    path.unlink()
        threading.Event().wait(random.uniform(0, 0.05))

    def visit(self, random: Random) -> None:
        """Have one session, which may end in any way."""
        marked, there, gone = set[bytes](), {*self.stored}, {*self.removed}
        with self.site.session(self.name) as client:
            uidls = self.list(client, there, gone)
            for number in random.sample(sorted(uidls), min(len(uidls), random.randrange(9))):
                client.send(b"RETR %d\r\n" % number)
                if random.random() < 0.03:
                    break
                self.take(client, *uidls[number])
                if random.random() < 0.6:
                    client.command(b"DELE %d" % number)
                    marked.add(uidls[number][0])
            else:
                if random.random() < 0.8:  # else nothing may be removed
                    self.perhaps_removed |= marked
                    client.send(b"QUIT\r\n")
                    if random.random() < 0.8:
                        client.read_ok()
                        self.removed |= marked
            client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)  # when it closes

    def list(self, client: WireClient, there: set[bytes], gone: set[bytes]) -> Listed:
        """Return what is listed, when it fits the book as it was before the login."""
        uidls, sizes = dict(client.listing(b"UIDL")), dict(client.listing(b"LIST"))
        listed = set(uidls.values())
        assert uidls.keys() == sizes.keys()
        assert len(listed) == len(uidls), "doubled"
        assert not listed & gone, "came back"
        assert there - listed <= self.removed | self.perhaps_removed, "lost"
        return {number: (uidl, sizes[number]) for number, uidl in uidls.items()}

    def take(self, client: WireClient, uidl: bytes, size: bytes) -> None:
        """Read what answers RETR; it is refused only if the message is gone."""
        reply = client.read_line()
        if reply.startswith(b"+OK"):
            self.read.append((uidl, size, client.read_body()))
        else:
            assert uidl in self.removed | self.perhaps_removed, reply

    def check(self) -> None:
        """Compare the book with what is there when all is over, and with all that was read."""
        with self.site.session(self.name) as client:
            listed = self.list(client, set(self.stored), self.removed)
            for number, (uidl, size) in listed.items():
                client.send(b"RETR %d\r\n" % number)
                self.take(client, uidl, size)
        for uidl, size, body in self.read:
            assert body == naive_wire_form(self.stored[uidl])
            assert int(size) == len(body)
        assert self.removed


def restart(site: RunningSite, random: Random) -> None:
    """Kill the server, or end it in order, while clients are at work."""
    threading.Event().wait(random.uniform(0.5, 2.5))
    if random.random() < 0.3:
        assert site.stop() == 0, site.log
    else:
        os.kill(site._serving.pid, signal.SIGKILL)
        site._serving.wait()
    assert "internal error" not in site.log, site.log
    site._serve()


@pytest.mark.timeout(SECONDS + LONGER_S + 120)
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # a fault of CPython
@pytest.mark.parametrize("seed", [SEED])
def test_nothing_is_lost_doubled_or_changed(tmp_path: Path, seed: int) -> None:
    """RFC 1939 sections 5 to 8: octets, unique-ids and removals are what was said of them."""
    began_s = time.monotonic()

    def goes_on() -> bool:
        took_s = time.monotonic() - began_s
        return took_s < SECONDS or (
            took_s < SECONDS + LONGER_S and not all(account.removed for account in accounts)
        )

    def repeat(action: Callable[[Random], None], place: int) -> None:
        random = Random(seed + place)  # noqa: S311  # nothing secret is drawn
        while goes_on():
            with contextlib.suppress(OSError, UnexpectedReply):  # the server is dead, or busy
                action(random)

    with running_site(tmp_path / "site") as site, ThreadPoolExecutor(13) as threads:
        accounts = [Account(site, site.add_account(name)) for name in ("alice", "bob", "carol")]
        actions: list[Callable[[Random], None]] = [lambda random: restart(site, random)]
        for account in accounts:
            actions += [account.deliver, account.disturb, account.visit, account.visit]
        assert {*threads.map(repeat, actions, range(len(actions)))} == {None}
        for account in accounts:
            account.check()
