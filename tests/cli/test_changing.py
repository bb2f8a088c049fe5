"""Who made a change, and telling the server of it."""

import os
import pwd
import socket
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Run

from mailkeep.cli.changing import this_user

ME = pwd.getpwuid(os.getuid()).pw_name
NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (None, ME),
        (str(os.getuid()), ME),
        (str(NOBODY), f"nobody as {ME}"),
        ("54321", f"#54321 as {ME}"),
        ("9" * 30, f"#{'9' * 30} as {ME}"),
        ("", ME),
        ("x\nalice", ME),
        ("-1", ME),
        ("٣", ME),
    ],
)
def test_who_called_sudo_is_told_by_number(
    monkeypatch: pytest.MonkeyPatch, said: str | None, told: str
) -> None:
    """A name out of the environment could be any text; a number is looked up."""
    monkeypatch.setenv("SUDO_USER", "forged\nline")
    monkeypatch.delenv("SUDO_UID", raising=False)
    if said is not None:
        monkeypatch.setenv("SUDO_UID", said)
    assert this_user() == told


def test_without_a_server_nothing_is_said_about_one(mailkeep: Run, site: Path) -> None:
    """The change is in the database, and the next start reads it."""
    assert mailkeep("--site", site, "ban", "add", "192.0.2.7").err == "banned 192.0.2.7/32\n"


def test_a_server_that_does_not_answer_is_said_and_the_change_is_made(
    mailkeep: Run, site: Path
) -> None:
    """A socket that a killed server left looks the same: what then holds is said."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(site / "run" / "control.sock"))
    done = mailkeep("--site", site, "ban", "add", "192.0.2.7")
    assert done.code == 0
    assert "it did not answer: it takes this up at its next start" in done.err
    assert "192.0.2.7/32" in mailkeep("--site", site, "ban", "list").out
    add = ("account", "add", "alice", "--password-stdin")
    done = mailkeep("--site", site, *add, stdin=PASSWORD)
    assert done.code == 0
    assert "new logins go by the change already" in done.err


def test_a_damaged_memory_of_the_door_does_not_keep_a_password_from_being_changed(
    mailkeep: Run, site: Path
) -> None:
    """The failure is told after the change, which is in force."""
    at = ("--site", site, "account")
    mailkeep(*at, "add", "alice", "--password-stdin", stdin=PASSWORD)
    before = mailkeep(*at, "list", "--json").out
    (site / "door.db").write_bytes(b"no database" * 1000)
    done = mailkeep(*at, "password", "alice", "--password-stdin", stdin=PASSWORD + b"s")
    assert done.code == 1
    assert "door.db" in done.err
    assert mailkeep(*at, "list", "--json").out != before
