"""The lines of a fetch without a terminal."""

import subprocess
from pathlib import Path

import pytest
from tests.cli.fetch.scenes import ALICE, RECONNECTED, SCENES, Clock, Scene, play
from tests.cli.fetch.terminal import PROGRAM, ROOT, compare, environment
from tests.harness.programs import DEADLINE_S

from mailkeep.cli.fetch.plain_lines import PlainReporter
from mailkeep.fetch.events import Ended, MessageStored, Planned, Progress


def lines(scene: Scene, capsys: pytest.CaptureFixture[str], *, quiet: bool = False) -> list[str]:
    clock = Clock()
    play(scene, PlainReporter(quiet=quiet, clock=clock), clock)
    written = capsys.readouterr()
    assert written.out == ""
    return written.err.splitlines(keepends=True)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("quiet", [False, True], ids=["plain", "quiet"])
def test_lines_are_as_they_were(
    scene: str, quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a user and a log see is a snapshot."""
    told = lines(SCENES[scene], capsys, quiet=quiet)
    compare(f"{'quiet' if quiet else 'plain'} {scene}", "".join(told))


def test_progress_is_told_every_ten_seconds_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    """An hour of mail is 360 lines of a log, not 36,000."""
    scene: Scene = [
        (0.0, ALICE, Planned(600, 600, 6_000_000, 0, 0)),
        *((second / 10, ALICE, Progress(second, second * 10_000)) for second in range(1, 601)),
    ]
    told = lines(scene, capsys)[1:]
    assert len(told) == 6
    assert told[0] == f"{ALICE}: 100/600 messages, 1.0/6.0 MB, 100.0 kB/s, 0:50 left\n"


def test_progress_is_told_when_messages_end_without_news_of_octets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A slow disk shows too: what is stored counts."""
    scene: Scene = [
        (0.0, ALICE, Planned(2, 2, 2000, 0, 0)),
        (11.0, ALICE, MessageStored(b"1", 1000, ("x",))),
    ]
    assert lines(scene, capsys)[1:] == [f"{ALICE}: 1/2 messages, 1.0/2.0 kB, 90 B/s, 0:11 left\n"]


def test_a_lost_connection_does_not_count_messages_twice_or_forget_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The second plan is for what is left; what was done stays done."""
    later = (30.0, ALICE, Progress(4, 400_000))
    assert "10/10 messages, 1.0/1.0 MB" in lines([*RECONNECTED, later], capsys)[-1]


def test_the_next_run_of_an_account_begins_at_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--every` one reporter sees many runs."""
    run: Scene = [
        (0.0, ALICE, Planned(5, 5, 5000, 0, 0)),
        (12.0, ALICE, Progress(4, 4000)),
        (13.0, ALICE, Ended(0, 5, 5000, 0, 0, 0, 0, 13.0)),
    ]
    told = lines([*run, *((at + 300, account, event) for at, account, event in run)], capsys)
    assert told[:3] == told[3:]


def test_a_log_that_cannot_be_written_does_not_end_the_fetch() -> None:
    """The mail is more important than its news (a full disk, a closed pipe)."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "plain", "ordinary"],
            stderr=full,
            cwd=ROOT,
            env=environment(),
            timeout=DEADLINE_S,
            check=False,
        )
    assert done.returncode == 0
