"""`mailkeep account policy|expire|confirm|import|list --stale|show`, on a real site."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Run

from mailkeep import app
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import SCHEMA
from mailkeep.app.opening import open_keying
from mailkeep.database.opening import open_database
from mailkeep.defence.remembered import Changes, GuessesRow
from mailkeep.defence.store import DoorStore
from mailkeep.defence.tables import SCHEMA as DOOR_SCHEMA
from mailkeep.site import read_site
from mailkeep.values import Secret

ADDRESS = "alice@mail.example.com"
CRYPT = "$6$saltsalt$" + "a" * 86
"""It has the form of SHA512-CRYPT and is nobody's password."""


@pytest.fixture
def alice(mailkeep: Run, site: Path) -> Path:
    """A site with an account."""
    done = mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    assert done.code == 0
    return site


def show(mailkeep: Run, site: Path) -> dict[str, object]:
    done = mailkeep("--site", site, "account", "show", "alice", "--json")
    assert (done.code, done.err) == (0, "")
    found: dict[str, object] = json.loads(done.out)
    return found


def note_guesses(site: Path, failures: int) -> None:
    """Have strangers guessed at alice's main password, as the door writes it down."""
    opened = read_site(site)
    with app.open_accounts(opened) as directory:
        account = directory.get(opened.address("alice")).id
    database = open_database(opened.door_database, DOOR_SCHEMA, create=True)
    now_s = datetime.now(UTC).timestamp()
    DoorStore(database).save(Changes(guesses=(GuessesRow(account, failures, now_s - 60),)), now_s)
    database.close()


@pytest.mark.parametrize(
    ("policy", "kept"), [("devices_only", "devices_only"), ("allow", "allow"), ("site", None)]
)
def test_a_policy_is_kept_and_shown(
    mailkeep: Run, alice: Path, policy: str, kept: str | None
) -> None:
    """`site` takes an account's own policy away."""
    done = mailkeep("--site", alice, "account", "policy", "alice", policy)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[0] == f"main password of {ADDRESS}: {policy}"
    assert show(mailkeep, alice)["main_password"] == kept
    shown = mailkeep("--site", alice, "account", "show", "alice").out
    assert f"main_password         {kept or 'allow (as the site)'}" in shown


def test_an_account_that_is_left_without_any_way_in_is_said(mailkeep: Run, alice: Path) -> None:
    """By its own policy or the site's; not once it has a device."""
    at = ("--site", alice, "account", "policy", "alice")
    hint = f"it has no device yet: mailkeep device add {ADDRESS} NAME"
    assert hint in mailkeep(*at, "devices_only").err
    assert hint not in mailkeep(*at, "allow").err
    assert hint not in mailkeep(*at, "site").err
    with (alice / "mailkeep.toml").open("a") as settings:
        settings.write('[login]\nmain_password = "devices_only"\n')
    assert hint in mailkeep(*at, "site").err
    mailkeep("--site", alice, "device", "add", "alice", "laptop")
    assert hint not in mailkeep(*at, "site").err


@pytest.mark.parametrize(
    ("arguments", "told", "hint"),
    [
        (("policy", "alice", "never"), "never is no policy", "allow, devices_only or site"),
        (("expire", "alice", "soon"), "soon is no date or time", "2027-06-01"),
        (("list", "--stale", "soon"), "soon is no span of time", "90d"),
        (("list", "--stale", "3h"), "3h is less than a day", "90d"),
        (("import", "/none"), "/none cannot be read: No such file", "passwd-file"),
        (("import", "/"), "/ cannot be read: Is a directory", "passwd-file"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    mailkeep: Run, alice: Path, arguments: tuple[str, ...], told: str, hint: str
) -> None:
    """Exit 2, two lines, nothing on standard output, nothing changed."""
    before = show(mailkeep, alice)
    done = mailkeep("--site", alice, "account", *arguments)
    assert (done.code, done.out) == (2, "")
    error, following = done.err.splitlines()
    assert error.startswith(f"error: {told}")
    assert following.startswith("hint: ")
    assert hint in following
    assert show(mailkeep, alice) == before


@pytest.mark.parametrize(
    "arguments",
    [("policy", "bob", "allow"), ("expire", "bob", "never"), ("confirm", "bob"), ("show", "bob")],
)
def test_an_unknown_account_is_said_with_1(
    mailkeep: Run, alice: Path, arguments: tuple[str, ...]
) -> None:
    """And where to look."""
    done = mailkeep("--site", alice, "account", *arguments)
    assert (done.code, done.out) == (1, "")
    assert "there is no account bob@mail.example.com" in done.err
    assert "hint: mailkeep account list" in done.err


def test_an_account_expires_and_does_no_more(mailkeep: Run, alice: Path) -> None:
    """A day that is over refuses at once, which is said; `never` takes it back."""
    at = ("--site", alice, "account", "expire", "alice")
    assert mailkeep(*at, "2127-06-01").err == f"{ADDRESS} expires 2127-06-01 00:00 UTC\n"
    assert show(mailkeep, alice)["expires"] == "2127-06-01T00:00:00+00:00"
    assert "nobody may log in to it now" in mailkeep(*at, "2020-01-01").err
    assert mailkeep(*at, "never").err == f"{ADDRESS} never expires\n"
    assert show(mailkeep, alice)["expires"] is None


def test_guesses_are_counted_and_confirmed_away(mailkeep: Run, alice: Path) -> None:
    """From the hundredth on the main password is locked for strangers, and its owner is told how
    to go on."""
    note_guesses(alice, 99)
    shown = show(mailkeep, alice)
    assert (shown["failed_guesses"], shown["main_password_locked"]) == (99, False)
    note_guesses(alice, 100)
    shown = show(mailkeep, alice)
    assert (shown["failed_guesses"], shown["main_password_locked"]) == (100, True)
    done = mailkeep("--site", alice, "account", "show", "alice")
    assert "main_password_locked  yes" in done.out
    assert f"mailkeep account password {ADDRESS}, or account confirm" in done.err
    done = mailkeep("--site", alice, "account", "confirm", "alice")
    assert (done.code, done.err) == (0, f"confirmed the password of {ADDRESS}\n")
    shown = show(mailkeep, alice)
    assert (shown["failed_guesses"], shown["main_password_locked"]) == (0, False)


def test_a_changed_password_ends_the_lock_too(mailkeep: Run, alice: Path) -> None:
    """Nobody has guessed at the new one yet."""
    note_guesses(alice, 100)
    password = ("account", "password", "alice", "--password-stdin")
    assert mailkeep("--site", alice, *password, stdin=PASSWORD + b"s").code == 0
    assert show(mailkeep, alice)["main_password_locked"] is False


def test_looking_and_confirming_make_no_memory_of_the_door(mailkeep: Run, alice: Path) -> None:
    """`serve` makes it."""
    show(mailkeep, alice)
    assert mailkeep("--site", alice, "account", "confirm", "alice").code == 0
    assert not (alice / "door.db").exists()


def make_long_ago(site: Path) -> None:
    """Make an account with a device a year ago, and a device today for alice."""
    opened = read_site(site)
    database = open_database(opened.database, SCHEMA, create=False)
    long_ago = datetime.now(UTC) - timedelta(days=365)
    directory = AccountDirectory(
        database, Argon2Passwords(), open_keying(opened), by="test", now=lambda: long_ago
    )
    directory.add(opened.address("old"), Secret(PASSWORD))
    directory.devices.add(opened.address("old"), "fax")
    directory.devices.add(opened.address("alice"), "pager")
    database.close()


def test_stale_names_accounts_and_devices_that_nobody_used(mailkeep: Run, alice: Path) -> None:
    """For so many days; an account that was made since is not."""
    make_long_ago(alice)
    stale = ("--site", alice, "account", "list", "--stale")
    listed = json.loads(mailkeep(*stale, "90d", "--json").out)
    assert [(it["address"], it["device"]) for it in listed] == [
        ("old@mail.example.com", None),
        ("old@mail.example.com", "fax"),
        (ADDRESS, "pager"),
    ]
    assert listed[0].keys() == {"address", "device", "created", "last_used"}
    assert listed[0]["last_used"] is None
    lines = mailkeep(*stale, "12w").out.splitlines()
    assert lines[0].split() == ["ADDRESS", "DEVICE", "CREATED", "LAST", "USED"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["old@mail.example.com", "-"],
        ["old@mail.example.com", "fax"],
        [ADDRESS, "pager"],
    ]
    assert all(line.endswith("never") for line in lines[1:])
    assert mailkeep(*stale, "366d", "--json").out == "[]\n"


def test_a_passwd_file_becomes_accounts(mailkeep: Run, site: Path, tmp_path: Path) -> None:
    """Each good line; what is not taken over is said, and no hash is ever printed."""
    file = tmp_path / "users"
    file.write_text(
        f"# users\n\nalice:{CRYPT}:1000:1000::/home/alice::\n"
        f"bob@example.org:{{SHA512-CRYPT}}{CRYPT}::::::allow_nets=10.0.0.0/8\n"
    )
    done = mailkeep("--site", site, "account", "import", file)
    assert (done.code, done.out) == (0, "")
    assert f"{file}:4: allow_nets=10.0.0.0/8 is not taken over" in done.err
    assert done.err.endswith("added 2 accounts, left out 0\n")
    assert CRYPT not in done.err
    listed = json.loads(mailkeep("--site", site, "account", "list", "--json").out)
    assert {it["address"] for it in listed} == {"bob@example.org", ADDRESS}


def test_lines_that_are_no_account_are_left_out_and_said(
    mailkeep: Run, alice: Path, tmp_path: Path
) -> None:
    """Exit 1, the line's number, the reason, the next step; the rest is taken, and an account that
    is there stays as it was."""
    before = show(mailkeep, alice)
    file = tmp_path / "users"
    lines = (
        f"alice:{CRYPT}",
        "no colon",
        "carol:{MD5}5f4dcc3b5aa765d61d8327deb882cf99",
        f"dave:{CRYPT}",
        f"DAVE:{CRYPT}",
        f"a b\x1b[2J:{CRYPT}",
        "eve:",
    )
    file.write_text("\r\n".join(lines))
    done = mailkeep("--site", alice, "account", "import", file)
    assert (done.code, done.out) == (1, "")
    told = {line.split(": ")[0]: line for line in done.err.splitlines() if "left out: " in line}
    assert told.keys() == {f"{file}:{number}" for number in (1, 2, 3, 5, 6, 7)}
    assert "exists already" in told[f"{file}:1"]
    assert all("; " in line for line in told.values())
    assert "added 1 accounts, left out 6" in done.err
    assert "hint: the lines above say why" in done.err
    assert "\x1b" not in done.err
    assert "5f4dcc" not in done.err
    assert show(mailkeep, alice) == before
    assert mailkeep("--site", alice, "account", "show", "dave").code == 0


def test_a_file_that_is_no_text_is_refused_as_a_whole(
    mailkeep: Run, site: Path, tmp_path: Path
) -> None:
    """A thousand lines about a database that was named by mistake help nobody."""
    file = tmp_path / "users"
    file.write_bytes(b"alice:x\n\0\xff\n" * 100)
    done = mailkeep("--site", site, "account", "import", file)
    assert (done.code, len(done.err.splitlines())) == (2, 2)
    assert "is not a text file" in done.err
    assert mailkeep("--site", site, "account", "list", "--json").out == "[]\n"


def test_a_hash_without_a_scheme_is_of_the_one_that_was_said(
    mailkeep: Run, site: Path, tmp_path: Path
) -> None:
    """As Dovecot's `default_pass_scheme`."""
    file = tmp_path / "users"
    file.write_text(f"alice:{CRYPT}\n")
    command = ("--site", site, "account", "import", file, "--default-scheme")
    assert "left out 1" in mailkeep(*command, "SSHA").err
    assert mailkeep(*command, "SHA512-CRYPT").code == 0


def test_an_import_that_would_share_a_maildrop_is_left_out(
    mailkeep: Run, site: Path, tmp_path: Path
) -> None:
    """Alice of one domain must not read the mail of alice of another."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write('[maildrops]\npath = "mail/{local}"\n')
    file = tmp_path / "users"
    file.write_text(f"alice@example.org:{CRYPT}\nalice:{CRYPT}\n")
    done = mailkeep("--site", site, "account", "import", file)
    assert done.code == 1
    assert f"{file}:1: left out: it would share the maildrop" in done.err
    assert "added 1 accounts, left out 1" in done.err
