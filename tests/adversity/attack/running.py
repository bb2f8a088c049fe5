"""One attack from its beginning to its end, and what was measured meanwhile.

The server has one core and everybody else the other, where there are two: the attacker behind all
others, so that what the owners and the open session see is the server's doing and not his.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.adversity.attack import guessing, owners, pulse
from tests.adversity.attack.measuring import (
    Refusal,
    keep_on_one_core,
    processor_seconds,
    pss_octets,
    refusals_in,
)
from tests.adversity.attack.owners import Visit, Visited
from tests.adversity.attack.plan import ACCOUNTS
from tests.harness.programs import DEADLINE_S
from tests.harness.site import PASSWORD, RunningSite

CHECKOUT = Path(__file__).parents[3]
READER = "reader"
"""Has the session that is open all the while; nobody attacks it."""

READERS_ADDRESS = "127.99.0.9"
_LATER = 10
"""How much the attacker stands back (nice(1)) from those whose waiting is measured."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """What an attack brought about."""

    seconds: float
    heard: Counter[str]
    """What the attacker heard, and how often."""
    visited: list[Visited]
    pulse_s: list[float]
    """How long each NOOP of the open session took."""
    memory_octets: list[int]
    """Of the server, each second."""
    processor_s: float
    """How long the server computed."""
    refusals: list[Refusal]
    log: str = field(repr=False)

    def of(self, kind: str) -> list[Visited]:
        """Return the visits of one kind."""
        return [visited for visited in self.visited if visited.kind == kind]


class _Helper:
    """A process of the attack."""

    def __init__(self, module: str, orders: str, core: int | None, nice: int = 0) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", module),
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((".", "src", *sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
        self._pipe(self._process.stdin).write(orders)
        self._pipe(self._process.stdin).close()
        self._process.stdin = None

    def wait_until_ready(self) -> None:
        """Return when it says so."""
        assert self._pipe(self._process.stdout).readline() == "ready\n"

    def runs(self, seconds: float) -> bool:
        """Tell, after so long at most, whether it still runs."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def result(self) -> str:
        """Return what it printed, when it has ended."""
        printed, _ = self._process.communicate(timeout=2 * DEADLINE_S)
        assert self._process.returncode == 0
        return printed

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe
        return pipe


def make_familiar(site: RunningSite, visits: Sequence[Visit]) -> None:
    """Let owners log in from where they will be, and start the server anew.

    So it remembers whom it knows from its database and no password from its memory.
    """
    known = owners.read_visited(_Helper(owners.__name__, owners.visits_text(visits), None).result())
    assert all(visited.let_in for visited in known), known
    site.restart()


def run_attack(
    site: RunningSite, seconds: float, visits: Callable[[], Sequence[Visit]], proxied: int | None
) -> Attacked:
    """Attack a site and return what came of it; the site is stopped then.

    Args:
        site: with all `ACCOUNTS` and the reader.
        seconds: for how long.
        visits: those of owners, asked for now.
        proxied: the port that believes PROXY headers, if there is one.
    """
    server = site._serving.pid
    core = keep_on_one_core(server)
    beat = pulse.Orders(seconds + 1, site.pop3s.number, READERS_ADDRESS, READER, PASSWORD)
    beating = _Helper(pulse.__name__, beat.text(), core)
    beating.wait_until_ready()
    orders = guessing.Orders(seconds, site.pop3s.number, site.pop3.number, proxied)
    attacking = _Helper(guessing.__name__, orders.text(), core, _LATER)
    visiting = _Helper(owners.__name__, owners.visits_text(visits()), core)
    before_s = processor_seconds(server)
    memory = _watch_memory(server, attacking, seconds)
    processor_s = processor_seconds(server) - before_s
    heard = Counter(json.loads(attacking.result()))
    visited = owners.read_visited(visiting.result())
    pulse_s = json.loads(beating.result())
    assert site.stop() == 0, site.log[-4000:]
    return Attacked(
        seconds, heard, visited, pulse_s, memory, processor_s, refusals_in(site.log), site.log
    )


def _watch_memory(server: int, attacking: _Helper, seconds: float) -> list[int]:
    """Return what the server takes, each second while it is attacked."""
    start = time.monotonic()
    taken: list[int] = []
    while attacking.runs(1) and time.monotonic() - start < seconds:
        taken.append(pss_octets(server))
    return taken


def make_accounts(site: RunningSite) -> None:
    """Add everybody."""
    for name in (*ACCOUNTS, READER):
        site.add_account(name)
