"""Behind a proxy: the client's own address counts, and nobody but a proxy can tell us another."""

import asyncio

import pytest
from tests.adversity.arriving import GREETING, come_from, door_of
from tests.adversity.loopback import CLEAR, DEADLINE_S, LOGIN, LOOPBACK, Client, Loopback, Serve
from tests.server.parts import full_store

from mailkeep.events import EventType
from mailkeep.server import listener as listener_module
from mailkeep.server import proxied
from mailkeep.site import Endpoint, Limits, Listen, Networks, Service

PROXIES = Networks(("127.0.0.1", "::1"))
ANYBODY = Networks(("0.0.0.0/0", "::/0"))
BEHIND = Listen(service=Service.POP3, address=LOOPBACK, proxy_from=PROXIES, cleartext_from=ANYBODY)
BEHIND_TLS = Listen(service=Service.POP3S, address=LOOPBACK, proxy_from=PROXIES)


def header(host: str, port: int = 40_000) -> bytes:
    family = "TCP6" if ":" in host else "TCP4"
    return f"PROXY {family} {host} {host} {port} 995\r\n".encode()


async def through(server: Loopback, host: str) -> Client:
    """Return a client that came through a proxy."""
    client = await server.connect()
    await client.send_raw(header(host))
    return client


@pytest.mark.parametrize(
    ("octets", "peer"),
    [
        (header("192.0.2.7"), "192.0.2.7:40000"),
        (header("2001:db8::7"), "[2001:db8::7]:40000"),
        (header("::ffff:192.0.2.7"), "192.0.2.7:40000"),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"
            + bytes.fromhex("20010db8000000000000000000000007" * 2 + "9c4003e3"),
            "[2001:db8::7]:40000",
        ),
    ],
)
async def test_every_event_names_the_client_and_not_the_proxy(
    serve: Serve, octets: bytes, peer: str
) -> None:
    """Under TLS too: the header comes before the handshake."""
    server = await serve(full_store(), listen=BEHIND_TLS)
    client = await server.connect()
    await client.send_raw(octets)
    await client.start_tls()
    assert await client.read_line() == GREETING
    await client.send(LOGIN + b"QUIT\r\n")
    await client.read_to_end()
    await server.sessions_end()
    named = [fields["peer"] for _, fields in server.sink.events if "peer" in fields]
    assert len(named) >= 4
    assert set(named) == {peer}


async def test_the_header_may_come_in_one_piece_with_what_follows(serve: Serve) -> None:
    """Not an octet of it is lost, and none of it is read as POP3."""
    server = await serve(full_store(), listen=BEHIND)
    client = await server.connect()
    await client.send_raw(header("192.0.2.7") + LOGIN + b"STAT\r\nQUIT\r\n")
    answers = (await client.read_to_end()).splitlines()
    assert answers[0] + b"\r\n" == GREETING
    assert answers[2].startswith(b"+OK the maildrop is open")
    assert answers[3].startswith(b"+OK 4 ")


async def test_no_greeting_before_the_header(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's connection without a header is closed without a word, after 3 s, here 0.05."""
    monkeypatch.setattr(proxied, "HEADER_WITHIN_S", 0.05)
    server = await serve(full_store(), listen=BEHIND)
    client = await server.connect()
    assert await client.read_to_end() == b""
    [told] = server.sink.of(EventType.CONNECTION_REFUSED)
    assert told["reason"] == "no PROXY header"
    assert told["peer"].startswith("127.0.0.1:")
    assert server.sink.of(EventType.CONNECTION_OPENED) == []


@pytest.mark.parametrize("octets", [b"CAPA\r\n", LOGIN, b"PROXY TCP4 1.2.3.4 nonsense 1 2\r\n"])
async def test_what_is_no_header_is_not_served_as_if_it_were_none(
    serve: Serve, octets: bytes
) -> None:
    """`proxy-protocol.txt` section 2: no guessing whether there is one."""
    server = await serve(full_store(), listen=BEHIND)
    client = await server.connect()
    await client.send_raw(octets)
    assert await client.read_to_end() == b""
    assert server.sink.of(EventType.CONNECTION_OPENED) == []


async def test_a_strangers_header_is_garbage(serve: Serve) -> None:
    """Whoever is no proxy is himself, whatever he says he is."""
    server = await serve(full_store(), listen=BEHIND)
    client = await come_from(server, "127.0.0.2")
    await client.send_raw(header("192.0.2.7"))
    assert await client.read_line() == GREETING
    assert (await client.read_line()).startswith(b"-ERR ")
    tls = await serve(full_store(), listen=BEHIND_TLS)
    client = await come_from(tls, "127.0.0.2")
    await client.send_raw(header("192.0.2.7"))
    assert b"OK" not in await client.read_to_end()
    for each in (server, tls):
        [opened] = each.sink.of(EventType.CONNECTION_OPENED)
        assert opened["peer"].startswith("127.0.0.2:")


async def test_without_proxies_everybodys_header_is_garbage(serve: Serve) -> None:
    """`proxy_from` is empty unless set."""
    server = await serve(full_store(), listen=CLEAR)
    client = await server.greeted()
    assert (await client.ask(header("192.0.2.7")[:-2])).startswith(b"-ERR ")


async def test_allow_and_cleartext_are_asked_about_the_client(serve: Serve) -> None:
    """The proxy's own address opens nothing."""
    listen = Listen(
        service=Service.POP3,
        address=LOOPBACK,
        proxy_from=PROXIES,
        allow=Networks(("192.0.2.0/24",)),
        cleartext_from=Networks(("192.0.2.7", "127.0.0.1")),
    )
    server = await serve(full_store(), listen=listen)
    trusted = await through(server, "192.0.2.7")
    assert await trusted.read_line() == GREETING
    assert (await trusted.ask(b"USER alice")).startswith(b"+OK ")
    other = await through(server, "192.0.2.8")
    assert await other.read_line() == GREETING
    assert (await other.ask(b"USER alice")).startswith(b"-ERR STLS first")
    refused = await through(server, "198.51.100.1")
    assert await refused.read_to_end() == b""
    [told] = server.sink.of(EventType.CONNECTION_REFUSED)
    assert told["peer"] == "198.51.100.1:40000"


async def test_bans_and_limits_are_the_clients(serve: Serve) -> None:
    """A proxy brings everybody from one address; what one does falls on him alone."""
    server = await serve(full_store(), listen=BEHIND, limits=Limits(connections_per_prefix=2))
    door_of(server).banned.add("192.0.2.7")
    assert await (await through(server, "192.0.2.7")).read_to_end() == b""
    for host in range(8, 40):
        client = await through(server, f"192.0.2.{host}")
        assert await client.read_line() == GREETING
    for host in (1, 2):
        client = await through(server, f"2001:db8::{host}")
        assert await client.read_line() == GREETING
    assert await (await through(server, "2001:db8::3")).read_to_end() == b""
    reasons = [told["reason"] for told in server.sink.of(EventType.CONNECTION_REFUSED)]
    assert reasons == ["banned", "too many connections from its prefix"]


@pytest.mark.parametrize("octets", [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"])
async def test_a_proxys_own_connection_is_the_proxys(serve: Serve, octets: bytes) -> None:
    """LOCAL and UNKNOWN: it asks whether this server is well."""
    server = await serve(full_store(), listen=BEHIND)
    client = await server.connect()
    await client.send_raw(octets)
    assert await client.read_line() == GREETING
    [opened] = server.sink.of(EventType.CONNECTION_OPENED)
    assert opened["peer"] == str(Endpoint(*client.socket.getsockname()[:2]))


async def test_a_full_server_closes_a_client_of_a_proxy(serve: Serve) -> None:
    """It was accepted before anybody knew whose it is, so it cannot wait in the kernel."""
    server = await serve(full_store(), listen=BEHIND, limits=Limits(connections=1))
    first = await server.connect()
    late = await server.connect()
    await first.send_raw(header("192.0.2.7") + LOGIN)
    await first.read_through(b"open\r\n")
    await late.send_raw(header("192.0.2.8"))
    assert await late.read_to_end() == b""
    [told] = server.sink.of(EventType.CONNECTION_REFUSED)
    assert told["reason"] == "all connections are taken"


async def test_connections_without_a_header_are_bounded(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no place yet, so they have a limit of their own, here 3."""
    monkeypatch.setattr(listener_module, "WITHOUT_HEADER_LIMIT", 3)
    server = await serve(full_store(), listen=BEHIND)
    waiting = [await server.connect() for _ in range(3)]
    assert await (await server.connect()).read_to_end() == b""
    [told] = server.sink.of(EventType.CONNECTION_REFUSED)
    assert told["reason"] == "too many connections without a PROXY header"
    for host, client in enumerate(waiting, start=1):
        await client.send_raw(header(f"192.0.2.{host}"))
        assert await client.read_line() == GREETING
    late = await through(server, "192.0.2.9")
    assert await late.read_line() == GREETING


async def test_a_stop_waits_for_no_header(serve: Serve) -> None:
    """The server ends at once when nobody is inside."""
    server = await serve(full_store(), listen=BEHIND)
    waiting, gone = await server.connect(), await through(server, "192.0.2.7")
    assert await gone.read_line() == GREETING
    async with asyncio.timeout(DEADLINE_S):
        await server.stop()
    assert await waiting.read_to_end() == b""
