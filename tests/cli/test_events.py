"""`mailkeep events`, end to end on a real site with a scripted break-in."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.cli.conftest import Run
from tests.events import break_in
from tests.events.conftest import BEGIN, Clock, TrailPlace
from tests.events.samples import read

from mailkeep.cli.events_times import read_time
from mailkeep.cli.failure import CommandFailed

ALL = len([*break_in.OWNERS, *break_in.INTRUDERS, *break_in.OTHERS])
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def place(site: Path) -> TrailPlace:
    """A site whose trail has the break-in; `alice` is alice@example.com there."""
    settings = site / "mailkeep.toml"
    settings.write_text('default_domain = "example.com"\n' + settings.read_text())
    clock = Clock()
    found = TrailPlace(site / "trail", site / "events.db", now=clock)
    break_in.write(found, clock)
    return found


def test_everything_is_listed_oldest_first(mailkeep: Run, site: Path, place: TrailPlace) -> None:
    """One line an event, times in UTC."""
    del place
    done = mailkeep("--site", site, "events")
    lines = done.out.splitlines()
    assert (done.code, done.err, len(lines)) == (0, "", ALL)
    assert lines[0].startswith("2026-11-22 08:44:00Z  login accepted ")
    assert "device=laptop" in lines[0]


def test_json_is_one_object_a_line(mailkeep: Run, site: Path, place: TrailPlace) -> None:
    """So that `--follow` can be read by a program."""
    del place
    done = mailkeep("--site", site, "events", "--json", "--type", "deletion-done")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {
            "seq": 22,
            "time": "2026-11-22T08:45:00.813879Z",
            "event": "deletion done",
            "session": "bad",
            "account": "alice@example.com",
            "peer": break_in.INTRUDER,
            "uidl": "stolen",
        }
    ]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--account", "alice", "--type", "login-refused"), 4),
        (("--account", "bob", "--type", "message-read"), 1),
        (("--session", "own"), 3),
        (("--until", "2026-11-22T08:44:30"), 4),
        (("--since", "2026-11-22T08:44:30Z"), ALL - 4),
        (("--since", "2026-11-22T09:44:30+01:00"), ALL - 4),
        (("--type", "message-read", "--type", "deletion-done", "--account", "alice"), 7),
        (("--since", "2026-11-23"), 0),
    ],
)
def test_conditions(
    mailkeep: Run, site: Path, place: TrailPlace, options: tuple[str, ...], count: int
) -> None:
    """All that are given hold."""
    del place
    done = mailkeep("--site", site, "events", *options)
    assert done.code == 0
    assert len(done.out.splitlines()) == count


def test_a_name_from_outside_forges_no_line(mailkeep: Run, site: Path, place: TrailPlace) -> None:
    """It stands last, in quotes where it could be read as fields."""
    name = "x peer=1.2.3.4\n2026-11-22 08:44:00Z  login accepted\x1b[2J"
    place.write(replace(break_in.REFUSED, name=name))
    done = mailkeep("--site", site, "events", "--type", "login-refused")
    last = done.out.splitlines()[-1]
    assert len(done.out.splitlines()) == 6
    assert "\x1b" not in done.out
    assert re.search(r" name='x peer=1\.2\.3\.4", last)


def test_the_report_is_exact(mailkeep: Run, site: Path, place: TrailPlace) -> None:
    """Which messages left, to which addresses, what is gone: as JSON, whose names stay."""
    del place
    command = ("events", "report", "alice", "--since", "2026-11-22T08:44:30", "--json")
    done = mailkeep("--site", site, *command)
    assert done.code == 0
    report = json.loads(done.out)
    [session] = report["sessions"]
    assert [message["uidl"] for message in session["messages"]] == [
        "looked at",
        "stolen",
        "twice",
        "cut off",
    ]
    assert [*report["left_to"]] == ["2001:db8::bad"]
    assert [gone["uidl"] for gone in report["removed"]] == ["stolen"]
    assert report["can_be_brought_back"] == []
    assert [*session] == [
        *("session", "began", "ended", "how", "peer", "mechanism", "device", "familiar", "tls"),
        *("whole_maildrop", "refused_here", "refused_elsewhere", "messages", "deletions"),
    ]


def test_the_report_says_it_in_words(mailkeep: Run, site: Path, place: TrailPlace) -> None:
    """What an operator reads at night."""
    del place
    done = mailkeep("--site", site, "events", "report", "alice@example.com")
    assert done.code == 0
    for text in (
        "Messages that left: 5",
        "  to 2001:db8::bad: 4 messages, 3760 octets",
        "Messages removed: 1",
        "Can be brought back: nothing",
        "from      [2001:db8::bad]:50000 (UNFAMILIAR)",
        "no end was recorded",
        "stolen  RETR  1000 octets  " + "ab" * 32,
        "looked at  TOP 5  60 octets",
        "cut off  RETR, cut off  700 octets",
        "stolen  REMOVED 2026-11-22 08:45:00Z",
        "stays  marked 2026-11-22 08:45:00Z, not removed",
        "3 from 2001:db8::bad",
    ):
        assert text in done.out, text


def test_a_quiet_account_has_a_report_too(mailkeep: Run, site: Path, place: TrailPlace) -> None:
    """Nothing happened is an answer."""
    del place
    done = mailkeep("--site", site, "events", "report", "carol")
    assert done.code == 0
    assert "Sessions: 0" in done.out


def test_verify_says_that_all_is_well(mailkeep: Run, site: Path, place: TrailPlace) -> None:
    """With what is signed and what is not."""
    del place
    done = mailkeep("--site", site, "events", "verify")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"as they were written: {ALL} events; checkpoints: 2; not signed yet: 0\n"


def test_verify_names_the_first_broken_record(mailkeep: Run, site: Path, place: TrailPlace) -> None:
    """Exit 1; as JSON too."""
    path = place.folder / "000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"uidl":"stolen"', b'"uidl":"forged"', 1))
    done = mailkeep("--site", site, "events", "verify")
    assert (done.code, done.out) == (1, "")
    assert re.match(r"error: record \d+ \(000001\.jsonl, line \d+\): changed", done.err)
    done = mailkeep("--site", site, "events", "verify", "--json")
    assert done.code == 1
    assert json.loads(done.out)["verified"] is False


def test_verify_compares_with_a_copy_from_elsewhere(
    mailkeep: Run, site: Path, place: TrailPlace, tmp_path: Path
) -> None:
    """A trail that was written anew with the stolen key is told by it."""
    witness = shutil.copy(place.folder / "checkpoints", tmp_path / "witness")
    key = shutil.copy(place.folder / "signing.pub", tmp_path / "key")
    shutil.rmtree(place.folder)
    place.write(read("forged"))
    assert mailkeep("--site", site, "events", "verify").code == 0
    done = mailkeep("--site", site, "events", "verify", "--witness", witness)
    assert done.code == 1
    done = mailkeep("--site", site, "events", "verify", "--public-key", key)
    assert done.code == 1
    assert "signature is wrong" in done.err


@pytest.mark.parametrize("form", ["ecs", "ocsf"])
def test_export_is_one_object_a_line(
    mailkeep: Run, site: Path, place: TrailPlace, form: str
) -> None:
    """Every event, with the site's name."""
    del place
    done = mailkeep("--site", site, "events", "export", "--format", form)
    lines = done.out.splitlines()
    assert len(lines) == ALL
    assert all("mail.example.com" in line and json.loads(line) for line in lines)
    done = mailkeep("--site", site, "events", "export", "--format", form, "--since", "2026-11-23")
    assert (done.code, done.out) == (0, "")


@pytest.mark.parametrize(
    "command", [(), ("report", "alice"), ("verify",), ("export", "--format", "ecs")]
)
def test_a_site_that_never_served_has_no_trail(
    mailkeep: Run, site: Path, command: tuple[str, ...]
) -> None:
    """It is said, and none is made by asking."""
    done = mailkeep("--site", site, "events", *command)
    assert (done.code, done.out) == (1, "")
    assert "there is no audit trail" in done.err
    assert "hint: mailkeep serve begins one" in done.err
    assert not (site / "trail").exists()
    assert not (site / "events.db").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--type", "login-refusd"), "hint: did you mean login-refused?"),
        (("--since", "yesterday"), "hint: write 2026-11-22"),
        (("--account", "a b"), "is not an address"),
    ],
)
def test_what_cannot_be_asked_is_wrong_usage(
    mailkeep: Run, site: Path, place: TrailPlace, options: tuple[str, ...], told: str
) -> None:
    """Exit 2, and the next step."""
    del place
    done = mailkeep("--site", site, "events", *options)
    assert done.code == 2
    assert told in done.err


def test_a_table_that_is_behind_is_filled_before_it_is_read(
    mailkeep: Run, site: Path, place: TrailPlace
) -> None:
    """A crash between chain and table, and no server has run since."""
    for path in site.glob("events.db*"):
        path.unlink()
    del place
    assert len(mailkeep("--site", site, "events").out.splitlines()) == ALL


def test_follow_goes_on_with_what_happens(site: Path, place: TrailPlace) -> None:
    """Until Ctrl-C."""
    command = [sys.executable, "-m", "mailkeep", "--site", str(site), "events", "--follow"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        for _ in range(ALL):
            process.stdout.readline()
        place.write(read("new one"))
        assert "new one" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("12h ago", NOW - timedelta(hours=12)),
        ("30d", NOW - timedelta(days=30)),
        ("2w", NOW - timedelta(weeks=2)),
        ("45 s ago", NOW - timedelta(seconds=45)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T08:44", datetime(2026, 11, 22, 8, 44, tzinfo=UTC)),
        ("2026-11-22T08:44:00.813879Z", BEGIN),
        ("2026-11-22T10:44+02:00", datetime(2026, 11, 22, 8, 44, tzinfo=UTC)),
        ("999999999w", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_a_time_is_a_time_or_how_long_ago(
    text: str, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a zone it is UTC, whatever the machine's."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert read_time(text, now=NOW) == at
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "yesterday", "90", "90x", "-5m", "2026-13-01", "٣m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With what to write."""
    with pytest.raises(CommandFailed, match="is no time"):
        read_time(text, now=NOW)
