"""Killed with `kill -9` anywhere, the trail is whole and lacks nothing that was confirmed."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.events.conftest import TrailPlace, recorded

from mailkeep.events.verifying import Verified, verify_trail

KILLED = Path(__file__).parent / "killed_trail.py"


def confirmed_before_its_end(place: TrailPlace, step: int, lines: int | None = None) -> int:
    """Run the process until it is killed; return the last number that it said was durable.

    Args:
        place: of the trail.
        step: before which it kills itself; 0 for never.
        lines: after so many of its lines it is killed from outside.
    """
    command = [sys.executable, str(KILLED), str(place.folder), str(place.database), str(step)]
    said = [0]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            said.append(int(line))
            if len(said) == lines:
                process.kill()
                break
        rest = process.stdout.read().splitlines()
        said += [int(line) for line in rest if line.isdigit()][:-1]
    assert process.returncode == -signal.SIGKILL
    return said[-1]


def verified(place: TrailPlace) -> Verified:
    witness = place.folder / "checkpoints"
    found = verify_trail(place.folder, witness=witness if witness.exists() else None)
    assert isinstance(found, Verified), found
    return found


def check(place: TrailPlace, confirmed: int) -> int:
    """Reopen the trail; return the number of its last event."""
    before = verified(place)
    assert before.events >= confirmed
    trail = place.open()
    trail.close()
    after = verified(place)
    assert after.events in {before.events, before.events + 1}  # a torn line is told
    found = recorded(place)
    assert [record.seq for record in found] == [*range(1, after.events + 1)]
    return after.events


@pytest.mark.parametrize("step", [*range(1, 13), 25, 40])
def test_killed_between_two_steps(place: TrailPlace, step: int) -> None:
    """Each call that changes the disk, from the first group on, and some later ones."""
    confirmed = confirmed_before_its_end(place, step)
    last = check(place, confirmed)
    assert step > 1 or last == 0


def test_killed_again_and_again(place: TrailPlace) -> None:
    """At random places of one long trail; uidls show that nothing is there twice."""
    chosen = random.Random(4)  # noqa: S311  # places to kill at
    last = 0
    for _ in range(4):
        confirmed = confirmed_before_its_end(place, 0, lines=chosen.randint(2, 120))
        assert confirmed >= last
        before, last = last, check(place, confirmed)
        run = [r.text("uidl") for r in recorded(place)[before:] if r.type == "message read"]
        assert run == [str(n) for n in range(len(run))]
    assert last > 0
