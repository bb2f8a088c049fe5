"""`mailkeep doctor` finds what is wrong with a site and says how to mend it."""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, WRONG, Run, findings
from tests.harness.site import listening_port, start_serving

from mailkeep.app import open_bans
from mailkeep.cli.init import make_site, settings_text
from mailkeep.events.fanout import Sinks
from mailkeep.events.trail import open_trail
from mailkeep.site import Service, read_site
from mailkeep.tls.authority import create_authority, issue

BEHIND = """
[[listen]]
service = "pop3"
address = "127.0.0.1:{port}"
proxy_from = ["127.0.0.1"]
"""


def test_a_new_site_is_well(mailkeep: Run, site: Path) -> None:
    """What `init` makes has nothing wrong, and nobody can log in yet."""
    found = findings(mailkeep, site)
    assert {it["level"] for it in found.values()} == {"ok", "note"}
    assert found["accounts"]["hint"] == "mailkeep account add NAME"
    assert found.keys() == {
        *("settings", "folder", "site key", "database", "accounts", "maildrops"),
        *("certificate", "ports"),
    }


def test_json_has_the_promised_names(mailkeep: Run, site: Path) -> None:
    """`--json` is stable: check, level, text, hint."""
    listed = json.loads(mailkeep("--site", site, "doctor", "--json").out)
    assert all(it.keys() == {"check", "level", "text", "hint"} for it in listed)


def test_each_finding_is_a_line_and_a_hint(mailkeep: Run, site: Path) -> None:
    """For people: the level first, the hint below."""
    site.chmod(0o755)
    done = mailkeep("--site", site, "doctor")
    lines = done.out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("wrong"))
    assert lines[place] == f"wrong  folder       {site} is open to others (755)"
    assert lines[place + 1].strip() == f"hint: chmod 700 {site}"
    assert done.err == "error: 1 check failed\n"


def test_settings_that_cannot_be_read_are_the_only_finding(mailkeep: Run, site: Path) -> None:
    """Nothing else can be looked at without them."""
    (site / "mailkeep.toml").write_text("hostnam = 1\n")
    found = findings(mailkeep, site)
    assert found.keys() == {"settings"}
    assert "unknown key" in str(found["settings"]["text"])


def test_a_site_that_is_not_there(mailkeep: Run, tmp_path: Path) -> None:
    """The confused user is told how to make one."""
    assert findings(mailkeep, tmp_path / "none")["site"]["level"] == WRONG


@pytest.mark.root
def test_a_site_of_somebody_else(mailkeep: Run, site: Path) -> None:
    """Root is told who to be."""
    os.chown(site, 12345, 12345)
    assert "sudo -u #12345" in str(findings(mailkeep, site)["owner"]["hint"])


@pytest.mark.parametrize(
    "name",
    ["mailkeep.db", "door.db", "events.db", "tls/server.key", "tls/ca.key", "trail/signing.key"],
)
def test_secrets_that_others_can_read(mailkeep: Run, site: Path, name: str) -> None:
    """Password hashes, keys, and who was where are for the site's user alone."""
    with open_bans(read_site(site)):
        open_trail(site / "trail", site / "events.db", Sinks()).close()
    (site / name).chmod(0o640)
    assert findings(mailkeep, site)["secrets"]["hint"] == f"chmod 600 {site / name}"


@pytest.mark.parametrize("broken", ["missing", "damaged"])
def test_a_database_that_cannot_be_used(mailkeep: Run, site: Path, broken: str) -> None:
    """The accounts are gone or unreadable; the rest is looked at all the same."""
    database = site / "mailkeep.db"
    database.unlink() if broken == "missing" else database.write_bytes(b"no database" * 1000)
    found = findings(mailkeep, site)
    assert found["database"]["level"] == WRONG
    assert found["certificate"]["level"] == "ok"


def other_certificate(folder: Path, hostname: str, *, made: datetime) -> None:
    create_authority(folder, hostname, made)
    issue(folder, hostname, made)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("key", "does not belong to the certificate"),
        ("name", "it is not for mail.example.com"),
        ("expired", "it expired on"),
        ("late", "it expires in"),
        ("missing", "server.pem"),
        ("garbage", "server.pem"),
    ],
)
def test_a_certificate_that_clients_will_refuse(
    mailkeep: Run, site: Path, tmp_path: Path, broken: str, told: str
) -> None:
    """Key, name, dates, file: before the first client complains."""
    now = datetime.now(UTC)
    age = {"expired": timedelta(days=400), "late": timedelta(days=300)}.get(broken, timedelta())
    hostname = "other.example.com" if broken == "name" else "mail.example.com"
    other_certificate(tmp_path / "other", hostname, made=now - age)
    match broken:
        case "missing":
            (site / "tls" / "server.pem").unlink()
        case "garbage":
            (site / "tls" / "server.pem").write_text("no certificate")
        case "key":
            shutil.copy(tmp_path / "other" / "server.key", site / "tls" / "server.key")
        case _:
            for name in ("server.pem", "server.key"):
                shutil.copy(tmp_path / "other" / name, site / "tls" / name)
    finding = findings(mailkeep, site)["certificate"]
    assert finding["level"] == WRONG
    assert told in str(finding["text"])


def test_accounts_that_share_a_maildrop(mailkeep: Run, site: Path) -> None:
    """The settings changed after the account was added."""
    add = ("--site", site, "account", "add", "alice@example.org", "--password-stdin")
    mailkeep(*add, stdin=PASSWORD)
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write('[maildrops]\npath = "mail/{local}"\n')
    assert "alice@example.org" in str(findings(mailkeep, site)["maildrops"]["text"])


def test_maildrops_that_cannot_be_made(mailkeep: Run, site: Path) -> None:
    """The path leads through a file; modes would not stop root."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write('[maildrops]\npath = "mailkeep.toml/{local}"\n')
    finding = findings(mailkeep, site)["maildrops"]
    assert finding["level"] == WRONG
    assert "no maildrop can be made" in str(finding["text"])


def test_a_limit_below_the_rfc_is_a_note(mailkeep: Run, site: Path) -> None:
    """RFC 1939 section 3: ten minutes at least."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write("[limits]\nidle_s = 60\n")
    assert findings(mailkeep, site)["limits"]["level"] == "note"


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def set_port(site: Path, port: int, service: Service = Service.POP3S) -> None:
    text = settings_text("mail.example.com", [(service, f"127.0.0.1:{port}")])
    (site / "mailkeep.toml").write_text(text)


def test_a_free_port(mailkeep: Run, site: Path) -> None:
    """Nobody listens and the server could."""
    with listening() as listener:
        port = listener.getsockname()[1]
    set_port(site, port)
    assert findings(mailkeep, site)["ports"]["text"] == f"pop3s 127.0.0.1:{port} is free"


@pytest.mark.parametrize("service", list(Service))
def test_a_port_that_something_else_has(
    mailkeep: Run, site: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever accepts and says nothing is no POP3 server; the doctor does not wait for ever."""
    monkeypatch.setattr("mailkeep.cli.doctor_ports._ANSWER_WITHIN_S", 0.2)
    with listening() as listener:
        set_port(site, listener.getsockname()[1], service)
        finding = findings(mailkeep, site)["ports"]
    assert finding["level"] == WRONG
    assert "taken by something else" in str(finding["text"])
    assert "ss -ltnp" in str(finding["hint"])


def test_an_address_that_this_machine_has_not(mailkeep: Run, site: Path) -> None:
    """Copied from another machine's settings (RFC 5737 addresses are nobody's)."""
    text = settings_text("mail.example.com", [(Service.POP3S, "127.0.0.1:1")])
    (site / "mailkeep.toml").write_text(text.replace("127.0.0.1:1", "192.0.2.1:9950"))
    assert findings(mailkeep, site)["ports"]["level"] == WRONG


def test_a_port_that_is_served_by_this_site(mailkeep: Run, tmp_path: Path) -> None:
    """Told by the certificate, on pop3s and over STLS, and by the figures; and so is a server with
    an old certificate."""
    site = tmp_path / "site"
    three = [(service, "127.0.0.1:0") for service in Service]
    make_site(site, settings_text("localhost", three))
    serving = start_serving(site)
    try:
        ports = [
            (service, f"127.0.0.1:{listening_port(serving, service).number}")
            for service, _ in three
        ]
        (site / "mailkeep.toml").write_text(settings_text("localhost", ports))
        out = mailkeep("--site", site, "doctor").out
        assert out.count("is served with this site's certificate") == 2
        assert out.count("serves the figures of a Mailkeep") == 1
        shutil.rmtree(site / "tls")
        other_certificate(site / "tls", "localhost", made=datetime.now(UTC))
        serving_old = findings(mailkeep, site)["ports"]
    finally:
        assert serving.stop() == 0
    assert "another certificate" in str(serving_old["text"])
    assert "SIGHUP" in str(serving_old["hint"])


def test_a_site_that_is_being_served_is_well(mailkeep: Run, site: Path) -> None:
    """The databases are open and the trail is being written: no lock is waited for or taken."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    serving = start_serving(site)
    try:
        found = findings(mailkeep, site)
    finally:
        assert serving.stop() == 0
    assert {it["level"] for it in found.values()} == {"ok"}
    assert {"door", "trail", "events"} <= found.keys()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_looking_makes_and_changes_no_file(mailkeep: Run, site: Path) -> None:
    """Not even what every other command makes: a key that is missing is a finding."""
    (site / "site.key").unlink()
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write(
            '[door]\nbans_file = "bans"\nplaces = "places.mmdb"\n'
            '[log]\nfailed_logins = "failed"\n'
            '[login]\nbreached_passwords = "breached"\n'
            '[oauth]\nissuer = "i"\naudience = "a"\nkeys = "keys.json"\n'
        )
    before = contents(site)
    assert mailkeep("--site", site, "doctor").code == 1
    assert contents(site) == before


@pytest.mark.parametrize(
    ("address", "allow", "is_open"),
    [
        ("0.0.0.0:0", None, True),
        ("[::]:0", None, True),
        ("8.8.8.8:0", None, True),
        ("127.0.0.1:0", None, False),
        ("[::1]:0", None, False),
        ("10.1.2.3:0", None, False),
        ("0.0.0.0:0", "10.1.0.0/16", False),
    ],
)
def test_figures_for_everybody_are_a_note(
    mailkeep: Run, site: Path, address: str, allow: str | None, is_open: bool
) -> None:
    """They tell who is attacked; on a private network, or with `allow`, it was meant."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write(f'[[listen]]\nservice = "metrics"\naddress = "{address}"\n')
        if allow:
            settings.write(f'allow = ["{allow}"]\n')
    found = findings(mailkeep, site)
    assert ("metrics" in found) == is_open
    if is_open:
        assert found["metrics"]["level"] == "note"
        assert found["metrics"]["hint"]


def test_a_port_behind_a_proxy_is_asked_as_the_proxy_does(mailkeep: Run, tmp_path: Path) -> None:
    """A server that waits for a PROXY header is this site's all the same."""
    site = tmp_path / "site"
    text = settings_text("localhost", [(Service.POP3S, "127.0.0.1:0")])
    make_site(site, text + BEHIND.format(port=0))
    serving = start_serving(site)
    try:
        port = listening_port(serving, Service.POP3).number
        (site / "mailkeep.toml").write_text(text + BEHIND.format(port=port))
        out = mailkeep("--site", site, "doctor").out
    finally:
        assert serving.stop() == 0
    assert f"pop3 127.0.0.1:{port} is served with this site's certificate" in out


def test_authorities_of_client_certificates(mailkeep: Run, site: Path) -> None:
    """A file that holds none keeps `serve` from starting."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write('[tls]\nclient_ca = "tls/ca.pem"\n')
    assert findings(mailkeep, site)["client ca"]["level"] == "ok"
    (site / "tls" / "ca.pem").write_text("no certificate")
    assert findings(mailkeep, site)["client ca"]["level"] == WRONG
    (site / "tls" / "ca.pem").unlink()
    finding = findings(mailkeep, site)["client ca"]
    assert finding["level"] == WRONG
    assert "cannot be read" in str(finding["text"])
