"""The figures of `bench.fetch`: what is counted, when a program is stopped, what is compared."""

import subprocess
import sys
from pathlib import Path

import pytest
from bench.fetch import launcher
from bench.fetch.mailboxes import messages
from bench.fetch.measuring import Cell
from bench.fetch.rows import LARGE_OCTETS, MAIL_OCTETS, Row
from bench.fetch.table import ratio


def launch(limit_s: float, output: Path, script: str) -> list[str]:
    words = (sys.executable, "-I", "-S", launcher.__file__, str(limit_s), "-", "-", "/dev/null")
    done = subprocess.run(
        (*words, output, "/bin/sh", "-c", script), stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout.split()


def test_a_program_that_takes_too_long_is_stopped_with_its_children(tmp_path: Path) -> None:
    """At the limit the whole process group ends, also a child that nobody waits for."""
    output = tmp_path / "output"
    seconds, _, _, _, stopped = launch(0.2, output, "sleep 60 & echo $!; exec sleep 60")
    assert stopped == "1"
    assert 0.2 <= float(seconds) < 30
    status = Path(f"/proc/{output.read_text().strip()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_work_of_children_counts(tmp_path: Path) -> None:
    """A program that lets a child do its work has used the processor itself."""
    burn = "while :; do :; done"
    limited = f"timeout 0.3 sh -c '{burn}'; exit 3"
    _, processor_s, _, code, stopped = launch(30, tmp_path / "output", limited)
    assert float(processor_s) > 0.05
    assert (code, stopped) == ("3", "0")


def test_memory_of_whoever_starts_it_does_not_count(tmp_path: Path) -> None:
    """A small program is told as small, though this process is large."""
    _, _, peak_kib, _, _ = launch(30, tmp_path / "output", "exit 0")
    assert int(peak_kib) < 9 * 1024


OURS = Cell(seconds=2.0, processor_s=1.0, peak_kib=1, stored=1000, expected=1000)


def test_a_whole_fetch_is_compared_by_time() -> None:
    """The ratio is the program's seconds over Mailkeep's."""
    assert ratio(Cell(6.0, 1.0, 1, 1000, 1000), OURS) == 3.0


def test_a_stopped_fetch_is_compared_by_its_rate_so_far() -> None:
    """Stopped after 100 of 1,000 messages in 20 s, it would have needed a hundred times as long."""
    assert ratio(Cell(20.0, 1.0, 1, 100, 1000, stopped=True), OURS) == pytest.approx(100.0)


def test_nothing_is_compared_with_a_mailkeep_that_failed() -> None:
    """Whoever did not do the work is not called faster."""
    failed = Cell(0.1, 0.1, 1, 0, 1000, problem="exit 7")
    assert ratio(Cell(6.0, 1.0, 1, 1000, 1000), failed) is None


@pytest.mark.parametrize("octets", [MAIL_OCTETS, LARGE_OCTETS])
def test_mail_is_distinct_and_of_the_size_that_the_row_says(octets: int) -> None:
    """No message is another's double, and each is at most a line smaller than told."""
    made = list(messages(Row("x", 3, octets, 0)))
    assert len(set(made)) == 3
    assert all(octets - 200 < len(message) <= octets for message in made)


def test_mail_is_the_same_in_every_run() -> None:
    """Figures of two runs are about the same octets."""
    row = Row("x", 20, MAIL_OCTETS, 0)
    assert list(messages(row)) == list(messages(row))
    assert any(b"\n." in message for message in messages(row))


def test_who_failed_is_not_compared() -> None:
    """A program that ended early or fetched what it had already has no time to compare."""
    again = Cell(seconds=0.5, processor_s=0.1, peak_kib=1, stored=0, expected=0)
    assert ratio(Cell(5.0, 1.0, 1, 1000, 0, problem="stored 1000 of 0"), again) is None
    assert ratio(Cell(0.1, 0.1, 1, 0, 1000, problem="exit 7"), OURS) is None
