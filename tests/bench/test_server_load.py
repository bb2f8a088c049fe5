"""What the load program says, and what the kernel says of a process tree."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.server.load import LoadFailed, Report
from bench.server.maildirs import fill, texts, unique_names
from bench.server.processes import cpu_s, pss_kib, settled_cpu_s, tree_of

SAID = {
    "script": "stat",
    "units": 100,
    "sessions": 100,
    "octets": 12_345,
    "wall_s": 2.0,
    "cpu_s": 1.5,
    "idle_share": 0.25,
    "errors": 0,
    "first_error": None,
    "latency_ms": {"median": 1.0, "p99": 3.0, "max": 4.0},
}


def test_the_last_line_is_the_report() -> None:
    """Before it there may be others."""
    report = Report.read("ready 8\n" + json.dumps(SAID) + "\n")
    assert (report.units, report.wall_s, report.idle_share) == (100.0, 2.0, 0.25)
    assert report.latencies_ms["p99"] == 3.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ready 8\n",
        "no JSON",
        "[]",
        json.dumps({key: value for key, value in SAID.items() if key != "errors"}),
        json.dumps({**SAID, "errors": 1, "first_error": "user 6: -ERR"}),
        json.dumps({**SAID, "units": 0}),
    ],
)
def test_anything_but_a_clean_report_is_a_failure(text: str) -> None:
    """One error among thousands of sessions is enough: what was measured is not what was asked."""
    with pytest.raises(LoadFailed):
        Report.read(text)


BURN = "import time\nwhile time.process_time() < 0.2: pass\n"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', {BURN!r}])"
WAIT = "; print('done', flush=True); sys.stdin.read()"


def test_cpu_time_of_children_that_ended_counts() -> None:
    """A server that starts a process a session pays for what those did."""
    with subprocess.Popen(
        (sys.executable, "-I", "-c", CHILD + WAIT), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert settled_cpu_s(process.pid) >= 0.2
        process.communicate()


def test_a_tree_has_all_descendants_and_nobody_else() -> None:
    """Grandchildren are of the tree; this test is not."""
    script = "sleep 60 & echo $!; wait"
    with subprocess.Popen(
        ("/bin/sh", "-c", script), stdout=subprocess.PIPE, process_group=0, text=True
    ) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        try:
            assert tree_of(process.pid) == [process.pid, grandchild]
            assert cpu_s(process.pid) < 5
            assert 0 < pss_kib(process.pid) < 100 * 1024
        finally:
            os.killpg(process.pid, 15)


def test_a_process_that_is_gone_has_used_nothing_more() -> None:
    """Whoever ended between two looks is no error."""
    with subprocess.Popen(("/bin/true",)) as process:
        process.wait()
    assert cpu_s(process.pid) == 0.0


@pytest.mark.parametrize("octets", [5_000, 1_000_000])
def test_mail_has_about_the_octets_that_are_asked_for(octets: int) -> None:
    """The row says the size; a message ends with a line."""
    for text in texts(2, octets):
        assert octets * 0.95 <= len(text) <= octets
        assert text.endswith(b"\n")


def test_short_mail_is_of_all_sizes_around_the_one_that_is_asked_for() -> None:
    """Sizes stand in names, and a server may depend on names being different."""
    sizes = [len(text) for text in texts(1_000, 2_000)]
    assert 1_000 <= min(sizes) < 1_100
    assert 2_900 < max(sizes) <= 3_000
    assert len(set(sizes)) > 500
    assert all(text.endswith(b"\n") for text in texts(1_000, 2_000))


def test_names_of_messages_are_all_different_and_rise() -> None:
    """A name twice would be one message, and one filling has none of another's names."""
    names = [*unique_names(10_000), *unique_names(10_000, series=1)]
    assert len(set(names)) == 20_000
    times = [int(name.partition(".")[0]) for name in names[:10_000]]
    assert times == sorted(times)


def test_names_of_messages_tell_their_sizes(tmp_path: Path) -> None:
    """As Dovecot's own delivery writes them: `S` on disk, `W` on the wire; read, so not renamed."""
    contents = texts(3, 200)
    fill(tmp_path / "box", contents, count=7)
    found = sorted((tmp_path / "box" / "cur").iterdir())
    assert len(found) == 7
    for path in found:
        stored = path.read_bytes()
        wire_octets = len(stored) + stored.count(b"\n")
        assert path.name.endswith(f",S={len(stored)},W={wire_octets}:2,S")
