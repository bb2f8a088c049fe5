"""What a command changes is in force in a running server when the command has ended.

Every test has an account, a password and addresses of its own: the door remembers them all, and a
password that is refused on six accounts is hot.
"""

import itertools
import json
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.harness.client import UnexpectedReply, WireClient
from tests.harness.programs import DEADLINE_S
from tests.harness.site import PASSWORD, RunningSite, running_site

from mailkeep import app
from mailkeep.cli.changing import this_user
from mailkeep.database.opening import open_database
from mailkeep.defence.remembered import Changes, GuessesRow
from mailkeep.defence.store import DoorStore
from mailkeep.defence.tables import SCHEMA as DOOR_SCHEMA

AT_ONCE_S = 1.0
"""Within so long a session ends that may not go on."""

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A server of this file's own, as an operator would have it: its door trusts nobody."""
    with running_site(tmp_path_factory.mktemp("beside") / "site", limits={}) as site:
        yield site


@pytest.fixture
def name(server: RunningSite) -> str:
    """An account that no other test has, with one message."""
    number = next(NUMBERS)
    made = server.add_account(f"user{number}", main_password(f"user{number}"))
    server.deliver(made, b"Subject: hello\n\nworld\n")
    return made


def main_password(name: str) -> str:
    """Return the password that an account has at first."""
    return f"correct horse of {name}, battery"


@pytest.fixture
def source() -> str:
    """A network of loopback that no other test comes from, up to its last octet."""
    return f"127.9.{next(NUMBERS)}"


class ClientFrom(WireClient):
    """A connection from an address of loopback, under TLS and greeted."""

    def __init__(self, site: RunningSite, source: str) -> None:
        self._socket = socket.create_connection(site.pop3s, DEADLINE_S, (source, 0))
        self._received = bytearray()
        self.start_tls(site.ca)
        self.read_ok()

    def log_in(self, name: str, password: str) -> bytes:
        """Log in and return the last answer."""
        self.command(b"USER " + name.encode())
        self.send(b"PASS " + password.encode() + b"\r\n")
        return self.read_line()

    def ends_at_once(self) -> bool:
        """Tell whether the server closes, having sent nothing."""
        self._socket.settimeout(AT_ONCE_S)
        try:
            return self.read_end() == b""
        except TimeoutError:
            return False
        except (ssl.SSLError, ConnectionError):
            return True  # closed without TLS's own goodbye


def add_device(mailkeep: Run, site: RunningSite, name: str, device: str = "laptop") -> str:
    done = mailkeep("--site", site.folder, "device", "add", name, device)
    assert done.code == 0
    return done.out.strip()


def may_log_in(site: RunningSite, source: str, name: str, password: str) -> bool:
    with ClientFrom(site, source) as client:
        answer = client.log_in(name, password)
        if answer.startswith(b"+OK"):
            client.command(b"QUIT")
            return True
        assert answer.startswith(b"-ERR [AUTH] ")
        return False


def told(
    mailkeep: Run, site: RunningSite, *options: str, count: int = 1
) -> list[dict[str, object]]:
    """Return events when there are so many; the trail writes several times a second."""
    give_up_s = time.monotonic() + DEADLINE_S
    found: list[dict[str, object]] = []
    while len(found) < count and time.monotonic() < give_up_s:
        done = mailkeep("--site", site.folder, "events", "--json", *options)
        found = [json.loads(line) for line in done.out.splitlines()]
    assert len(found) == count
    return found


def test_revoking_a_device_ends_its_session_and_refuses_its_next_login(
    mailkeep: Run, server: RunningSite, name: str, source: str
) -> None:
    """Within a second; what it had marked is still there, and others go on."""
    password = add_device(mailkeep, server, name)
    other = add_device(mailkeep, server, server.add_account(f"{name}.neighbour"))
    with (
        ClientFrom(server, f"{source}.1") as client,
        ClientFrom(server, f"{source}.2") as neighbour,
    ):
        assert client.log_in(name, password).startswith(b"+OK")
        assert neighbour.log_in(f"{name}.neighbour", other).startswith(b"+OK")
        client.command(b"DELE 1")
        assert mailkeep("--site", server.folder, "device", "revoke", name, "laptop").code == 0
        assert client.ends_at_once()
        neighbour.command(b"NOOP")
    assert not may_log_in(server, f"{source}.1", name, password)
    assert len(list((server.maildir(name) / "new").iterdir())) == 1
    (revoked,) = told(mailkeep, server, "--account", name, "--type", "session-revoked")
    assert revoked["account"] == f"{name}@mail.example.test"


@pytest.mark.parametrize(
    "change",
    [
        ("account", "password", "{}", "--password-stdin"),
        ("account", "disable", "{}"),
        ("account", "expire", "{}", "2020-01-01"),
        ("account", "policy", "{}", "devices_only"),
        ("account", "remove", "{}", "--yes"),
    ],
    ids=lambda change: change[1],
)
def test_what_takes_the_main_password_away_ends_its_sessions(
    mailkeep: Run, server: RunningSite, name: str, source: str, change: tuple[str, ...]
) -> None:
    """Within a second, and the next login with it is refused."""
    with ClientFrom(server, f"{source}.1") as client:
        assert client.log_in(name, main_password(name)).startswith(b"+OK")
        arguments = [word.format(name) for word in change]
        done = mailkeep("--site", server.folder, *arguments, stdin=b"another horse, and staples")
        assert done.code == 0, done.err
        assert client.ends_at_once()
    assert not may_log_in(server, f"{source}.1", name, main_password(name))


def test_another_password_is_good_at_once(
    mailkeep: Run, server: RunningSite, name: str, source: str
) -> None:
    """The one that was remembered from the last login is not."""
    assert may_log_in(server, f"{source}.1", name, main_password(name))
    another = "another horse, and staples"
    command = ("account", "password", name, "--password-stdin")
    mailkeep("--site", server.folder, *command, stdin=another.encode())
    assert may_log_in(server, f"{source}.1", name, another)
    assert not may_log_in(server, f"{source}.1", name, main_password(name))


def test_what_takes_nothing_away_lets_sessions_go_on(
    mailkeep: Run, server: RunningSite, name: str, source: str
) -> None:
    """A device's session outlives a new name, another device's end, and what happens to the main
    password."""
    password = add_device(mailkeep, server, name)
    add_device(mailkeep, server, name, "phone")
    with ClientFrom(server, f"{source}.1") as client:
        assert client.log_in(name, password).startswith(b"+OK")
        for command in (
            ("device", "rename", name, "laptop", "notebook"),
            ("device", "revoke", name, "phone"),
            ("account", "policy", name, "devices_only"),
            ("account", "confirm", name),
            ("account", "expire", name, "2127-01-01"),
            ("account", "password", name, "--password-stdin"),
        ):
            done = mailkeep("--site", server.folder, *command, stdin=b"another horse, and staples")
            assert done.code == 0, done.err
            client.command(b"NOOP")
        client.command(b"QUIT")


def test_what_was_disabled_is_let_in_again_when_it_is_enabled(
    mailkeep: Run, server: RunningSite, name: str, source: str
) -> None:
    """With the password it had."""
    for command, is_let in (("disable", False), ("enable", True)):
        assert mailkeep("--site", server.folder, "account", command, name).code == 0
        assert may_log_in(server, f"{source}.1", name, main_password(name)) is is_let


def test_terms_of_a_device_are_kept_by_the_server(
    mailkeep: Run, server: RunningSite, name: str, source: str
) -> None:
    """`--from` and `--may read`; where it was used last is listed."""
    add = ("--site", server.folder, "device", "add", name, "scanner", "--may", "read")
    password = mailkeep(*add, "--from", f"{source}.1").out.strip()
    with ClientFrom(server, f"{source}.1") as client:
        assert client.log_in(name, password).startswith(b"+OK")
        client.command(b"RETR 1")
        client.read_body()
        with pytest.raises(UnexpectedReply, match="-ERR"):
            client.command(b"DELE 1")
        client.command(b"QUIT")
    assert not may_log_in(server, f"{source}.2", name, password)
    give_up_s = time.monotonic() + DEADLINE_S
    device: dict[str, object] = {}
    while not device.get("last_used") and time.monotonic() < give_up_s:
        listed = mailkeep("--site", server.folder, "device", "list", name, "--json")
        (device,) = json.loads(listed.out)
    assert device["last_address"] == f"{source}.1"
    assert device["last_client"]


def is_greeted(site: RunningSite, source: str) -> bool:
    try:
        with ClientFrom(site, source) as client:
            client.command(b"QUIT")
    except (OSError, UnexpectedReply):
        return False
    return True


def test_a_ban_is_in_force_at_once_and_so_is_its_end(
    mailkeep: Run, server: RunningSite, name: str, source: str
) -> None:
    """An operator's ban is for all: for a device, and for an account that has been there before."""
    ban = ("--site", server.folder, "ban")
    device = add_device(mailkeep, server, name)
    assert may_log_in(server, f"{source}.1", name, main_password(name))
    assert mailkeep(*ban, "add", f"{source}.0/24", "--reason", "a test").code == 0
    assert not is_greeted(server, f"{source}.1")
    assert not is_greeted(server, f"{source}.2")
    assert is_greeted(server, "127.0.0.1")
    assert mailkeep(*ban, "remove", f"{source}.0/24").code == 0
    assert may_log_in(server, f"{source}.1", name, main_password(name))
    assert may_log_in(server, f"{source}.2", name, device)
    kinds = ("--type", "prefix-banned", "--type", "prefix-unbanned")
    made, lifted = told(mailkeep, server, *kinds, count=2)
    assert (made["event"], made["reason"], made["by"]) == ("prefix banned", "a test", this_user())
    assert (lifted["event"], lifted["by"]) == ("prefix unbanned", this_user())


def test_the_trail_has_every_change_and_who_made_it(
    mailkeep: Run, server: RunningSite, name: str
) -> None:
    """In the order in which they were made; no password is in it."""
    password = add_device(mailkeep, server, name)
    for command in (
        ("device", "rename", name, "laptop", "notebook"),
        ("device", "revoke", name, "notebook"),
        ("account", "policy", name, "devices_only"),
        ("account", "policy", name, "site"),
        ("account", "expire", name, "2127-01-01"),
        ("account", "confirm", name),
        ("account", "disable", name),
        ("account", "enable", name),
        ("account", "remove", name, "--yes"),
    ):
        assert mailkeep("--site", server.folder, *command).code == 0
    changed = ("--account", name, "--type", "account-changed", "--type", "device-changed")
    events = told(mailkeep, server, *changed, count=11)
    assert [(it.get("device"), it["what"]) for it in events] == [
        (None, "added"),
        ("laptop", "added"),
        ("laptop", "renamed to notebook"),
        ("notebook", "revoked"),
        (None, "main password: devices_only"),
        (None, "main password: as the site"),
        (None, "expires: 2127-01-01 00:00 UTC"),
        (None, "main password confirmed"),
        (None, "disabled"),
        (None, "enabled"),
        (None, "removed"),
    ]
    assert {it["by"] for it in events[1:]} == {this_user()}
    assert password not in json.dumps(events)


def test_without_a_server_everything_works_and_is_told_at_its_next_start(
    mailkeep: Run, tmp_path: Path, source: str
) -> None:
    """Changes of the time between are in the trail; revoked devices and bans are in force."""
    with running_site(tmp_path / "site", limits={}) as site:
        site.add_account("alice")
        password = add_device(mailkeep, site, "alice")
        assert may_log_in(site, f"{source}.1", "alice", password)
        site.stop()
        for command in (
            ("device", "revoke", "alice", "laptop"),
            ("account", "disable", "alice"),
            ("account", "enable", "alice"),
            ("ban", "add", f"{source}.2"),
        ):
            done = mailkeep("--site", site.folder, *command)
            assert done.code == 0
            assert len(done.err.splitlines()) == 1
        site.restart()
        assert not may_log_in(site, f"{source}.1", "alice", password)
        assert not is_greeted(site, f"{source}.2")
        events = told(mailkeep, site, "--account", "alice", "--type", "device-changed", count=2)
        assert [(it["what"], it["by"]) for it in events] == [
            ("added", this_user()),
            ("revoked", this_user()),
        ]
        banned = told(mailkeep, site, "--type", "prefix-banned")
        assert [(it["prefix"], it["by"]) for it in banned] == [(f"{source}.2/32", this_user())]
        changed = told(mailkeep, site, "--account", "alice", "--type", "account-changed", count=3)
        assert [it["what"] for it in changed] == ["added", "disabled", "enabled"]


def note_guesses(site: RunningSite, name: str, failures: int) -> None:
    """Have strangers guessed at a main password, as the door writes it down."""
    with app.open_accounts(site.site) as directory:
        account = directory.get(site.site.address(name)).id
    database = open_database(site.site.door_database, DOOR_SCHEMA, create=False)
    now_s = datetime.now(UTC).timestamp()
    DoorStore(database).save(Changes(guesses=(GuessesRow(account, failures, now_s - 60),)), now_s)
    database.close()


@pytest.mark.parametrize("change", ["confirm", "password"])
def test_a_main_password_that_was_guessed_at_is_good_again_when_its_owner_says_so(
    mailkeep: Run, tmp_path: Path, source: str, change: str
) -> None:
    """Refused from strangers after 100 failures, shown to the operator, and let in by a running
    server as soon as it is confirmed or changed."""
    another = "another horse, and staples"
    with running_site(tmp_path / "site", limits={}) as site:
        site.add_account("alice")
        site.stop()
        note_guesses(site, "alice", 100)
        site.restart()
        assert not may_log_in(site, f"{source}.1", "alice", PASSWORD)
        show = ("--site", site.folder, "account", "show", "alice", "--json")
        shown = json.loads(mailkeep(*show).out)
        assert shown["main_password_locked"] is True
        assert shown["failed_guesses"] >= 100
        options = ("--password-stdin",) if change == "password" else ()
        command = ("--site", site.folder, "account", change, "alice", *options)
        assert mailkeep(*command, stdin=another.encode()).code == 0
        shown = json.loads(mailkeep(*show).out)
        assert (shown["failed_guesses"], shown["main_password_locked"]) == (0, False)
        good = another if change == "password" else PASSWORD
        assert may_log_in(site, f"{source}.2", "alice", good)
