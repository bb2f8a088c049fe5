"""What a fetch holds in memory: one small part of a message of any size, and of any number of them.

Measured on a process of its own, by what the kernel counted (`ru_maxrss`, in kB on Linux); the
server makes its messages while it sends them.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.programs import run
from tests.harness.site import MAILKEEP, python_path

from mailkeep.testing.odd_server import (
    Login,
    OddMailbox,
    OddMessage,
    oddities,
    running_odd_server,
)

LIMIT_KB = 80_000
"""80 MB: what a small rented machine can spare."""

PIECE_OCTETS = 79_872
"""Of `oddities.body_of`."""
LARGE_PIECES = 200_000_000 // PIECE_OCTETS + 1


_MEASURE = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""
"""The kernel counts what a process had before it became this program: so a small one starts it."""


def fetch(port: int, folder: Path, *arguments: str) -> tuple[int, int]:
    """Fetch in a process of its own, and return its exit code and the most memory it had, in kB."""
    secret = folder / "password"
    secret.write_bytes(Login().password)
    secret.chmod(0o600)
    url = f"pop3://alice@127.0.0.1:{port}"
    common = ("--cleartext", "--state", folder / "state", "--password-file", secret, "--quiet")
    measure = (sys.executable, "-S", "-c", _MEASURE)
    done = run((*measure, *MAILKEEP, "fetch", url, *common, *arguments), environment=python_path())
    code, peak_kb = done.stdout.split()
    return int(code), int(peak_kb)


@pytest.mark.parametrize("kind", ["maildir", "dir", "mbox"])
def test_a_large_message_goes_through_a_small_memory(tmp_path: Path, kind: str) -> None:
    """200 MB in one message, into each kind of destination that is on a disk."""
    octets = LARGE_PIECES * PIECE_OCTETS
    message = replace(OddMessage(b"large", b""), octets=b"%d" % octets)
    endless = oddities.body_of(1, LARGE_PIECES)
    with running_odd_server(OddMailbox(message), endless) as server:
        to = f"{kind}:{tmp_path / 'Mail'}"
        code, peak_kb = fetch(server.port, tmp_path, "--to", to, "--limit", "300M")
    assert code == 0
    assert peak_kb < LIMIT_KB
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert octets <= max(path.stat().st_size for path in files) < octets + 1000


def test_many_messages_go_through_a_small_memory(tmp_path: Path) -> None:
    """3,000 small ones, pipelined, with a batch on its way to the disk and one behind it."""
    bodies = (b"Subject: %d\r\n\r\n%b\r\n" % (number, b"x" * 2000) for number in range(3000))
    with running_odd_server(OddMailbox.of(*bodies)) as server:
        code, peak_kb = fetch(server.port, tmp_path, "--to", f"maildir:{tmp_path / 'Mail'}")
    assert code == 0
    assert peak_kb < LIMIT_KB
    assert len(os.listdir(tmp_path / "Mail" / "new")) == 3000  # noqa: PTH208  # names are enough


def test_a_message_without_an_end_ends_at_the_limit(tmp_path: Path) -> None:
    """S-42: it fails, whatever LIST announced, and leaves neither memory nor disk full."""
    message = replace(OddMessage(b"endless", b""), octets=b"100")
    with running_odd_server(OddMailbox(message), oddities.endless_body_line(1)) as server:
        to = f"maildir:{tmp_path / 'Mail'}"
        code, peak_kb = fetch(server.port, tmp_path, "--to", to, "--limit", "30M")
    assert code == 1
    assert peak_kb < LIMIT_KB
    assert [*(tmp_path / "Mail" / "new").iterdir()] == []
    assert [*(tmp_path / "Mail" / "tmp").iterdir()] == []
