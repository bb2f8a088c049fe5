"""`mailkeep ban`, end to end on a real site without a server."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from mailkeep import app
from mailkeep.cli.changing import this_user
from mailkeep.site import read_site


def bans(mailkeep: Run, site: Path) -> list[dict[str, object]]:
    listed = mailkeep("--site", site, "ban", "list", "--json")
    assert (listed.code, listed.err) == (0, "")
    found: list[dict[str, object]] = json.loads(listed.out)
    return found


def test_looking_makes_no_database(mailkeep: Run, site: Path) -> None:
    """There are no bans where nobody was ever banned."""
    assert bans(mailkeep, site) == []
    assert not (site / "door.db").exists()
    assert mailkeep("--site", site, "ban", "list").out == "NETWORK  UNTIL  BY  REASON\n"


def test_a_ban_lasts_until_it_is_lifted_unless_said(mailkeep: Run, site: Path) -> None:
    """Who banned and why is kept; `--json` has names that stay."""
    done = mailkeep("--site", site, "ban", "add", "192.0.2.0/24")
    assert (done.code, done.out, done.err) == (0, "", "banned 192.0.2.0/24\n")
    assert bans(mailkeep, site) == [
        {
            "network": "192.0.2.0/24",
            "until": None,
            "reason": "an operator's decision",
            "by": this_user(),
        }
    ]
    assert "until lifted" in mailkeep("--site", site, "ban", "list").out


@pytest.mark.parametrize(
    ("span", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)]
)
def test_a_ban_ends_when_it_was_said_to(mailkeep: Run, site: Path, span: str, seconds: int) -> None:
    """`--for` counts from now."""
    before = datetime.now(UTC)
    done = mailkeep("--site", site, "ban", "add", "192.0.2.7", "--for", span)
    assert done.code == 0
    until = datetime.fromisoformat(str(bans(mailkeep, site)[0]["until"]))
    after = datetime.now(UTC)
    second = timedelta(seconds=1)
    assert before - second <= until - timedelta(seconds=seconds) <= after + second
    assert f"until {until:%Y-%m-%d %H:%M:%S}Z" in done.err


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
    ],
)
def test_what_is_banned_is_said_in_one_form(
    mailkeep: Run, site: Path, text: str, kept: str
) -> None:
    """So that it is lifted whichever way it is written."""
    assert mailkeep("--site", site, "ban", "add", text).err == f"banned {kept}\n"
    assert [ban["network"] for ban in bans(mailkeep, site)] == [kept]
    done = mailkeep("--site", site, "ban", "remove", text)
    assert (done.code, done.out, done.err) == (0, "", f"lifted the ban of {kept}\n")
    assert bans(mailkeep, site) == []


def test_a_second_ban_of_the_same_network_replaces_the_first(mailkeep: Run, site: Path) -> None:
    """An operator who thinks again is not asked to lift it before."""
    mailkeep("--site", site, "ban", "add", "192.0.2.7")
    mailkeep("--site", site, "ban", "add", "192.0.2.7/32", "--for", "1h", "--reason", "a guess")
    (ban,) = bans(mailkeep, site)
    assert ban["reason"] == "a guess"
    assert ban["until"] is not None


@pytest.mark.parametrize("verb", ["add", "remove"])
@pytest.mark.parametrize(
    "text", ["", "mail.example.com", "192.0.2.0/33", "fe80::1%eth0", "192.0.2.7\n192.0.2.8"]
)
def test_what_is_no_network_is_wrong_usage(mailkeep: Run, site: Path, verb: str, text: str) -> None:
    """Two lines, and no database is made of it."""
    done = mailkeep("--site", site, "ban", verb, text)
    assert (done.code, done.out) == (2, "")
    error, hint = done.err.splitlines()
    assert error.endswith("is not an address or network")
    assert hint.startswith("hint: write 192.0.2.7")
    assert not (site / "door.db").exists()


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ("1", "no span of time"),
        ("0d", "no span of time"),
        ("-1h", "no span of time"),
        ("1y", "no span of time"),
        ("٣m", "no span of time"),
        ("999999w", "longer than a hundred years"),
    ],
)
def test_what_is_no_span_is_wrong_usage(mailkeep: Run, site: Path, span: str, told: str) -> None:
    """Nobody is banned for a time that was not meant."""
    done = mailkeep("--site", site, "ban", "add", "192.0.2.7", f"--for={span}")
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert "hint: " in done.err
    assert bans(mailkeep, site) == []


def test_lifting_what_is_not_banned_is_said_with_1(mailkeep: Run, site: Path) -> None:
    """A wider or narrower network is another one."""
    mailkeep("--site", site, "ban", "add", "192.0.2.0/24")
    done = mailkeep("--site", site, "ban", "remove", "192.0.2.7")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "error: 192.0.2.7/32 is not banned",
        "hint: mailkeep ban list shows what is",
    ]
    assert len(bans(mailkeep, site)) == 1


def test_a_ban_that_is_over_is_not_listed_nor_lifted(mailkeep: Run, site: Path) -> None:
    """What only counts for the length of the next one bans nobody."""
    with app.open_bans(read_site(site)) as directory:
        directory.add("192.0.2.7", -1, "long ago", "door")
    assert bans(mailkeep, site) == []
    assert mailkeep("--site", site, "ban", "remove", "192.0.2.7").code == 1


def test_a_reason_from_outside_forges_no_line(mailkeep: Run, site: Path) -> None:
    """Whoever reads the list reads one line a ban."""
    reason = "x\n192.0.2.9/32  until lifted\x1b[2J"
    mailkeep("--site", site, "ban", "add", "192.0.2.7", "--reason", reason)
    listed = mailkeep("--site", site, "ban", "list").out
    assert len(listed.splitlines()) == 2
    assert "\x1b" not in listed
    assert bans(mailkeep, site)[0]["reason"] == reason


def test_a_ban_that_the_settings_overrule_is_said(mailkeep: Run, site: Path) -> None:
    """`allow` goes before: an operator must not believe that somebody is kept out."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write('[door]\nallow = ["10.1.0.0/16"]\n')
    done = mailkeep("--site", site, "ban", "add", "10.1.2.3")
    assert done.code == 0
    assert "`allow` under [door] names this network" in done.err
    assert "`allow`" not in mailkeep("--site", site, "ban", "add", "10.2.2.3").err


def test_a_damaged_memory_is_an_error_with_a_hint(mailkeep: Run, site: Path) -> None:
    """No trace, nothing changed."""
    (site / "door.db").write_bytes(b"no database" * 1000)
    for command in (("list",), ("add", "192.0.2.7"), ("remove", "192.0.2.7")):
        done = mailkeep("--site", site, "ban", *command)
        assert done.code == 1
        assert done.err.startswith("error: database ")
        assert "hint: " in done.err
