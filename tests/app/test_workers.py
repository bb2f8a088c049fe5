"""Two workers serve one site: nobody can tell, and one that dies takes nothing along."""

import json
import os
import signal
import threading
import time
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.app.conftest import Two, connect
from tests.harness.client import UnexpectedReply, WireClient
from tests.harness.processes import is_alive, worker_with
from tests.harness.programs import DEADLINE_S, run
from tests.harness.site import HOSTNAME, MAILKEEP, python_path, running_site

from mailkeep.tls.authority import SERVER, renew_if_due

SHARES = 300
"""Connections that are counted: 40 % of them is 3.5 standard deviations from the middle."""


def mailkeep(two: Two, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run a command beside the server."""
    command: tuple[str | Path, ...] = (*MAILKEEP, "--site", two.site.folder, *arguments)
    return run(command, stdin=stdin, environment=python_path()).stdout


def is_ended(client: WireClient) -> bool:
    """Tell whether the server has ended a connection."""
    try:
        return client.read_end() == b""
    except OSError:
        return True


def until_dead(pid: int) -> None:
    """Return when a process has ended."""
    deadline_s = time.monotonic() + DEADLINE_S
    while is_alive(pid):
        assert time.monotonic() < deadline_s, f"{pid} lives on"
        os.sched_yield()


def events(two: Two, kind: str) -> list[dict[str, object]]:
    """Return what the trail has of one kind."""
    lines = mailkeep(two, "events", "--type", kind, "--json").splitlines()
    return [json.loads(line) for line in lines]


def test_a_worker_that_is_killed_is_replaced_and_takes_nothing_along(two: Two) -> None:
    """Its lease is free at once, the others' sessions go on, and its sessions' end is told."""
    first, second = two.workers
    alice, bob = two.logged_in("alice", on=first), two.logged_in("bob", on=second)
    alice.command(b"DELE 1")
    two.site.wait_for("login accepted", 2)  # what happened just before would die with the worker
    os.kill(first, signal.SIGKILL)
    assert is_ended(alice)
    with two.logged_in("alice", on=second) as again:
        assert again.command(b"STAT").startswith(b"2 ")
        bob.command(b"NOOP")
    two.site.wait_for("worker started", 3)
    successor = next(pid for pid in two.workers if pid != second)
    with two.logged_in("alice", on=successor) as once_more:
        assert once_more.command(b"STAT").startswith(b"2 ")
    (ended,) = events(two, "worker-ended")
    assert ended["pid"] == first
    hows = [event["how"] for event in events(two, "session-ended")]
    assert "its worker ended" in hows


def test_what_waits_for_a_dead_worker_goes_to_its_successor(two: Two) -> None:
    """The supervisor keeps the sockets: no connection is refused in between."""
    for pid in two.workers:
        os.kill(pid, signal.SIGKILL)
    for _ in range(10):
        with connect(two.site) as client:
            client.command(b"CAPA")


def test_workers_end_with_the_supervisor(two: Two) -> None:
    """Nobody would keep the record."""
    workers = two.workers
    session = two.logged_in("alice")
    os.kill(two.site.pid, signal.SIGKILL)
    for pid in workers:
        until_dead(pid)
    assert is_ended(session)
    assert two.site.wait() == -signal.SIGKILL
    two.site.restart_after_death()
    with two.logged_in("alice") as again:
        again.command(b"STAT")


def test_sighup_reaches_all(two: Two) -> None:
    """A new certificate is shown by every worker when the log says that it is loaded."""
    before = {two.client(on=pid).certificate for pid in two.workers}
    (two.site.folder / "tls" / SERVER).unlink()
    assert renew_if_due(two.site.folder / "tls", HOSTNAME, datetime.now(UTC))
    os.kill(two.site.pid, signal.SIGHUP)
    two.site.wait_for("certificate loaded", 2)
    shown = {two.client(on=pid).certificate for pid in two.workers}
    assert len(shown) == 1
    assert not shown & before


@pytest.mark.parametrize("place", [0, 1])
def test_a_revoked_device_is_out_wherever_it_is(two: Two, place: int) -> None:
    """When the command returns its session has ended."""
    password = mailkeep(two, "device", "add", "alice", "laptop").split()[-1]
    session = two.client(on=two.workers[place])
    session.command(b"USER alice")
    session.command(b"PASS " + password)
    mailkeep(two, "device", "revoke", "alice", "laptop")
    before_s = time.monotonic()
    with suppress(UnexpectedReply, OSError):
        session.command(b"NOOP")
        pytest.fail("it goes on")
    assert time.monotonic() - before_s < 1


def test_an_operators_ban_holds_everywhere(two: Two) -> None:
    """When the command returns, no worker keeps anybody from there for a second.

    A worker that has not asked about a source for a minute asks while it greets: the greeting may
    come through, and then the connection ends.
    """
    for pid in two.workers:
        two.client(source="127.0.0.9", on=pid).close()
    mailkeep(two, "ban", "add", "127.0.0.9")
    for _ in range(12):
        with suppress(OSError, UnexpectedReply), connect(two.site, source="127.0.0.9") as client:
            until_s = time.monotonic() + 1
            while time.monotonic() < until_s:
                client.command(b"CAPA")
            pytest.fail("let in")
    two.client(source="127.0.0.8")


def test_failures_count_over_all_workers(tmp_path: Path) -> None:
    """Guesses that are spread over workers wait as if there were one: nothing, 2 s, 4 s."""
    with running_site(tmp_path / "site", limits={}, workers=2) as site:
        site.add_account("alice")
        two = Two(site)
        first, second = two.workers
        usual_s = guess_s(two, first, "127.0.0.209", "nobody")  # the machine may be slow
        waits_s = [guess_s(two, pid, "127.0.0.9", "alice") for pid in (first, second, first)]
        two.close()
    assert waits_s[0] < usual_s + 1
    assert waits_s[1] > 1.5
    assert waits_s[2] > 3


def guess_s(two: Two, worker: int, source: str, name: str) -> float:
    """Return the seconds until a guess that was never made before is refused."""
    client = two.client(source=source, on=worker)
    client.command(b"USER %b" % name.encode())
    before_s = time.monotonic()
    client.send(b"PASS wrong %d\r\n" % time.monotonic_ns())
    assert client.read_line().startswith(b"-ERR [AUTH]")
    return time.monotonic() - before_s


def test_a_silent_session_is_taken_over_across_workers(tmp_path: Path) -> None:
    """A telephone that changed networks does not come back for its old connection."""
    limits = {"connections_per_prefix": 0, "takeover_after_s": 1}
    with running_site(tmp_path / "site", limits=limits, workers=2) as site:
        site.add_account("alice")
        two = Two(site)
        first, second = two.workers
        ghost = two.logged_in("alice", on=first)
        came = threading.Event()
        came.wait(1.1)
        with two.logged_in("alice", on=second) as owner:
            assert is_ended(ghost)
            owner.command(b"STAT")
        two.close()


def test_a_session_that_is_not_silent_keeps_its_maildrop(two: Two) -> None:
    """Whichever worker has it."""
    first, second = two.workers
    session = two.logged_in("alice", on=first)
    with pytest.raises(UnexpectedReply, match="IN-USE"):
        two.logged_in("alice", on=second)
    session.command(b"NOOP")


def test_figures_are_those_of_all_workers(two: Two) -> None:
    """One scrape has the sums."""
    first, second = two.workers
    sessions = [two.logged_in("alice", on=first), two.logged_in("bob", on=second)]
    for session in sessions:
        session.command(b"STAT")
        session.command(b"NOOP")
    expected = (
        "mailkeep_connections 2.0",
        "mailkeep_sessions 2.0",
        'mailkeep_commands_total{verb="STAT"} 2.0',
    )
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{two.metrics()}/metrics") as answer:
            figures = answer.read().decode()
        if all(f"\n{line}\n" in figures for line in expected):
            return
        assert time.monotonic() < deadline_s, figures


def test_the_end_is_orderly_everywhere(two: Two) -> None:
    """SIGTERM: sessions between commands close, nothing is removed, the exit code is 0."""
    first, second = two.workers
    sessions = [two.logged_in("alice", on=first), two.logged_in("bob", on=second)]
    for session in sessions:
        session.command(b"DELE 1")
    assert two.site.stop() == 0
    assert all(map(is_ended, sessions))
    assert "worker ended" not in two.site.log
    two.site.restart_after_death()
    assert two.logged_in("alice").command(b"STAT").startswith(b"2 ")


def test_the_record_is_whole(two: Two) -> None:
    """Every session of either worker is in the trail from its first octet to its last."""
    for pid in (*two.workers, *two.workers):
        with two.logged_in("alice", on=pid) as session:
            session.command(b"RETR 1")
            session.read_body()
            session.command(b"QUIT")
            session.read_end()
    assert two.site.stop() == 0
    two.site.restart_after_death()
    mailkeep(two, "events", "verify")
    ended = [event["session"] for event in events(two, "session-ended")]
    for kind in ("login-accepted", "message-read", "tls-agreed"):
        known = [event["session"] for event in events(two, kind)]
        assert set(ended) <= set(known), kind
    assert len(ended) == 4


def test_each_worker_gets_its_share(two: Two) -> None:
    """40 to 60 % of the connections."""
    workers, served = two.workers, dict.fromkeys(two.workers, 0)
    for _ in range(SHARES):
        with WireClient(two.site.pop3) as client:
            client.read_ok()
            served[worker_with(client, workers)] += 1
    assert all(0.4 * SHARES <= count <= 0.6 * SHARES for count in served.values()), served


def test_a_port_that_another_site_has_is_an_error(two: Two, tmp_path: Path) -> None:
    """SO_REUSEPORT is for our own workers only."""
    with running_site(tmp_path / "other", workers=1) as other:
        settings = other.folder / "mailkeep.toml"
        taken = f'"127.0.0.1:{two.site.pop3.number}"'
        text = settings.read_text().replace('"127.0.0.1:0"', taken, 1)
        assert other.stop() == 0
        settings.write_text(text.replace("workers = 1", "workers = 2"))
        done = run(
            (*MAILKEEP, "--site", other.folder, "serve"), environment=python_path(), check=False
        )
        assert done.returncode == 2
        assert b"another program listens there" in done.stderr
