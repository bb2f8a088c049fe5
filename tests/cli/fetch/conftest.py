"""Mailboxes for the commands of `mailkeep fetch`, each with a home folder of its own."""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.cli.fetch.mailbox import Mailbox
from tests.harness.site import RunningSite

_accounts = (f"fetched{number}" for number in count(1))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and no setting of the machine's."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    # The system's authorities take long to read; what is trusted here is named.
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    monkeypatch.setenv("SSL_CERT_DIR", os.devnull)
    return home


@pytest.fixture
def mailboxes(served: RunningSite, home: Path, mailkeep: Run) -> Callable[[], Mailbox]:
    """Make as many accounts as a test asks for, fetched by one person."""
    return lambda: Mailbox(served, served.add_account(next(_accounts)), home, mailkeep)


@pytest.fixture
def mailbox(mailboxes: Callable[[], Mailbox]) -> Mailbox:
    """An empty mailbox."""
    return mailboxes()
