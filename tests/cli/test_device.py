"""`mailkeep device`, end to end on a real site without a server."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Run

from mailkeep.accounts.generated import ALPHABET
from mailkeep.tls.authority import create_authority, issue

ADDRESS = "alice@mail.example.com"


@pytest.fixture
def alice(mailkeep: Run, site: Path) -> Path:
    """A site with an account."""
    done = mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    assert done.code == 0
    return site


def devices(mailkeep: Run, site: Path, address: str = "alice") -> list[dict[str, object]]:
    listed = mailkeep("--site", site, "device", "list", address, "--json")
    assert (listed.code, listed.err) == (0, "")
    found: list[dict[str, object]] = json.loads(listed.out)
    return found


def certificate(folder: Path, *, made: datetime) -> Path:
    """Return a certificate that is good for 366 days."""
    create_authority(folder, "client.example.com", made)
    issue(folder, "client.example.com", made)
    return folder / "server.pem"


def test_the_password_alone_is_on_standard_output_and_only_once(mailkeep: Run, alice: Path) -> None:
    """A script takes it from there; no later command shows it, nor is it in any file."""
    done = mailkeep("--site", alice, "device", "add", "alice", "office printer")
    assert done.code == 0
    password = done.out.removesuffix("\n")
    assert re.fullmatch(r"([a-z2-9]{5}-){4}[a-z2-9]{5}", password)
    assert done.err == (f"added office printer for {ADDRESS}; its password is shown only now:\n")
    for command in (("device", "list", "alice"), ("account", "show", "alice"), ("doctor",)):
        later = mailkeep("--site", alice, *command)
        assert password not in later.out + later.err
    letters = password.replace("-", "")
    kept = b"".join(path.read_bytes() for path in alice.rglob("*") if path.is_file())
    assert password.encode() not in kept
    assert letters.encode() not in kept


def test_a_password_has_at_least_100_bits_and_is_another_each_time(
    mailkeep: Run, alice: Path
) -> None:
    """So that a fast hash is enough to keep it by."""
    made = [mailkeep("--site", alice, "device", "add", "alice", f"d{n}").out for n in range(3)]
    assert len(set(made)) == 3
    for password in made:
        letters = password.strip().replace("-", "")
        assert set(letters) <= set(ALPHABET)
        assert len(letters) * math.log2(len(ALPHABET)) > 100


def test_terms_are_kept_and_shown(mailkeep: Run, alice: Path) -> None:
    """From where, until when, and what it may do."""
    done = mailkeep(
        *("--site", alice, "device", "add", "alice", "scanner", "--may", "read"),
        *("--from", "10.1.0.0/16", "--from", "2001:db8::/32", "--from", "192.0.2.7"),
        *("--until", "2127-06-01"),
    )
    assert done.code == 0
    (device,) = devices(mailkeep, alice)
    assert device["may"] == "read"
    assert device["from"] == ["10.1.0.0/16", "2001:db8::/32", "192.0.2.7/32"]
    assert device["until"] == "2127-06-01T00:00:00+00:00"
    shown = mailkeep("--site", alice, "device", "list", "alice").out.splitlines()
    assert shown[0].split() == [
        *("NAME", "MAY", "UNTIL", "LAST", "USED", "ADDRESS", "CLIENT", "FROM")
    ]
    assert "10.1.0.0/16, 2001:db8::/32, 192.0.2.7/32" in shown[1]
    assert "2127-06-01" in shown[1]


def test_without_terms_a_device_may_do_everything_from_everywhere(
    mailkeep: Run, alice: Path
) -> None:
    """The defaults, as `--json` has them; its names stay."""
    mailkeep("--site", alice, "device", "add", "alice", "laptop")
    (device,) = devices(mailkeep, alice)
    assert device.pop("created")
    assert device == {
        "name": "laptop",
        "may": "delete",
        "from": [],
        "until": None,
        "last_used": None,
        "last_address": None,
        "last_client": None,
        "certificate": None,
    }


def test_an_ipv4_network_inside_ipv6_is_the_ipv4_network(mailkeep: Run, alice: Path) -> None:
    """RFC 4291 section 2.5.5.2: a client has one address, however it arrives."""
    network = "::ffff:10.1.0.0/112"
    mailkeep("--site", alice, "device", "add", "alice", "laptop", "--from", network)
    assert devices(mailkeep, alice)[0]["from"] == ["10.1.0.0/16"]


@pytest.mark.parametrize(
    ("options", "told", "hint"),
    [
        (("--from", "printer.example.com"), "is not a network", "10.1.0.0/16"),
        (("--from", "10.1.0.0/33"), "is not a network", "10.1.0.0/16"),
        (("--from", "fe80::1%eth0"), "is not a network", "2001:db8::/32"),
        (
            ("--from", "10.1.0.7/16"),
            "10.1.0.7/16 is not a network",
            "10.1.0.0/16 is the whole network, 10.1.0.7 the one computer",
        ),
        (("--until", "tomorrow"), "is no date or time", "2027-06-01"),
        (("--until", "2020-01-01"), "2020-01-01 is over", "name a later one"),
        (("--until", "0001-01-01T00:00+14:00"), "is no date or time", "2027-06-01"),
        (("--may", "write"), "read", "mailkeep device add --help"),
        (("--certificate", "nothing.pem"), "cannot be read: No such file", "PEM"),
        (("--certificate", "/"), "cannot be read: Is a directory", "PEM"),
    ],
)
def test_terms_that_cannot_be_kept_make_no_device(
    mailkeep: Run, alice: Path, options: tuple[str, ...], told: str, hint: str
) -> None:
    """Wrong usage: exit 2, two lines, and nothing was changed."""
    done = mailkeep("--site", alice, "device", "add", "alice", "laptop", *options)
    assert (done.code, done.out) == (2, "")
    error, following = done.err.splitlines()
    assert error.startswith("error: ")
    assert told in error
    assert following.startswith("hint: ")
    assert hint in following
    assert devices(mailkeep, alice) == []


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[2J", "x" * 101])
def test_what_can_be_no_name_is_wrong_usage(mailkeep: Run, alice: Path, name: str) -> None:
    """It stands in every line of the record, so it is one line that a person can read."""
    done = mailkeep("--site", alice, "device", "add", "alice", name)
    assert (done.code, done.out) == (2, "")
    assert "1 to 100 printable characters" in done.err
    assert "hint: " in done.err
    assert "\x1b" not in done.err
    assert devices(mailkeep, alice) == []


@pytest.mark.parametrize("again", ["Office Printer", "office  printer", " OFFICE PRINTER "])
def test_two_devices_of_an_account_have_two_names(mailkeep: Run, alice: Path, again: str) -> None:
    """Neither case nor spaces count; a password that was not made is not printed."""
    mailkeep("--site", alice, "device", "add", "alice", "office printer")
    done = mailkeep("--site", alice, "device", "add", "alice", again)
    assert (done.code, done.out) == (1, "")
    assert "already" in done.err
    assert f"hint: mailkeep device list {ADDRESS} shows what is there" in done.err


@pytest.mark.parametrize(
    "command",
    [
        ("add", "bob", "laptop"),
        ("list", "bob"),
        ("revoke", "bob", "laptop"),
        ("rename", "bob", "laptop", "desktop"),
    ],
)
def test_an_unknown_account_has_no_devices(
    mailkeep: Run, alice: Path, command: tuple[str, ...]
) -> None:
    """Exit 1, and where to look."""
    done = mailkeep("--site", alice, "device", *command)
    assert (done.code, done.out) == (1, "")
    assert "there is no account bob@mail.example.com" in done.err
    assert "hint: mailkeep account list" in done.err


@pytest.mark.parametrize("command", [("revoke", "laptop"), ("rename", "laptop", "desktop")])
def test_an_unknown_device_is_said(mailkeep: Run, alice: Path, command: tuple[str, ...]) -> None:
    """Exit 1, and where to look."""
    verb, *names = command
    done = mailkeep("--site", alice, "device", verb, "alice", *names)
    assert (done.code, done.out) == (1, "")
    assert f'{ADDRESS} has no device "laptop"' in done.err
    assert f"hint: mailkeep device list {ADDRESS}" in done.err


def test_a_device_is_renamed_and_revoked(mailkeep: Run, alice: Path) -> None:
    """By a name that is written otherwise, too; what was said goes to standard error."""
    at = ("--site", alice, "device")
    mailkeep(*at, "add", "alice", "office printer")
    done = mailkeep(*at, "rename", "alice", "Office Printer", "printer, 2nd floor")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"Office Printer of {ADDRESS} is printer, 2nd floor now\n"
    assert [it["name"] for it in devices(mailkeep, alice)] == ["printer, 2nd floor"]
    done = mailkeep(*at, "revoke", "alice", "printer, 2ND floor")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"revoked printer, 2nd floor of {ADDRESS}\n"
    assert devices(mailkeep, alice) == []


def test_a_name_that_is_taken_is_no_new_name(mailkeep: Run, alice: Path) -> None:
    """Both devices stay what they were."""
    for name in ("one", "two"):
        mailkeep("--site", alice, "device", "add", "alice", name)
    done = mailkeep("--site", alice, "device", "rename", "alice", "one", "Two")
    assert done.code == 1
    assert [it["name"] for it in devices(mailkeep, alice)] == ["one", "two"]


def test_a_certificate_is_a_device_without_a_password(
    mailkeep: Run, alice: Path, tmp_path: Path
) -> None:
    """Nothing on standard output; and clients are asked for one only if the settings say so."""
    pem = certificate(tmp_path / "client", made=datetime.now(UTC))
    add = ("--site", alice, "device", "add", "alice")
    done = mailkeep(*add, "scanner", "--certificate", pem)
    assert (done.code, done.out) == (0, "")
    assert "it logs in with EXTERNAL" in done.err
    assert "client_ca is set under [tls]" in done.err
    (device,) = devices(mailkeep, alice)
    assert re.fullmatch("[0-9a-f]{64}", str(device["certificate"]))
    assert "certificate" in mailkeep("--site", alice, "device", "list", "alice").out
    again = mailkeep(*add, "another", "--certificate", pem)
    assert again.code == 1
    assert "another device's already" in again.err
    with (alice / "mailkeep.toml").open("a") as settings:
        settings.write(f'[tls]\nclient_ca = "{tmp_path}/client/ca.pem"\n')
    mailkeep("--site", alice, "device", "revoke", "alice", "scanner")
    done = mailkeep(*add, "scanner", "--certificate", pem)
    assert "client_ca" not in done.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no certificate"),
        (b"\x30\x82\x01", "holds no certificate"),
        ("key", "holds no certificate"),
        ("old", "has expired"),
    ],
)
def test_what_is_no_good_certificate_makes_no_device(
    mailkeep: Run, alice: Path, tmp_path: Path, content: bytes | str, told: str
) -> None:
    """DER, a key, one that is over: the handshake would fail, and nobody would know why."""
    age = timedelta(days=400 if content == "old" else 0)
    path = certificate(tmp_path / "client", made=datetime.now(UTC) - age)
    if isinstance(content, bytes):
        path.write_bytes(content)
    if content == "key":
        path = tmp_path / "client" / "server.key"
    done = mailkeep("--site", alice, "device", "add", "alice", "s", "--certificate", path)
    assert (done.code, done.out) == (2, "")
    assert f"{path}: " in done.err
    assert told in done.err
    assert "hint: " in done.err
    assert devices(mailkeep, alice) == []
