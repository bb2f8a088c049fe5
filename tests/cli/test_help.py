"""What users see when they ask for help or ask wrongly, as snapshots.

To write the snapshots anew after a wanted change: UPDATE_SNAPSHOTS=1, then read the difference.
"""

import os
from pathlib import Path

import pytest
from tests.cli.conftest import Run

SNAPSHOTS = Path(__file__).with_name("snapshots")

COMMANDS = [
    "",
    "demo",
    "init",
    "serve",
    "deliver",
    "doctor",
    "account",
    "account add",
    "account list",
    "account show",
    "account password",
    "account disable",
    "account enable",
    "account remove",
    "account confirm",
    "account policy",
    "account expire",
    "account import",
    "device",
    "device add",
    "device list",
    "device revoke",
    "device rename",
    "ban",
    "ban list",
    "ban add",
    "ban remove",
    "events",
    "events report",
    "events verify",
    "events export",
    "maildrop",
    "maildrop list",
    "fetch",
    "fetch run",
    "fetch list",
    "fetch status",
    "fetch probe",
    "fetch login",
    "fetch import",
    "fetch state rebuild",
]


def compare(name: str, text: str) -> None:
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(mailkeep: Run, command: str) -> None:
    """`--help` goes to standard output and ends with 0."""
    done = mailkeep(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    compare("help " + (command or "mailkeep"), done.out)


def test_no_command_at_all_is_answered_with_help(mailkeep: Run) -> None:
    """Somebody who tries the program finds out what it does."""
    assert mailkeep() == mailkeep("--help")


def test_version(mailkeep: Run) -> None:
    """`--version` is one line of data."""
    done = mailkeep("--version")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("mailkeep ")


def test_wrong_usage_is_an_error_line_a_hint_and_2(mailkeep: Run) -> None:
    """The next step is the help of the command that was used wrongly."""
    wrong = [
        ("bogus",),
        ("account",),
        ("account", "add"),
        ("account", "add", "alice", "secret"),
        ("account", "lst"),
        ("account", "policy", "alice"),
        ("device", "add", "alice"),
        ("device", "add", "alice", "printer", "secret"),
        ("device", "rename", "alice", "printer"),
        ("ban",),
        ("ban", "add"),
        ("ban", "add", "192.0.2.7", "--until", "2027-06-01"),
        ("events", "reprot"),
        ("events", "export"),
        ("init",),
        ("init", "--hostname"),
        ("--site",),
        ("--bogus", "init"),
        ("maildrop", "list", "--josn", "alice"),
        ("fetch", "state"),
        ("fetch", "state", "rebiuld"),
        ("fetch", "probe"),
        ("fetch", "--parallel", "0"),
        ("fetch", "list", "--josn"),
    ]
    told = []
    for arguments in wrong:
        done = mailkeep(*arguments)
        assert (done.code, done.out) == (2, "")
        told.append(f"$ mailkeep {' '.join(arguments)}\n{done.err}")
    compare("wrong usage", "\n".join(told))
