"""A proxy's connection until its header is there: what it may take, and who gets the socket."""

import asyncio
from collections.abc import Callable

import pytest
from tests.server.fake_transport import FakeTransport
from tests.server.parts import full_store, make_meeting
from tests.server.talking import settle

from mailkeep.pop3 import Security
from mailkeep.server.connection import Connection
from mailkeep.server.proxied import HEADER_WITHIN_S, Proxied
from mailkeep.site import Endpoint, Limits

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 995\r\n"
GREETING = b"+OK POP3 ready\r\n"


class Behind:
    """A server behind a proxy, up to the connection that it makes."""

    def __init__(self, *, lets_in: bool = True) -> None:
        self._lets_in = lets_in
        self._meeting = make_meeting(full_store())
        self.clients: list[Endpoint | None] = []
        self.refusals: list[str] = []
        self.over = 0
        self.tasks: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        self.proxied = Proxied(loop, self._enter, self.refusals.append, self._end)
        self.transport = FakeTransport(self.proxied)

    def _enter(self, client: Endpoint | None) -> Connection | None:
        self.clients.append(client)
        if not self._lets_in:
            return None
        loop = asyncio.get_running_loop()
        peer = client or Endpoint("127.0.0.1", 1)
        return Connection(loop, peer, Limits(), self._start, lambda _: None)

    def _start(self, connection: Connection) -> None:
        serving = self._meeting.serve(connection, Security.CLEARTEXT_ALLOWED)
        self.tasks.append(asyncio.create_task(serving))

    def _end(self, proxied: Proxied) -> None:
        assert proxied is self.proxied
        self.over += 1


async def test_the_greeting_comes_after_the_header_and_what_is_behind_it_is_read() -> None:
    """`proxy-protocol.txt` section 2: nothing is served before the header is whole and valid."""
    for at in range(len(HEADER)):
        behind = Behind()
        behind.transport.send(HEADER[:at])
        await settle()
        assert behind.transport.received == b""
        behind.transport.send(HEADER[at:] + b"NOOP\r\nQUIT\r\n")
        await settle()
        assert behind.clients == [Endpoint("192.0.2.7", 40_000)]
        assert behind.transport.received.startswith(GREETING + b"-ERR ")
        assert behind.transport.received.endswith(b"+OK bye\r\n")
        assert (behind.refusals, behind.over) == ([], 1)


async def test_a_connection_without_a_header_ends_after_three_seconds() -> None:
    """A proxy sends it at once; octets of half a header do not extend the time."""
    behind = Behind()
    for octet in HEADER[:2]:
        await asyncio.sleep(HEADER_WITHIN_S / 3)
        behind.transport.send(bytes([octet]))
        assert not behind.transport.is_closing()
    await asyncio.sleep(HEADER_WITHIN_S / 3)
    await settle()
    assert behind.transport.lost.result() == "aborted"
    assert (behind.refusals, behind.over, behind.clients) == (["no PROXY header"], 1, [])
    assert behind.transport.received == b""


async def test_the_time_for_the_header_is_over_with_the_header() -> None:
    """What comes then has its own deadlines."""
    behind = Behind()
    behind.transport.send(HEADER)
    await asyncio.sleep(2 * HEADER_WITHIN_S)
    assert not behind.transport.is_closing()
    assert behind.refusals == []


@pytest.mark.parametrize(
    "octets", [b"CAPA\r\n", b"\x16\x03\x01\x02\0\x01", HEADER[:-1] + b"x" * 99]
)
async def test_anything_else_ends_at_once_and_without_a_word(octets: bytes) -> None:
    """Least of all is it taken for a client's own connection: `allow` would be worth nothing."""
    behind = Behind()
    behind.transport.send(octets)
    behind.transport.send(HEADER)
    await settle()
    assert behind.transport.lost.result() == "aborted"
    assert behind.transport.received == b""
    [refusal] = behind.refusals
    assert refusal.startswith("no PROXY header: ")
    assert (behind.clients, behind.over) == ([], 1)


@pytest.mark.parametrize("ends", [FakeTransport.finish, FakeTransport.reset])
async def test_a_proxy_that_leaves_before_its_header_is_told_once(
    ends: Callable[[FakeTransport], None],
) -> None:
    """As a check of whether the port is open does."""
    behind = Behind()
    behind.transport.send(HEADER[:9])
    ends(behind.transport)
    await settle()
    await asyncio.sleep(2 * HEADER_WITHIN_S)
    assert (behind.refusals, behind.over) == (["no PROXY header"], 1)


async def test_a_client_who_may_not_come_in_gets_no_octet() -> None:
    """The greeting too would tell that there is a server."""
    behind = Behind(lets_in=False)
    behind.transport.send(HEADER + b"CAPA\r\n")
    await settle()
    assert behind.transport.lost.result() == "aborted"
    assert behind.transport.received == b""
    assert (behind.refusals, behind.over) == ([], 1)


async def test_a_stop_closes_who_waits_for_a_header_and_tells_nothing() -> None:
    """The server's end is no fault of the proxy's."""
    behind = Behind()
    behind.proxied.close()
    await settle()
    assert behind.transport.lost.result() == "aborted"
    assert (behind.refusals, behind.over) == ([], 1)
