"""What `mailkeep doctor` says about the site's key, devices, main passwords, and stale accounts."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, WRONG, Run, findings

from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import SCHEMA
from mailkeep.app.opening import open_keying
from mailkeep.database.opening import open_database
from mailkeep.site import read_site
from mailkeep.values import Secret

ADDRESS = "alice@mail.example.com"


@pytest.fixture
def alice(mailkeep: Run, site: Path) -> Path:
    """A site with an account."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    return site


def set_login(site: Path, text: str) -> None:
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write(f"[login]\n{text}\n")


def test_a_missing_key_without_devices_is_a_note(mailkeep: Run, alice: Path) -> None:
    """A site of an older version has none; nothing is lost."""
    (alice / "site.key").unlink()
    found = findings(mailkeep, alice)
    assert found["site key"]["level"] == "note"
    assert found["database"]["level"] == "ok"
    assert not (alice / "site.key").exists()


def test_a_missing_key_shuts_devices_out(mailkeep: Run, alice: Path) -> None:
    """Told before a command makes another one: the backup can still be put back."""
    mailkeep("--site", alice, "device", "add", "alice", "printer")
    key = (alice / "site.key").read_bytes()
    (alice / "site.key").unlink()
    finding = findings(mailkeep, alice)["site key"]
    assert finding["level"] == WRONG
    assert f'{ADDRESS} "printer" cannot log in' in str(finding["text"])
    assert "backup" in str(finding["hint"])
    (alice / "site.key").write_bytes(key)
    (alice / "site.key").chmod(0o600)
    assert findings(mailkeep, alice)["site key"]["level"] == "ok"


def test_another_key_shuts_devices_out(mailkeep: Run, alice: Path) -> None:
    """Those that were made with it are named; a certificate needs no key."""
    mailkeep("--site", alice, "device", "add", "alice", "printer")
    (alice / "site.key").write_bytes(secrets.token_bytes(32))
    mailkeep("--site", alice, "device", "add", "alice", "laptop")
    finding = findings(mailkeep, alice)["devices"]
    assert finding["level"] == WRONG
    assert '"printer"' in str(finding["text"])
    assert '"laptop"' not in str(finding["text"])
    assert "site.key" in str(finding["hint"])


@pytest.mark.parametrize(
    ("broken", "hint"),
    [("open", "chmod 600"), ("short", "restore it from a backup"), ("folder", "see that")],
)
def test_a_key_that_cannot_be_used(mailkeep: Run, alice: Path, broken: str, hint: str) -> None:
    """The rest is looked at all the same."""
    mailkeep("--site", alice, "device", "add", "alice", "printer")
    key = alice / "site.key"
    match broken:
        case "open":
            key.chmod(0o640)
        case "short":
            key.write_bytes(b"short")
        case _:
            key.unlink()
            key.mkdir()
    found = findings(mailkeep, alice)
    assert found["site key"]["level"] == WRONG
    assert hint in str(found["site key"]["hint"])
    assert found["database"]["level"] == "ok"
    assert "devices" not in found  # with a key that cannot be read nothing is known of them


def make_long_ago(site: Path) -> None:
    opened = read_site(site)
    database = open_database(opened.database, SCHEMA, create=False)
    long_ago = datetime.now(UTC) - timedelta(days=100)
    directory = AccountDirectory(
        database, Argon2Passwords(), open_keying(opened), by="test", now=lambda: long_ago
    )
    for number in range(7):
        directory.add(opened.address(f"old{number}"), Secret(PASSWORD))
    directory.devices.add(opened.address("alice"), "fax")
    database.close()


def test_stale_accounts_and_devices_are_named(mailkeep: Run, alice: Path) -> None:
    """The first of them, and how many there are; how to see all."""
    assert "stale" not in findings(mailkeep, alice)
    make_long_ago(alice)
    finding = findings(mailkeep, alice)["stale"]
    assert finding["level"] == "note"
    assert "old0@mail.example.com" in str(finding["text"])
    assert "and 3 more for 90 days" in str(finding["text"])
    assert "mailkeep account list --stale 90d" in str(finding["hint"])


@pytest.mark.parametrize("days", [0, 101])
def test_what_is_stale_is_a_setting(mailkeep: Run, alice: Path, days: int) -> None:
    """0 for never."""
    make_long_ago(alice)
    set_login(alice, f"stale_after_d = {days}")
    assert "stale" not in findings(mailkeep, alice)


def test_a_main_password_beside_devices_is_a_note_until_somebody_decides(
    mailkeep: Run, alice: Path
) -> None:
    """One strong password a program is worth little while the main one is good everywhere."""
    assert "passwords" not in findings(mailkeep, alice)
    mailkeep("--site", alice, "device", "add", "alice", "printer")
    finding = findings(mailkeep, alice)["passwords"]
    assert finding["level"] == "note"
    assert ADDRESS in str(finding["text"])
    assert "devices_only" in str(finding["hint"])
    for policy in ("allow", "devices_only"):
        mailkeep("--site", alice, "account", "policy", "alice", policy)
        assert "passwords" not in findings(mailkeep, alice)


def test_an_account_without_any_way_in_is_a_note(mailkeep: Run, alice: Path) -> None:
    """By the site's policy or its own; not a disabled one, nor one with a device."""
    set_login(alice, 'main_password = "devices_only"')
    finding = findings(mailkeep, alice)["passwords"]
    assert finding["level"] == "note"
    assert f"{ADDRESS} cannot log in" in str(finding["text"])
    assert "mailkeep device add" in str(finding["hint"])
    mailkeep("--site", alice, "account", "disable", "alice")
    assert "passwords" not in findings(mailkeep, alice)
    mailkeep("--site", alice, "account", "enable", "alice")
    mailkeep("--site", alice, "device", "add", "alice", "printer")
    assert "passwords" not in findings(mailkeep, alice)


def test_few_iterations_for_main_passwords_are_a_note(mailkeep: Run, alice: Path) -> None:
    """What is kept for SCRAM is guessed from once it is stolen."""
    set_login(alice, "scram_main = true")
    assert "scram_iterations = 600000" in str(findings(mailkeep, alice)["passwords"]["hint"])
