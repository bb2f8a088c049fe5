"""The shipped jail: fail2ban takes it as it stands, and finds in it what Mailkeep writes."""

import configparser
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.programs import cannot_run, find_program, open_folder, run

from mailkeep.defence.failures import BAN_FAILURES, BAN_WINDOW_S
from mailkeep.events import types
from mailkeep.events.failed_logins import FailedLoginSink, LinesInFile
from mailkeep.site import parse_settings
from mailkeep.site.folder import SITE_DEFAULT

JAIL = Path(__file__).parents[2] / "packaging" / "fail2ban" / "mailkeep.local"
STOCK = Path("/etc/fail2ban")
REFUSED = types.LoginRefused(
    session="c0ffee01", peer="192.0.2.7:40000", mechanism="PLAIN", reason="wrong", name="alice"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a place for fail2ban's configuration: a copy of the stock one with our jail alone."""
    if not STOCK.is_dir():
        cannot_run("fail2ban is not installed")
    with open_folder() as folder:
        shutil.copytree(STOCK, folder / "etc", ignore=shutil.ignore_patterns("jail.d", "*.local"))
        (folder / "etc" / "jail.d").mkdir()
        yield folder


def jail() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(JAIL.read_text())
    return parser["mailkeep"]


def install(folder: Path) -> Path:
    """Put the jail where fail2ban looks, for a log in the folder; return the log."""
    log = folder / "failed-logins.log"
    text = JAIL.read_text().replace(jail()["logpath"], str(log))
    (folder / "etc" / "jail.d" / JAIL.name).write_text(text)
    return log


def ask(folder: Path, question: str) -> str:
    """Run the client on a socket that nobody else has."""
    done = run(
        [
            *(find_program("fail2ban-client"), "-c", folder / "etc", "--loglevel", "ERROR"),
            *("-s", folder / "s.sock", "-p", folder / "s.pid", question),
        ]
    )
    return done.stdout.decode()


def test_fail2ban_takes_the_jail(folder: Path) -> None:
    """Its own check of a configuration says yes."""
    install(folder).touch()
    assert "OK: configuration test is successful" in ask(folder, "-t")


def test_fail2ban_means_to_do_what_the_jail_says(folder: Path) -> None:
    """Whatever the system's defaults are, it reads the file and counts as written."""
    log = install(folder)
    log.touch()
    told = ask(folder, "-d")
    assert f"['set', 'mailkeep', 'addlogpath', '{log}'" in told
    assert f"['set', 'mailkeep', 'maxretry', {jail()['maxretry']}]" in told
    assert "LOGIN FAILED" in told


def test_the_jails_filter_finds_what_mailkeep_writes(folder: Path) -> None:
    """The real `fail2ban-regex` reads a file that the server's own code has written."""
    log = install(folder)
    FailedLoginSink(LinesInFile(log, host="mx")).emit(REFUSED)
    found = folder / "etc" / "filter.d" / f"{jail()['filter']}.conf"
    done = run([find_program("fail2ban-regex"), "--out", "ip", log, found])
    assert done.stdout.decode().split() == ["192.0.2.7"]


def test_the_settings_beside_the_jail_write_the_file_that_it_reads() -> None:
    """The comment can be copied, and its file in the default site is the jail's."""
    lines = [line.removeprefix("#").strip() for line in JAIL.read_text().splitlines()]
    at = lines.index("[log]")
    text = "\n".join(['hostname = "mail.example.com"', *lines[at : at + 2]])
    failed_logins = parse_settings(text, source="comment").log.failed_logins
    assert failed_logins
    assert str(Path(SITE_DEFAULT) / failed_logins) == jail()["logpath"]


def test_the_jail_is_slower_than_the_door() -> None:
    """Where the door bans a device can still prove itself; a packet filter knows no device."""
    assert jail()["findtime"] == f"{BAN_WINDOW_S // 60:.0f}m"
    assert int(jail()["maxretry"]) > 2 * BAN_FAILURES
