"""The units for a user's own systemd, checked by systemd's own tool in its user's mode."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.harness.programs import find_program

from mailkeep.fetch.failures import FetchExit

UNITS = Path(__file__).parents[2] / "packaging" / "systemd" / "user"
SERVICE, TIMER = "mailkeep-fetch.service", "mailkeep-fetch.timer"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a program in them that is on this machine: `verify` looks for it."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/mailkeep/bin/mailkeep", shutil.which("true") or "")
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def verify(units: Path) -> tuple[int, list[str]]:
    """Return what the tool ends with, and what it says of our units."""
    paths = sorted(map(str, units.iterdir()))
    runtime = units / "runtime"
    runtime.mkdir()
    done = subprocess.run(
        [find_program("systemd-analyze"), "verify", "--user", *paths],
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, [line for line in done.stderr.splitlines() if "mailkeep" in line]


def test_units_are_what_a_users_systemd_understands(units: Path) -> None:
    """`systemd-analyze verify --user` has nothing to say: no unknown key, no missing unit."""
    assert verify(units) == (0, [])


def test_the_check_of_the_units_can_fail(units: Path) -> None:
    """The same tool names a key that it does not know, so the test above means something."""
    service = units / SERVICE
    service.write_text(service.read_text().replace("LockPersonality", "LockPersonalty"))
    _, told = verify(units)
    assert any("LockPersonalty" in line for line in told)


def test_service_asks_only_for_what_a_users_manager_can_do() -> None:
    """Without rights there are no mounts, users or devices to change (systemd.exec(5))."""
    needs_rights = (
        "User", "Group", "Private", "Protect", "Capability", "Ambient", "Device", "ReadOnly",
        "ReadWrite", "Inaccessible", "Bind", "DynamicUser", "KeyringMode", "RemoveIPC",
    )  # fmt: skip
    keys = [line.partition("=")[0] for line in lines(SERVICE) if "=" in line and line[0] != "#"]
    assert [key for key in keys if key.startswith(needs_rights)] == []


def test_service_cannot_gain_rights_and_leaves_no_core() -> None:
    """A downloader needs none, and a core file would hold passwords and mail."""
    assert {"NoNewPrivileges=yes", "MemoryDenyWriteExecute=yes", "LimitCORE=0"} <= set(
        lines(SERVICE)
    )
    assert "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX" in lines(SERVICE)
    assert "SystemCallFilter=@system-service" in lines(SERVICE)


def test_service_fails_but_where_time_alone_will_help() -> None:
    """Busy, locked and limit are no failures: the timer comes again. All else is one."""
    said = next(line for line in lines(SERVICE) if line.startswith("SuccessExitStatus="))
    codes = [int(code) for code in said.partition("=")[2].split()]
    assert codes == [FetchExit.BUSY, FetchExit.LOCKED, FetchExit.LIMIT]


def test_timer_spreads_its_starts_and_makes_up_for_a_night() -> None:
    """Every five minutes, not all users in one second, and once after the machine was off."""
    assert {"OnCalendar=*:0/5", "RandomizedDelaySec=60", "Persistent=yes"} <= set(lines(TIMER))


def test_a_credential_is_shown_as_a_comment() -> None:
    """Who wants one takes the # away; a line in force would fail where the file is missing."""
    assert [line for line in lines(SERVICE) if "LoadCredential=" in line] == [
        "#LoadCredential=private:%h/.config/mailkeep/private.password"
    ]


def lines(unit: str) -> list[str]:
    return (UNITS / unit).read_text().splitlines()
