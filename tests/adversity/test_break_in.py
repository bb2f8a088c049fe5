"""After a break-in: `events report` says exactly which messages the intruder's session was sent."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.client import WireClient
from tests.harness.programs import run
from tests.harness.site import MAILKEEP, PASSWORD, RunningSite, python_path, running_site

MAIL = [b"Subject: secret %d\r\n\r\n%s" % (n, b"the plans\r\n" * 400 * n) for n in range(1, 9)]
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 600_000
"""More than any buffer on the way holds, so that it can be broken off in the middle."""

INTRUDER, OWNER = "127.0.0.66", "127.0.0.1"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    with running_site(tmp_path / "site") as served:
        served.add_account("alice")
        served.add_account("bob")
        served.deliver("alice", *MAIL, BIG)
        served.deliver("bob", *MAIL)
        yield served


def logged_in(site: RunningSite, name: str, source: str) -> WireClient:
    client = WireClient(site.pop3s, source=source)
    client.start_tls(site.ca)
    client.read_ok()
    client.command(b"USER " + name.encode())
    client.command(b"PASS " + PASSWORD.encode())
    return client


def uidls_of(client: WireClient) -> list[str]:
    return [uidl.decode() for _, uidl in client.listing(b"UIDL")]


def guess(site: RunningSite, name: str, source: str) -> None:
    """Send two wrong passwords."""
    with WireClient(site.pop3s, source=source) as client:
        client.start_tls(site.ca)
        client.read_ok()
        for number in range(2):
            client.command(b"USER " + name.encode())
            client.send(b"PASS not this one %d\r\n" % number)
            assert client.read_line().startswith(b"-ERR [AUTH]")


def report(site: RunningSite, *arguments: str) -> dict[str, object]:
    done = run(
        (*MAILKEEP, "--site", site.folder, "events", "report", "alice", *arguments, "--json"),
        environment=python_path(),
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_the_report_lists_what_the_intruder_read_and_nothing_else(site: RunningSite) -> None:
    """RETR, TOP, one broken off, one deleted; beside the owner's own and another account's."""
    with logged_in(site, "alice", OWNER) as owner:
        uidls = uidls_of(owner)
        list(owner.bodies([b"RETR 1", b"RETR 2"]))
        owner.command(b"QUIT")
    with logged_in(site, "bob", INTRUDER) as other:
        list(other.bodies([b"RETR 7"]))
        other.command(b"QUIT")
    guess(site, "alice", INTRUDER)
    with logged_in(site, "alice", INTRUDER) as intruder:
        list(intruder.bodies([b"RETR 2", b"RETR 5", b"RETR 5"]))
        intruder.send(b"TOP 6 3\r\n")
        intruder.read_ok()
        intruder.read_body()
        intruder.command(b"DELE 5")
        intruder.command(b"DELE 7")
        intruder.command(b"RSET")
        intruder.command(b"DELE 5")
        intruder.command(b"QUIT")
    with logged_in(site, "alice", INTRUDER) as again:
        again.send(b"RETR 8\r\n")
        again.read_ok()
        again.read_line()
    with logged_in(site, "alice", OWNER) as owner:
        assert uidls[4] not in uidls_of(owner)
        owner.command(b"QUIT")

    sessions = report(site, "--since", "1h")["sessions"]
    assert isinstance(sessions, list)
    first, second = (one for one in sessions if one["peer"].startswith(INTRUDER))
    assert {m["uidl"] for m in first["messages"]} == {uidls[1], uidls[4], uidls[5]}
    by_uidl = {m["uidl"]: m for m in first["messages"]}
    assert by_uidl[uidls[4]]["times"] == 2
    assert by_uidl[uidls[4]]["sha256"] == hashlib.sha256(MAIL[4]).hexdigest()
    assert (by_uidl[uidls[5]]["whole"], by_uidl[uidls[5]]["top_lines"]) == (False, 3)
    assert by_uidl[uidls[5]]["sha256"] == hashlib.sha256(MAIL[5]).hexdigest()
    assert [d["uidl"] for d in first["deletions"] if d["done"]] == [uidls[4]]
    assert first["refused_here"] == 2
    assert not first["whole_maildrop"]
    [broken_off] = second["messages"]
    assert broken_off["uidl"] == uidls[8]
    assert not broken_off["whole"]
    assert broken_off["octets"] < len(BIG)
