"""The shipped units, checked by systemd's own tools: no systemd runs here as first process."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.harness.programs import find_program

from mailkeep.maildrop.maildir.store import FILE_THREADS, OPENING_THREADS

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
EXPOSURE_LIMIT = 20
"""Tenths: 2.0 of 10, where systemd's own verdict is OK."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a program in them that is on this machine: `verify` looks for it."""
    for unit in UNITS.glob("*.*"):
        text = unit.read_text().replace("/opt/mailkeep/bin/mailkeep", shutil.which("true") or "")
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_units_are_what_systemd_understands(units: Path) -> None:
    """`systemd-analyze verify` has nothing to say: no unknown key, no missing unit."""
    paths = sorted(map(str, units.iterdir()))
    done = subprocess.run(
        [find_program("systemd-analyze"), "verify", *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "mailkeep" in line]
    assert (done.returncode, told) == (0, [])


def test_service_is_locked_down() -> None:
    """`systemd-analyze security` gives the service 2.0 or less."""
    service = str(UNITS / "mailkeep.service")
    done = subprocess.run(
        [
            find_program("systemd-analyze"),
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE_LIMIT}",
            service,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:]


def test_service_may_have_the_threads_of_a_big_machine_and_leaves_no_core() -> None:
    """A thread that cannot be started fails a login; a core file holds what passed through."""
    lines = (UNITS / "mailkeep.service").read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    cores_of_a_big_machine = 512
    assert int(said["TasksMax"]) > cores_of_a_big_machine + OPENING_THREADS + FILE_THREADS + 8
    assert said["LimitCORE"] == "0"


def test_the_check_of_the_exposure_can_fail(tmp_path: Path) -> None:
    """The same tool refuses a service without locks, so the test above means something."""
    bare = tmp_path / "mailkeep.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    done = subprocess.run(
        [
            find_program("systemd-analyze"),
            "security",
            "--offline=true",
            "--threshold=20",
            "--json=short",
            str(bare),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert json.loads(done.stdout)


def test_sockets_are_those_of_the_default_settings() -> None:
    """A socket unit opens the addresses that a fresh `mailkeep.toml` lists, under its service."""
    listens = [line for line in _lines("mailkeep-pop3s.socket") if line.startswith("ListenStream=")]
    assert listens == ["ListenStream=0.0.0.0:995", "ListenStream=[::]:995"]
    assert "FileDescriptorName=pop3s" in _lines("mailkeep-pop3s.socket")
    assert "FileDescriptorName=pop3" in _lines("mailkeep-pop3.socket")


def _lines(unit: str) -> list[str]:
    return (UNITS / unit).read_text().splitlines()
