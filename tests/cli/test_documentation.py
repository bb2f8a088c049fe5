"""docs/commands.md says what commands there are and what they really print."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Run

from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import SCHEMA
from mailkeep.app.opening import open_keying
from mailkeep.cli import doctor
from mailkeep.database.opening import open_database
from mailkeep.site import read_site

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()


def example(name: str) -> Mapping[str, object]:
    """Return one of the page's examples."""
    (block,) = re.findall(rf"^```json {name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found: Mapping[str, object] = json.loads(block)
    return found


@pytest.fixture
def filled(mailkeep: Run, site: Path) -> Path:
    """A site that has one of everything, with as many values as there can be."""
    at = ("--site", site)
    mailkeep(*at, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    mailkeep(*at, "account", "policy", "alice", "devices_only")
    mailkeep(*at, "account", "expire", "alice", "2127-06-01")
    terms = ("--from", "10.1.0.0/16", "--until", "2127-06-01", "--may", "read")
    mailkeep(*at, "device", "add", "alice", "office printer", *terms)
    mailkeep(*at, "ban", "add", "192.0.2.0/24", "--for", "1h")
    mailkeep(*at, "deliver", "alice", stdin=b"Subject: x\n\n")
    opened = read_site(site)
    database = open_database(opened.database, SCHEMA, create=False)
    long_ago = datetime.now(UTC) - timedelta(days=365)
    directory = AccountDirectory(
        database, Argon2Passwords(), open_keying(opened), by="test", now=lambda: long_ago
    )
    directory.devices.add(opened.address("alice"), "pager")
    database.close()
    return site


@pytest.mark.parametrize(
    ("name", "command", "nullable"),
    [
        ("account", ("account", "list"), {"last_used"}),
        ("stale", ("account", "list", "--stale", "90d"), {"last_used"}),
        ("device", ("device", "list", "alice"), {"last_used", "last_address", "last_client"}),
        ("ban", ("ban", "list"), set()),
        ("message", ("maildrop", "list", "alice"), set()),
        ("finding", ("doctor",), {"hint"}),
    ],
)
def test_json_is_what_the_page_shows(
    mailkeep: Run, filled: Path, name: str, command: tuple[str, ...], nullable: set[str]
) -> None:
    """Every name of an example is printed with a value of that type, and no other name is."""
    printed = json.loads(mailkeep("--site", filled, *command, "--json").out)[0]
    compare(printed, example(name), nullable)


def test_an_account_is_shown_as_the_page_shows_it(mailkeep: Run, filled: Path) -> None:
    """What a list has of it, and more."""
    printed = json.loads(mailkeep("--site", filled, "account", "show", "alice", "--json").out)
    compare(printed, {**example("account"), **example("account-more")}, {"last_used"})


def compare(printed: dict[str, object], shown: Mapping[str, object], nullable: set[str]) -> None:
    assert list(printed) == list(shown)
    for key, value in shown.items():
        types = {type(value), type(None)} if key in nullable else {type(value)}
        assert type(printed[key]) in types, key


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`((?:account|device|ban) [a-z]+)", PAGE)))
)
def test_every_command_of_the_page_is_there(mailkeep: Run, command: str) -> None:
    """With the options that the page gives it."""
    done = mailkeep(*command.split(), "--help")
    assert done.code == 0
    rows = [row for row in PAGE.splitlines() if row.startswith(f"| `{command}")]
    for option in re.findall(r"`(--[a-z-]+)", " ".join(rows)):
        assert option in done.out


@pytest.mark.parametrize("group", ["account", "device", "ban"])
def test_every_command_is_on_the_page(mailkeep: Run, group: str) -> None:
    """Nobody has to find one by chance."""
    commands = mailkeep(group, "--help").out.partition("Commands:")[2]
    rows = [row for row in PAGE.splitlines() if row.startswith(f"| `{group} ")]
    named = " ".join(row.split("|")[1] for row in rows)
    for command in re.findall(r"^  ([a-z]+)  ", commands, re.MULTILINE):
        assert re.search(rf"[` ]{command}\b", named), command


def test_every_check_of_the_doctor_is_on_the_page() -> None:
    """A script that waits for one of them has to know its word."""
    sources = Path(doctor.__file__).parent.glob("doctor*.py")
    code = "\n".join(path.read_text() for path in sources)
    used = set(re.findall(r"\b(?:ok|note|wrong)\(\s*\"([a-z0-9 ]+)\"", code))
    used |= set(doctor._SITE_CHECKS.values())
    rows = PAGE.partition("| check |")[2].partition("\n\n")[0].splitlines()[2:]
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert listed == used
