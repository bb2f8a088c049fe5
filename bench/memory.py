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
from pathlib import Path

from mailkeep import app
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.opening import open_database
from mailkeep.site import Site, read_site
from mailkeep.values import Address, Secret

PASSWORD = b"correct horse battery staple"
WARM_UP = 100
"""Sessions that are open before counting begins: they pay for caches that all share."""

LIMITS_KIB = {"idle": 48, "10,000": 1536, "100,000": 15360}


class OneHash(Argon2Passwords):
    """Hashes the one password of all accounts once: two thousand would take a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._once = super().hash(Secret(PASSWORD))

    def hash(self, password: Secret) -> str:
        """Return the hash that all accounts share."""
        return self._once


def make_site(folder: Path, small: int) -> Site:
    """Make a site with `small` small maildrops and one of each bigger size."""
    command = [sys.executable, "-m", "mailkeep", "--site", str(folder), "init"]
    subprocess.run([*command, "--hostname", "localhost", "--pop3s", "127.0.0.1:0"], check=True)
    site = read_site(folder)
    with contextlib.closing(open_database(site.database, SCHEMA, create=False)) as database:
        accounts = AccountDirectory(database, OneHash())
        for number in range(small):
            accounts.add(site.address(f"small{number}"), Secret(PASSWORD))
        for name in ("named10000", "counted10000", "named100000", "counted100000"):
            accounts.add(site.address(name), Secret(PASSWORD))
    for number in range(small):
        fill(site, site.address(f"small{number}"), 5, is_named=True)
    for name, count, is_named in (
        ("named10000", 10_000, True),
        ("counted10000", 10_000, False),
        ("named100000", 100_000, True),
        ("counted100000", 100_000, False),
    ):
        fill(site, site.address(name), count, is_named=is_named)
    return site


def fill(site: Site, address: Address, count: int, *, is_named: bool) -> None:
    """Lay `count` messages into a Maildir, with sizes in their names or without."""
    maildir = app.maildir_of(site, address)
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
        context = ssl.create_default_context(cafile=str(site.tls / "ca.pem"))
        with running_server(site) as (pid, port):
            held = [log_in(context, port, f"small{number}") for number in range(WARM_UP)]
            before = pss_kib(pid)
            held += [log_in(context, port, f"small{WARM_UP + n}") for n in range(sessions)]
            each = (pss_kib(pid) - before) / sessions
            rows.append((f"{sessions} idle sessions, each", each, LIMITS_KIB["idle"]))
        for name, size in (
            ("named10000", "10,000"),
            ("counted10000", "10,000"),
            ("named100000", "100,000"),
            ("counted100000", "100,000"),
        ):
            with running_server(site) as (pid, port):
                held = [log_in(context, port, f"small{number}") for number in range(WARM_UP)]
                before = pss_kib(pid)
                held.append(log_in(context, port, name))
                told = "sizes in the names" if name.startswith("named") else "sizes counted now"
                rows.append((f"{size} messages, {told}", pss_kib(pid) - before, LIMITS_KIB[size]))
    print(f"{'session':45} {'KiB':>9} {'limit':>7}")
    for what, kib, limit in rows:
        print(f"{what:45} {kib:9.1f} {limit:7}{'' if kib <= limit else '  TOO MUCH'}")
    return int(any(kib > limit for _, kib, limit in rows))


if __name__ == "__main__":
    sys.exit(main())
