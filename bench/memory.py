"""What a session costs in memory: one real server process, real TLS, real Maildirs.

Prints the growth of the server's proportional set size (`Pss` of /proc/PID/smaps_rollup) per
session: many idle sessions on small maildrops, then one session each on a big one. Run it with the
project's environment: `make bench-memory`.
"""

import argparse
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import SCHEMA
from mailkeep.app.opening import open_keying
from mailkeep.database.opening import open_database
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.site import Site, read_site
from mailkeep.values import Secret

PASSWORD = b"correct horse battery staple"
WARM_UP = 100
"""Sessions that are open before counting begins: they pay for caches that all share."""

IDLE_LIMIT_KIB = 48


@dataclass(frozen=True)
class Big:
    """Sessions on big maildrops, all alike, each of an account of its own."""

    messages: int
    is_named: bool
    """Whether the sizes are in the names; otherwise they are counted at the first login."""
    sessions: int
    limit_kib: int

    @property
    def accounts(self) -> list[str]:
        """Whose they are."""
        kind = "named" if self.is_named else "counted"
        return [f"{kind}{self.messages}-{number}" for number in range(self.sessions)]

    def __str__(self) -> str:
        told = "sizes in the names" if self.is_named else "sizes counted now"
        return f"{self.messages} messages, {told}"


BIG = (
    Big(10_000, is_named=True, sessions=8, limit_kib=1536),
    Big(10_000, is_named=False, sessions=8, limit_kib=1536),
    Big(100_000, is_named=True, sessions=3, limit_kib=15_360),
    Big(100_000, is_named=False, sessions=3, limit_kib=15_360),
)


class OneHash(Argon2Passwords):
    """Hashes the one password of all accounts once: two thousand would take a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._once = super().hash(Secret(PASSWORD))

    def hash(self, password: Secret) -> str:  # noqa: ARG002  # all accounts have the one
        """Return the hash that all accounts share."""
        return self._once


def make_site(folder: Path, small: int) -> Site:
    """Make a site with `small` small maildrops and one of each bigger size."""
    command = [sys.executable, "-m", "mailkeep", "--site", str(folder), "init"]
    subprocess.run([*command, "--hostname", "localhost", "--pop3s", "127.0.0.1:0"], check=True)
    settings = folder / "mailkeep.toml"
    settings.write_text(
        settings.read_text() + "\n[limits]\nconnections_per_prefix = 0\n\n[serve]\nworkers = 1\n"
    )
    site = read_site(folder)
    with contextlib.closing(open_database(site.database, SCHEMA, create=False)) as database:
        accounts = AccountDirectory(database, OneHash(), open_keying(site), by="bench")
        for number in range(small):
            accounts.add(site.address(f"small{number}"), Secret(PASSWORD))
        for name in chain.from_iterable(big.accounts for big in BIG):
            accounts.add(site.address(name), Secret(PASSWORD))
    for number in range(small):
        fill(maildir_of(site, f"small{number}"), 5, is_named=True)
    for big in BIG:
        first, *others = (maildir_of(site, name) for name in big.accounts)
        fill(first, big.messages, is_named=big.is_named)
        for other in others:
            other.symlink_to(first)
    return site


def maildir_of(site: Site, name: str) -> Path:
    """Return the Maildir of an account."""
    return MaildirPaths(site.folder, site.settings.maildrops.path).of(site.address(name))


def fill(maildir: Path, count: int, *, is_named: bool) -> None:
    """Lay `count` messages into a Maildir, with sizes in their names or without."""
    for folder in ("tmp", "new", "cur"):
        (maildir / folder).mkdir(parents=True, mode=0o700)
    text = b"Subject: a message\n\nwith a line\n"
    wire_octets = len(text) + text.count(b"\n")
    first = maildir / "first"
    first.write_bytes(text)
    for number in range(count):
        size = f",S={len(text)},W={wire_octets}" if is_named else ""
        name = f"{1_700_000_000 + number}.M{number}P1234Q1R0123456789abcdef.mail.example{size}:2,S"
        if number % 30_000 == 0:
            first.unlink()
            first = maildir / "cur" / name
            first.write_bytes(text)
        else:
            os.link(first, maildir / "cur" / name)  # a new file each would fill the disk with nodes


@contextlib.contextmanager
def running_server(site: Site) -> Iterator[tuple[int, int]]:
    """Run `mailkeep serve`; yields its process number and its port."""
    command = [sys.executable, "-m", "mailkeep", "--site", str(site.folder), "serve"]
    with (
        (site.folder / "log").open("wb") as log,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server,
    ):
        assert server.stderr is not None
        port = 0
        for line in server.stderr:
            if line.startswith("listening pop3s"):
                port = int(line.rsplit(":", 1)[1])
            if line.strip() == "ready":
                break
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=log)
        try:
            yield server.pid, port
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
            drain.wait()


def log_in(context: ssl.SSLContext, port: int, name: str) -> ssl.SSLSocket:
    """Return an open session, idle behind its login."""
    session = context.wrap_socket(
        socket.create_connection(("127.0.0.1", port)), server_hostname="localhost"
    )
    for line in (b"", b"USER " + name.encode() + b"\r\n", b"PASS " + PASSWORD + b"\r\n"):
        if line:
            session.sendall(line)
        answer = session.recv(512)
        if not answer.startswith(b"+OK"):
            raise SystemExit(f"{name}: {answer!r}")
    return session


def growth_kib(site: Site, names: list[str]) -> float:
    """Return by how much a fresh server grows with a session of each account, per session."""
    context = ssl.create_default_context(cafile=str(site.tls / "ca.pem"))
    with running_server(site) as (pid, port):
        held = [log_in(context, port, f"small{number}") for number in range(WARM_UP)]
        before = pss_kib(pid)
        held += [log_in(context, port, name) for name in names]
        return (pss_kib(pid) - before) / len(held[WARM_UP:])


def pss_kib(pid: int) -> int:
    """Return the proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise SystemExit("no Pss: this needs Linux")


def main() -> int:
    """Measure and print; returns 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=2000, help="idle sessions")
    sessions = parser.parse_args().sessions
    rows: list[tuple[str, float, int]] = []
    with tempfile.TemporaryDirectory(prefix="mailkeep-bench-") as folder:
        site = make_site(Path(folder) / "site", sessions + WARM_UP)
        idle = [f"small{WARM_UP + number}" for number in range(sessions)]
        rows.append((f"{sessions} idle sessions", growth_kib(site, idle), IDLE_LIMIT_KIB))
        rows += [(str(big), growth_kib(site, big.accounts), big.limit_kib) for big in BIG]
    print(f"{'one session of':45} {'KiB':>9} {'limit':>7}")
    for what, kib, limit in rows:
        print(f"{what:45} {kib:9.1f} {limit:7}{'' if kib <= limit else '  TOO MUCH'}")
    return int(any(kib > limit for _, kib, limit in rows))


if __name__ == "__main__":
    sys.exit(main())
