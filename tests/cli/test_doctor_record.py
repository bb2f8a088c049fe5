"""What `mailkeep doctor` says about the audit trail, its table and the file for fail2ban."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cli.conftest import WRONG, Run, findings

from mailkeep.cli import doctor_record
from mailkeep.events import types
from mailkeep.events.chain import FILE_LIMIT_OCTETS, open_chain
from mailkeep.events.trail_database import open_trail_database

NOW = datetime(2026, 11, 22, 8, 44, tzinfo=UTC)


def write(site: Path, *sizes: int, sign_last: bool = True) -> None:
    """Write a trail of groups of events with a signature behind each, but perhaps the last."""
    chain, _ = open_chain(site / "trail")
    for number, size in enumerate(sizes, 1):
        happened = [
            (NOW, types.PrefixUnbanned(prefix=f"{number}.{n}", by="root")) for n in range(size)
        ]
        chain.append(happened)
        if sign_last or number < len(sizes):
            chain.sign(NOW)
    chain.close()


def trail(mailkeep: Run, site: Path) -> dict[str, str | None]:
    return findings(mailkeep, site)["trail"]


def test_a_site_that_never_served_has_no_trail(mailkeep: Run, site: Path) -> None:
    """Nothing is said of it, and none is made."""
    found = findings(mailkeep, site)
    assert not {"trail", "events", "fail2ban"} & found.keys()


@pytest.mark.parametrize(
    ("sizes", "sign_last", "told"),
    [
        ((), True, "0 events, not signed yet"),
        ((3,), False, "3 events, not signed yet"),
        ((3,), True, "signed up to record 3, 0 not signed yet"),
        ((3, 2), False, "signed up to record 3, 2 not signed yet"),
        ((3, 2), True, "signed up to record 5, 0 not signed yet"),
    ],
)
def test_an_end_that_is_as_it_was_written(
    mailkeep: Run, site: Path, sizes: tuple[int, ...], sign_last: bool, told: str
) -> None:
    """Down to the last signature."""
    write(site, *sizes, sign_last=sign_last)
    finding = trail(mailkeep, site)
    assert finding["level"] == "ok"
    assert told in str(finding["text"])


def test_a_line_that_is_being_written_is_left_out(mailkeep: Run, site: Path) -> None:
    """The server writes while the doctor looks."""
    write(site, 3, 2, sign_last=False)
    with (site / "trail" / "000001.jsonl").open("ab") as file:
        file.write(b'{"seq":6,')
    assert trail(mailkeep, site)["level"] == "ok"


def test_the_end_may_be_in_two_files(
    mailkeep: Run, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last signature may stand in the file before the last."""
    monkeypatch.setattr("mailkeep.events.chain.FILE_LIMIT_OCTETS", 1)
    assert FILE_LIMIT_OCTETS > 1
    write(site, 3, 2, sign_last=False)
    assert (site / "trail" / "000002.jsonl").exists()
    assert "signed up to record 3, 2 not signed yet" in str(trail(mailkeep, site)["text"])


@pytest.mark.parametrize("event", [3, 4, 5])
def test_an_end_that_was_changed_is_wrong(mailkeep: Run, site: Path, event: int) -> None:
    """An event that is not signed yet, the last that is, the last but one."""
    write(site, 4, 3, sign_last=False)
    path = site / "trail" / "000001.jsonl"
    old, new = (f'"prefix":"{text}"'.encode() for text in (_prefix(event), "8.8.8.8"))
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    finding = trail(mailkeep, site)
    assert finding["level"] == (WRONG if event > 3 else "ok")  # behind it only `verify` looks
    if event > 3:
        assert "mailkeep events verify" in str(finding["hint"])


def _prefix(event: int) -> str:
    return f"1.{event - 1}" if event <= 4 else f"2.{event - 5}"


def test_a_signature_by_another_key_is_wrong(mailkeep: Run, site: Path, tmp_path: Path) -> None:
    """A trail that was written anew beside the old public key."""
    write(site, 3)
    key = shutil.copy(site / "trail" / "signing.pub", tmp_path / "signing.pub")
    shutil.rmtree(site / "trail")
    write(site, 3)
    shutil.copy(key, site / "trail" / "signing.pub")
    assert "the last signature is wrong" in str(trail(mailkeep, site)["text"])


def test_a_trail_without_signatures_is_wrong(
    mailkeep: Run, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer signs after so many events; whoever writes none can sign none."""
    monkeypatch.setattr(doctor_record, "_LINES_LIMIT", 10)
    write(site, 20, sign_last=False)
    assert "no signature follows" in str(trail(mailkeep, site)["text"])


def test_only_the_end_is_read(mailkeep: Run, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the trail is."""
    monkeypatch.setattr(doctor_record, "_LINES_LIMIT", 10)
    write(site, 500, 3, sign_last=False)
    assert "signed up to record 500, 3 not signed yet" in str(trail(mailkeep, site)["text"])


@pytest.mark.parametrize("broken", ["garbage", "no key", "no good key"])
def test_a_trail_that_cannot_be_verified_is_wrong(mailkeep: Run, site: Path, broken: str) -> None:
    """One finding, no trace."""
    write(site, 3)
    match broken:
        case "garbage":
            (site / "trail" / "000001.jsonl").write_bytes(b"\xff\0\n" * 3)
        case "no key":
            (site / "trail" / "signing.pub").unlink()
        case _:
            (site / "trail" / "signing.pub").write_text("no key")
    assert trail(mailkeep, site)["level"] == WRONG


def test_a_damaged_table_is_a_note(mailkeep: Run, site: Path) -> None:
    """`serve` fills another one from the trail; the doctor touches neither."""
    write(site, 3)
    open_trail_database(site / "events.db", site / "trail").close()
    assert findings(mailkeep, site)["events"]["level"] == "ok"
    damaged = b"no database" * 1000
    (site / "events.db").write_bytes(damaged)
    finding = findings(mailkeep, site)["events"]
    assert finding["level"] == "note"
    assert "fills another" in str(finding["hint"])
    assert (site / "events.db").read_bytes() == damaged


def set_failed_logins(site: Path, where: str) -> None:
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write(f'[log]\nfailed_logins = "{where}"\n')


@pytest.mark.parametrize(
    ("there", "level", "told"),
    [
        ("nothing", "ok", "can be written"),
        ("file", "ok", "can be written"),
        ("link", WRONG, "it is a link"),
        ("folder", WRONG, "it is no file"),
        ("no folder", WRONG, "is not there or is somebody else's"),
        ("file above", WRONG, "Not a directory"),
    ],
)
def test_the_file_for_fail2ban(
    mailkeep: Run, site: Path, tmp_path: Path, there: str, level: str, told: str
) -> None:
    """As the server opens it: it follows no link, and makes no folder."""
    path = tmp_path / "log" / "failed"
    if there != "no folder":
        path.parent.mkdir()
    match there:
        case "file":
            path.touch()
        case "link":
            path.symlink_to(tmp_path / "elsewhere")
        case "folder":
            path.mkdir()
        case "file above":
            path.touch()
            path /= "below"
    set_failed_logins(site, str(path))
    finding = findings(mailkeep, site)["fail2ban"]
    assert finding["level"] == level
    assert told in str(finding["text"])


def test_syslog_that_nobody_reads(
    mailkeep: Run, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container there is often none."""
    set_failed_logins(site, "syslog")
    monkeypatch.setattr(doctor_record, "_SYSLOG_SOCKET", tmp_path / "log")
    assert findings(mailkeep, site)["fail2ban"]["level"] == WRONG
    (tmp_path / "log").touch()
    assert findings(mailkeep, site)["fail2ban"]["level"] == "ok"
