"""`mailkeep fetch` in a process of its own, with what memory it took at most.

A child's peak cannot be had from `getrusage`: it begins with its parent's. `VmHWM` of Linux begins
with the program.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.harness.programs import DEADLINE_S
from tests.harness.site import SOURCE

from mailkeep.testing.odd_server import Login, RunningOddServer

_PROGRAM = """
import re, sys
from pathlib import Path
from mailkeep.cli.entry import run
code = run(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())
print("peak", peak[1], file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Done:
    """A run that has ended.

    Attributes:
        peak_mb: memory that it had at most, in 10^6 octets.
    """

    code: int
    out: bytes
    err: bytes
    peak_mb: float


def fetch_in_child(home: Path, server: RunningOddServer, *arguments: str) -> Done:
    """Fetch in the clear from a server of this process into `home/Mail`."""
    words = ("fetch", f"pop3://alice@localhost:{server.port}", "--cleartext", "--password-stdin")
    places = ("--to", f"maildir:{home / 'Mail'}", "--state", str(home / "state"))
    done = subprocess.run(
        (sys.executable, "-c", _PROGRAM, *words, *places, *arguments),
        input=Login().password + b"\n",
        capture_output=True,
        check=False,
        timeout=2 * DEADLINE_S,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "HOME": str(home)},
    )
    *lines, peak, _ = done.stderr.split(b"\n")
    server.settle()
    return Done(done.returncode, done.stdout, b"\n".join(lines), int(peak.split()[1]) / 1e6 * 1024)
