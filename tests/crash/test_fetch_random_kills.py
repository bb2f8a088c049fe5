"""Two hundred times `kill -9` at random moments of `mailkeep fetch`, while mail keeps arriving.

Half of the kills come before a step that was drawn, half from outside after a time that was drawn,
in the middle of whatever is done then. In the environment `CRASH_KILLS` makes it longer, and
`CRASH_SEED` makes the same choices again; where the kills from outside hit stays a matter of the
machine.
"""

import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random

import pytest
from tests.crash.fetching import (
    AGAIN,
    DovecotMailbox,
    Mailbox,
    MailkeepMailbox,
    Result,
    Runner,
    arguments_of,
    check_each_once,
    check_journal,
    check_nothing_lost,
    dovecot_with_folder,
    held_by,
    quick_folder,
    running,
    wire,
)
from tests.harness.site import running_site

from mailkeep.fetch.destinations.temporary import MEMORY_OCTETS
from mailkeep.fetch.rows import State

KILLS = int(os.environ.get("CRASH_KILLS", "100"))
"""On each server."""
RUNS = 5 * KILLS
"""After so many too many end before they are killed: the test has become blunt."""

SEED = int(os.environ.get("CRASH_SEED", time.time_ns() % 10**9))
STEPS = 45
"""About what a run with some mail takes."""
FIRST_SPREAD_S = 0.05
ONE_IN = 12
"""So often a message is large enough to go into a file while it comes."""


class Victim:
    """A mailbox, where its mail goes, and all that ever arrived in it.

    Args:
        policies: what the runs do, one after the other.
    """

    def __init__(self, mailbox: Mailbox, folder: Path, policies: tuple[str, ...]) -> None:
        self.mailbox = mailbox
        self.arrived: list[bytes] = []
        self.to = [f"maildir:{folder / 'Mail'}"]
        self._new, self._cur = folder / "Mail" / "new", folder / "Mail" / "cur"
        self.state = folder / "state"
        self._policies = policies
        self._runs = count()

    def receive(self, messages: int, random: Random) -> None:
        """Let mail arrive."""
        for _ in range(messages):
            octets = random.randrange(2000)
            if random.randrange(ONE_IN) == 0:
                octets += MEMORY_OCTETS
            start = f"Subject: message {len(self.arrived)}\n\n".encode()
            message = start + random.randbytes(octets).hex().encode()[:octets] + b"\n"
            self.arrived.append(message)
            self.mailbox.put(message)

    def be_read(self, random: Random) -> None:
        """Do what a mail program does: move new mail to `cur` and set its flags."""
        for path in self._new.glob("*"):
            if random.randrange(2):
                path.rename(self._cur / f"{path.name}:2,{random.choice(('', 'S', 'RS'))}")

    def arguments(self) -> list[str]:
        """Return what the next run is told."""
        return self.arguments_for(self._policies[next(self._runs) % len(self._policies)])

    def arguments_for(self, policy: str) -> list[str]:
        return arguments_of(self.mailbox, self.to, self.state, policy)


class Killer:
    """Kills runs at random moments.

    Attributes:
        kills: how many it has killed.
    """

    def __init__(self, runner: Runner, random: Random) -> None:
        self.kills = 0
        self._runner = runner
        self._random = random
        self._spread_s = FIRST_SPREAD_S

    def run(self, victim: Victim) -> None:
        """Let one run be killed, if it does not end before; mail arrives before it and in it."""
        random = self._random
        victim.receive(random.randrange(4), random)
        if random.randrange(2):
            step = ("any", random.randint(1, STEPS))
            self._runner.begin(victim.arguments(), step=step)
        else:
            after_s = random.uniform(0, self._spread_s)
            self._runner.begin(victim.arguments(), after_s=after_s)
        victim.receive(random.randrange(3), random)
        self._note(self._runner.end())
        check_nothing_lost(victim.mailbox, victim.to, victim.arrived)
        victim.be_read(random)

    def _note(self, result: Result) -> None:
        assert result.code in {None, 0, *AGAIN}, result.said
        if result.code is None:
            self.kills += 1
        elif result.code == 0:
            self._spread_s = result.listed_s


def test_random_kills_lose_and_double_nothing_on_dovecot() -> None:
    """Each message is in the Maildir exactly once, and the server holds what the policy says."""
    with dovecot_with_folder() as (dovecot, folder):
        kill_at_random(lambda user: DovecotMailbox(dovecot, folder, user))


def test_random_kills_lose_and_double_nothing_on_mailkeep() -> None:
    """The same against `mailkeep serve`."""
    with quick_folder() as folder, running_site(folder / "site") as site:
        kill_at_random(lambda user: MailkeepMailbox(site, user))


def kill_at_random(make: Callable[[str], Mailbox]) -> None:
    print(f"CRASH_SEED={SEED}")  # noqa: T201  # pytest shows it when the test fails
    random = Random(SEED)  # noqa: S311  # nothing secret is drawn
    with quick_folder() as folder, running() as runner:
        keeping = Victim(make("keeping"), folder / "keeping", ("--keep",))
        deleting = Victim(make("deleting"), folder / "deleting", ("--delete", "--keep"))
        killer = Killer(runner, random)
        for run in range(RUNS):
            killer.run((deleting, keeping)[run % 2])
            if killer.kills == KILLS:
                break
        else:
            pytest.fail(f"only {killer.kills} of {RUNS} runs were killed")
        for victim in (keeping, deleting):
            victim.receive(3, random)
        check_the_end(runner, keeping, "--keep", State.STORED)
        check_the_end(runner, deleting, "--delete", State.GONE)
        assert sorted(held_by(keeping.mailbox)) == sorted(map(wire, keeping.arrived))
        assert held_by(deleting.mailbox) == []


def check_the_end(runner: Runner, victim: Victim, policy: str, state: State) -> None:
    """Run until all is done, and look at what is there."""
    runner.run_to_the_end(victim.arguments_for(policy))
    check_each_once(victim.to, victim.arrived)
    check_journal(victim.state, victim.to, {state: len(victim.arrived)})
