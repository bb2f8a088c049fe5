"""The events as JSON lines: what docs/fetch-events.md shows is what is printed."""

import dataclasses
import json
import os
import re
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from tests.cli.fetch.scenes import ALICE, HOSTILE
from tests.cli.fetch.terminal import PROGRAM, ROOT, environment, play_piped
from tests.harness.programs import DEADLINE_S

from mailkeep.cli.fetch.json_lines import EVENT_NAMES, JsonReporter
from mailkeep.fetch.events import (
    Connected,
    Deleted,
    Ended,
    Event,
    LoggedIn,
    MessageAdopted,
    MessageFailed,
    MessageStored,
    Planned,
    Progress,
    Warned,
)

PAGE = (ROOT / "docs" / "fetch-events.md").read_text()
BLOCKS = dict(re.findall(r"^```json (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
EVENTS: list[Event] = [
    Connected("mail.example.com", 995, "TLSv1.3"),
    LoggedIn("SCRAM-SHA-256"),
    Planned(120, 12, 3_400_000, 0, 5),
    Progress(5, 1_000_000),
    MessageStored(b"1", 1358, ("/home/alice/Mail/new/1",)),
    MessageAdopted(b"1", 2000),
    MessageFailed(b"\x1b", "reason", 1, False),
    Deleted(3),
    Warned("text"),
    Ended(6, 9, 1, 1, 1, 0, 3, 2.4, "error", "hint"),
]
Printed = Mapping[str, object]


def printed(event: Event, capsys: pytest.CaptureFixture[str]) -> Printed:
    JsonReporter(lambda: 1_795_337_040.813879)(ALICE, event)
    line = capsys.readouterr().out
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert line.isascii()
    found: Printed = json.loads(line)
    return found


def test_the_page_shows_every_event_and_no_other() -> None:
    """One example a kind, beside that of `--dry-run`."""
    assert set(BLOCKS) == {*EVENT_NAMES.values(), "preview"}
    assert set(EVENT_NAMES) == set(get_args(Event)) == {type(event) for event in EVENTS}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: EVENT_NAMES[type(event)])
def test_json_is_what_the_page_shows(event: Event, capsys: pytest.CaptureFixture[str]) -> None:
    """Every name of an example is printed with a value of that type, and no other name is."""
    found = printed(event, capsys)
    shown = json.loads(BLOCKS[EVENT_NAMES[type(event)]])
    assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in shown.items()}
    assert list(found) == list(shown)
    assert found["event"] == shown["event"]
    assert list(found)[3:] == [field.name for field in dataclasses.fields(event)]


def test_times_are_utc_in_iso_8601(capsys: pytest.CaptureFixture[str]) -> None:
    """As in every JSON that Mailkeep prints."""
    time = printed(Deleted(1), capsys)["time"]
    assert time == "2026-11-22T08:44:00.813879+00:00"
    assert datetime.fromisoformat(str(time)).utcoffset() == timedelta(0)


def test_what_is_unknown_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    """A script need not ask whether a name is there."""
    assert printed(Connected("h", 110, None), capsys)["tls"] is None
    ended = printed(Ended(0, 0, 0, 0, 0, 0, 0, 0.1234567), capsys)
    assert (ended["error_untrusted"], ended["hint"], ended["seconds"]) == (None, None, 0.123)


def test_different_unique_ids_are_printed_differently(capsys: pytest.CaptureFixture[str]) -> None:
    """A backslash is escaped too, so an escape is told from the letters of one."""
    uidls = [b"\x1b", rb"\x1b", rb"\\x1b", b"a b", b"\xe4", "ä".encode()]
    told = [printed(MessageAdopted(uidl, 1), capsys)["uidl"] for uidl in uidls]
    assert told == [r"\x1b", r"\\x1b", r"\\\\x1b", r"a\x20b", r"\xe4", r"\xc3\xa4"]


def test_a_hostile_text_is_one_line_of_ascii_and_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """S-56: JSON-escaped, at most 200 characters; `printed` sees the raw line."""
    text = str(printed(Warned(HOSTILE), capsys)["text_untrusted"])
    assert len(text) == 200
    assert text[:190] == HOSTILE[:190]


def test_a_reader_that_is_gone_does_not_end_the_fetch() -> None:
    """`| head -1`: it is said once, the run goes on, and the exit code is that of the fetch."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*PROGRAM, "json", "ordinary"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
            timeout=DEADLINE_S,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.stderr == (
        "error: standard output cannot be written (Broken pipe); the fetch goes on\n"
    )
    assert done.returncode == 0


def test_full_disk_behind_standard_output_does_not_end_the_fetch() -> None:
    """The events are lost, the mail is not."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "json", "ordinary"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
            timeout=DEADLINE_S,
            check=False,
        )
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1


def test_nothing_but_events_is_on_standard_output() -> None:
    """A script reads every line as JSON."""
    done = play_piped("json", "harmful")
    kinds = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert kinds[0] == "connected"
    assert kinds[-1] == "ended"
    assert done.stderr == ""
