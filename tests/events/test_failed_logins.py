"""Lines for fail2ban, read by the real fail2ban-regex with the filter that it comes with."""

import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.events.samples import EVERY_EVENT, read

from mailkeep.events import types
from mailkeep.events.failed_logins import (
    FailedLoginSink,
    LinesInFile,
    failed_login_message,
    open_failed_logins,
    syslog_time,
)

FILTER = Path("/etc/fail2ban/filter.d/courier-auth.conf")
REFUSED = types.LoginRefused(
    session="c0ffee01", peer="192.0.2.7:40000", mechanism="PLAIN", reason="wrong", name="alice"
)
HOSTILE_NAMES = [
    "x, ip=[1.2.3.4]",
    "x, ip=[1.2.3.4], user=y",
    "x\nNov 22 01:49:16 mx pop3d: LOGIN FAILED, method=PLAIN, ip=[1.2.3.4], user=y",
    "x\r\nNov 22 01:49:16 mx pop3d: LOGIN FAILED, ip=[1.2.3.4]",
    "ip=[1.2.3.4], ",
    "[1.2.3.4]",
    "x\x00\x1b[2J, ip=[::1]",
    "\u2028LOGIN FAILED, ip=[1.2.3.4]",
    "user=a, ip=[1.2.3.4]",
    "1.2.3.4",
    "LOGIN FAILED, ip=1.2.3.4",
    "\udcff, ip=[1.2.3.4]",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "failed.log"


def write(path: Path, events: Sequence[types.LoginRefused]) -> None:
    sink = FailedLoginSink(LinesInFile(path, host="mx"))
    for event in events:
        sink.emit(event)


def banned(path: Path) -> list[str]:
    """Return the addresses that the stock filter finds, a line each."""
    if not FILTER.exists() or shutil.which("fail2ban-regex") is None:
        reason = "fail2ban is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    command = ["fail2ban-regex", "--out", "ip", str(path), str(FILTER)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def test_only_a_refused_login_is_asked_for() -> None:
    """No other event becomes a line."""
    wants = FailedLoginSink(LinesInFile(Path("unused"), host="mx")).wants
    assert [type(event) for event in EVERY_EVENT if wants(type(event))] == [types.LoginRefused]


def test_the_stock_filter_finds_the_address(file: Path) -> None:
    """IPv4 and IPv6, every mechanism, whatever stands before."""
    peers = ["192.0.2.7:40000", "[2001:db8::7]:40000", "[::ffff:198.51.100.9]:1"]
    mechanisms = ["PLAIN", "USER", "SCRAM-SHA-256-PLUS", "OAUTHBEARER"]
    write(file, [replace(REFUSED, peer=p, mechanism=m) for p in peers for m in mechanisms])
    expected = [a for a in ("192.0.2.7", "2001:db8::7", "198.51.100.9") for _ in mechanisms]
    assert banned(file) == expected


def test_no_name_has_another_address_banned(file: Path) -> None:
    """Anybody may send any name; only where he comes from counts."""
    write(file, [replace(REFUSED, name=name) for name in HOSTILE_NAMES])
    assert len(file.read_bytes().splitlines()) == len(HOSTILE_NAMES)
    assert banned(file) == ["192.0.2.7"] * len(HOSTILE_NAMES)


@given(name=st.text(max_size=500), mechanism=st.text(max_size=60))
def test_a_name_has_nothing_left_that_is_part_of_the_form(name: str, mechanism: str) -> None:
    """No comma, bracket, equals sign, space or control character: one line, one address."""
    message = failed_login_message(replace(REFUSED, name=name, mechanism=mechanism))
    assert message
    form = r"LOGIN FAILED, method=[A-Z0-9-]{1,40}, ip=\[192\.0\.2\.7\], user=[^\s,\[\]<>=\"']*"
    assert re.fullmatch(form, message, re.ASCII)
    assert message.isascii()
    assert message.isprintable()


def test_only_refused_logins_are_written(file: Path) -> None:
    """A login that was deferred is nobody's fault."""
    sink = FailedLoginSink(LinesInFile(file))
    sink.emit(read("1"))
    deferred = types.LoginDeferred(
        session="s", peer="192.0.2.7:1", mechanism="PLAIN", reason="busy", name="alice"
    )
    sink.emit(deferred)
    sink.emit(replace(REFUSED, peer="a socket without an address"))
    assert not file.exists()


def test_a_line_is_as_syslog_writes_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 3164 section 4.1.2: the day has a space where it has one digit, in English."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert syslog_time(1_793_584_156) == "Nov  2 01:49:16"
    FailedLoginSink(LinesInFile(file, lambda: 1_795_312_156, "mx")).emit(REFUSED)
    assert file.read_text() == (
        "Nov 22 01:49:16 mx pop3d: LOGIN FAILED, method=PLAIN, ip=[192.0.2.7], user=alice\n"
    )


def test_a_renamed_file_is_left_to_logrotate(file: Path) -> None:
    """The next line is in a new file of the old name."""
    sink = FailedLoginSink(LinesInFile(file))
    sink.emit(REFUSED)
    file.rename(file.with_suffix(".1"))
    sink.emit(REFUSED)
    sink.emit(REFUSED)
    assert len(file.read_text().splitlines()) == 2
    assert len(file.with_suffix(".1").read_text().splitlines()) == 1


def test_the_file_is_for_the_owner_and_his_group(tmp_path: Path) -> None:
    """Whatever the umask says: fail2ban may run in a group."""
    before = os.umask(0o077)
    try:
        open_failed_logins("failed.log", tmp_path).emit(REFUSED)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "failed.log").stat().st_mode) == 0o640


def test_a_link_that_somebody_laid_is_not_followed(file: Path) -> None:
    """A file of ours must not be written because of a name in a shared folder."""
    ours = file.with_name("ours")
    ours.write_text("precious")
    file.symlink_to(ours)
    with pytest.raises(OSError, match="symbolic links"):
        FailedLoginSink(LinesInFile(file)).emit(REFUSED)
    assert ours.read_text() == "precious"
