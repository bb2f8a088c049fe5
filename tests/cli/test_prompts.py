"""What is asked on a terminal: a password twice and unseen, and whether one means it."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Run
from tests.harness.programs import DEADLINE_S
from tests.harness.site import MAILKEEP, python_path


def talk(arguments: list[str | Path], answers: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    """Run a command on a terminal of its own and answer each question when it is asked."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*MAILKEEP, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, **python_path()},
    )
    os.close(theirs)
    seen = b""
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        for question, answer in answers:
            while question not in seen:
                seen += terminal.read(1024)
            terminal.write(answer)
        with contextlib.suppress(OSError):  # EIO: the last one on the other side has closed it
            while chunk := terminal.read(1024):
                seen += chunk
        return process.wait(DEADLINE_S), seen


def test_a_password_is_asked_for_twice_and_not_shown(mailkeep: Run, site: Path) -> None:
    """Nobody who looks at the screen reads it."""
    code, seen = talk(
        ["--site", site, "account", "add", "alice"],
        [
            (b"Password for alice@mail.example.com: ", PASSWORD + b"\n"),
            (b"Once more: ", PASSWORD + b"\n"),
        ],
    )
    assert code == 0, seen
    assert b"horse" not in seen
    assert "alice" in mailkeep("--site", site, "account", "list").out


def test_a_slip_changes_nothing(mailkeep: Run, site: Path) -> None:
    """Two passwords that differ make no account."""
    code, seen = talk(
        ["--site", site, "account", "add", "alice"],
        [(b"Password for", PASSWORD + b"\n"), (b"Once more: ", PASSWORD + b"s\n")],
    )
    assert code == 1
    assert b"error: the two are not alike; nothing was changed" in seen
    assert mailkeep("--site", site, "account", "list", "--json").out == "[]\n"


def test_the_end_of_input_instead_of_a_password_changes_nothing(site: Path) -> None:
    """Ctrl-D."""
    code, seen = talk(["--site", site, "account", "add", "alice"], [(b"Password for", b"\x04")])
    assert code == 1
    assert b"error: stopped; nothing was changed" in seen
    assert b"Traceback" not in seen


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\n", 1), (b"y\n", 0)])
def test_removing_is_asked_about(mailkeep: Run, site: Path, answer: bytes, code: int) -> None:
    """Only a yes removes."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    question = b"Remove alice@mail.example.com?"
    assert talk(["--site", site, "account", "remove", "alice"], [(question, answer)])[0] == code
    listed = mailkeep("--site", site, "account", "list").out
    assert ("alice" in listed) == (code != 0)
