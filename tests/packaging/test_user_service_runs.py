"""The command line of the user's service, run as systemd would: no terminal, XDG paths.

systemd itself is not asked: there is none in a container. What it does before it starts the program
is done here as its manual says.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.harness.programs import DEADLINE_S
from tests.harness.site import MAILKEEP, PASSWORD, RunningSite, python_path

from mailkeep.fetch.failures import FetchExit

SERVICE = (
    Path(__file__).parents[2] / "packaging" / "systemd" / "user" / "mailkeep-fetch.service"
).read_text()


@pytest.fixture
def home(tmp_path: Path, served: RunningSite, request: pytest.FixtureRequest) -> Path:
    """A home folder with settings for one account, whose password is a credential."""
    account = served.add_account(f"service-{abs(hash(request.node.name)) % 10**8}")
    served.deliver(account, b"Subject: one\n\nbody\n")
    settings = settings_of(tmp_path)
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f'[accounts.private]\nurl = "pop3s://{account}@localhost:{served.pop3s.number}"\n'
        f'ca = "{served.ca}"\nto = "maildir:~/Mail"\ncredential = "private"\n'
    )
    return tmp_path


def settings_of(home: Path) -> Path:
    """Return the file without which the service is not started; `%E` is `~/.config` for a user."""
    (found,) = re.findall(r"^ConditionPathExists=(.*)$", SERVICE, re.MULTILINE)
    return Path(found.replace("%E", str(home / ".config")))


def start(home: Path, credential: str | None) -> "subprocess.CompletedProcess[str]":
    """Run what `ExecStart=` says, with a credential as `LoadCredential=` would give it."""
    (line,) = re.findall(r"^ExecStart=(.*)$", SERVICE, re.MULTILINE)
    program, *arguments = shlex.split(line)
    assert Path(program).name == "mailkeep"
    environment = {"HOME": str(home), **python_path()}
    if credential is not None:
        folder = home / "credentials"
        folder.mkdir()
        (folder / "private").write_text(credential)
        (folder / "private").chmod(0o400)
        environment["CREDENTIALS_DIRECTORY"] = str(folder)
    return subprocess.run(
        (*MAILKEEP, *arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def test_the_service_fetches_what_the_settings_say(home: Path) -> None:
    """The file that the unit waits for is the one that is read; lines of a log, and no bar."""
    done = start(home, PASSWORD)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert re.search(r": 1 fetched \(\d+ B\) in ", done.stderr)
    assert "\x1b" not in done.stderr
    assert len([*(home / "Mail" / "new").iterdir()]) == 1


def test_the_service_fails_where_a_person_is_needed(home: Path) -> None:
    """A wrong password is a failed unit, not a success that nobody looks at."""
    done = start(home, "wrong")
    assert done.returncode == FetchExit.LOGIN
    (said,) = re.findall(r"^SuccessExitStatus=(.*)$", SERVICE, re.MULTILINE)
    assert str(done.returncode) not in said.split()


def test_the_service_says_that_a_credential_is_missing(home: Path) -> None:
    """Without `LoadCredential=`: wrong settings, and the name is in the log."""
    done = start(home, None)
    assert done.returncode == FetchExit.WRONG
    assert "private" in done.stderr
