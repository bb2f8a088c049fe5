"""Commands run inside this process: their exit code, and what they said where."""

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailkeep.cli.entry import run
from mailkeep.cli.init import make_site, settings_text
from mailkeep.site import Service


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]

PASSWORD = b"correct horse battery staple"
"""One that the site's rules take."""

WRONG = "wrong"
"""The level of a doctor's finding that has to be mended."""


@pytest.fixture
def mailkeep(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `mailkeep` with arguments and standard input; no terminal anywhere."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("MAILKEEP_SITE", raising=False)
    monkeypatch.delenv("MAILKEEP_TRACE", raising=False)

    def call(*arguments: str | Path, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run([os.fspath(argument) for argument in arguments])
        written = capfd.readouterr()
        return Done(int(code), written.out, written.err)

    return call


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A new site on a free port."""
    folder = tmp_path / "site"
    make_site(folder, settings_text("mail.example.com", [(Service.POP3S, "127.0.0.1:0")]))
    return folder


def findings(mailkeep: Run, site: Path) -> dict[str, dict[str, str | None]]:
    """Return what the doctor says, by check; where a check says two things, the worse."""
    done = mailkeep("--site", site, "doctor", "--json")
    found: dict[str, dict[str, str | None]] = {}
    listed = json.loads(done.out)
    for finding in sorted(listed, key=lambda it: it["level"] == WRONG):
        found[finding["check"]] = finding
    assert done.code == (1 if any(it["level"] == WRONG for it in listed) else 0)
    assert all(it["hint"] for it in listed if it["level"] == WRONG)
    return found
