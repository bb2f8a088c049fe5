"""A site that is served by two workers."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.harness.client import WireClient
from tests.harness.processes import worker_with, workers_of
from tests.harness.site import PASSWORD, RunningSite, running_site

METRICS = '\n[[listen]]\nservice = "metrics"\naddress = "127.0.0.1:0"\n'
TRIES = 40
"""Connections until each of two workers has had one: all but certain."""

__all__ = ["Two", "connect", "two"]


class Two:
    """A site and its two workers."""

    def __init__(self, site: RunningSite) -> None:
        self.site = site
        self._clients = ExitStack()

    @property
    def workers(self) -> list[int]:
        """Their processes, those that are there now."""
        return workers_of(self.site.pid)

    def metrics(self) -> int:
        """Return the port of the figures."""
        found = re.search(r"listening metrics 127\.0\.0\.1:(\d+)", self.site.log)
        assert found
        return int(found[1])

    def client(self, *, source: str | None = None, on: int | None = None) -> WireClient:
        """Return a client that was greeted, by a certain worker if need be."""
        for _ in range(TRIES):
            client = self._clients.enter_context(connect(self.site, source=source))
            if on is None or worker_with(client, self.workers) == on:
                return client
            client.close()
        raise AssertionError(f"in {TRIES} connections none came to worker {on}")

    def logged_in(self, name: str, *, on: int | None = None) -> WireClient:
        """Return a session, with a certain worker if need be."""
        client = self.client(on=on)
        client.command(b"USER " + name.encode())
        client.command(b"PASS " + PASSWORD.encode())
        return client

    def close(self) -> None:
        """Hang up everywhere."""
        self._clients.close()


def connect(site: RunningSite, *, source: str | None = None) -> WireClient:
    """Return a client that was greeted."""
    client = WireClient(site.pop3s, source=source)
    try:
        client.start_tls(site.ca)
        client.read_ok()
    except BaseException:
        client.close()
        raise
    return client


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Two accounts with mail, two workers, and figures."""
    with running_site(tmp_path / "site", settings_more=METRICS, workers=2) as site:
        for name in ("alice", "bob"):
            site.add_account(name)
            site.deliver(name, b"Subject: one\r\n\r\n1\r\n", b"Subject: two\r\n\r\n2\r\n")
        pair = Two(site)
        assert len(pair.workers) == 2
        yield pair
        pair.close()
