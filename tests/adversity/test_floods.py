"""Clients that send without end or take nothing: memory stays flat and others are served."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from tests.adversity.loopback import CLEAR, LOGIN, POP3S, Client, Serve
from tests.server.parts import HugeStore, full_store

from mailkeep.events import EventType
from mailkeep.server import clocked as clocked_module
from mailkeep.site import Limits

MIB = 1 << 20
HUNDRED_MIB = 65536 * 1600
PAGE_OCTETS = 4096


def resident_octets() -> int:
    """Return how much memory this process has (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_OCTETS


async def _send_until_it_breaks(client: Client, piece: bytes, octets: int) -> int:
    sent = 0
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while sent < octets:
            await client.send_raw(piece)
            sent += len(piece)
    return sent


@pytest.mark.parametrize("piece", [b"x" * MIB, b"\0" * MIB, b"\r" * MIB, b"AUTH " + b"A" * MIB])
async def test_a_line_without_end_costs_no_memory_and_is_refused_once(
    serve: Serve, piece: bytes
) -> None:
    """RFC 2449 section 4: a limit; the -ERR is read, though the client is still sending."""
    server = await serve(full_store())
    client = await server.greeted()
    before = resident_octets()
    sending = asyncio.create_task(_send_until_it_breaks(client, piece, 64 * MIB))
    assert await client.read_to_end() == b"-ERR line too long\r\n"
    assert not client.was_reset
    await sending
    assert resident_octets() - before < 16 * MIB
    await server.logged_in()


async def test_strangers_who_send_commands_and_read_nothing_cost_little_each(serve: Serve) -> None:
    """Small reads and little output before login: some 25 KiB each, where it were 140 without."""
    strangers = 200
    limits = Limits(connections_per_prefix=0)
    server = await serve(full_store(), limits=limits)
    clients = [await server.greeted(receive_buffer=4096) for _ in range(strangers)]
    commands = b"CAPA\r\n" * 50_000
    before = resident_octets()
    sending = [asyncio.create_task(client.send_raw(commands)) for client in clients]
    connections = server.server._entrance.connections
    while not all(one._reading_paused for one in connections):  # noqa: ASYNC110  # no event for it
        await asyncio.sleep(0)
    assert len(connections) == strangers
    assert resident_octets() - before < strangers * 60 * 1024
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)


async def test_garbage_on_the_tls_port_costs_no_memory(serve: Serve) -> None:
    """A ClientHello that never ends is none."""
    server = await serve(full_store(), listen=POP3S)
    before = resident_octets()
    for garbage in (b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + b"\0" * MIB, b"x" * MIB):
        client = await server.connect()
        assert await _send_until_it_breaks(client, garbage, 64 * MIB) < 64 * MIB
        assert b"+OK" not in await client.read_to_end()
    assert resident_octets() - before < 16 * MIB


@pytest.mark.parametrize("listen", [CLEAR, POP3S], ids=["clear", "tls"])
async def test_a_hundred_megabytes_are_sent_in_flat_memory(serve: Serve, listen: object) -> None:
    """A message is streamed, whatever its size."""
    server = await serve(HugeStore(HUNDRED_MIB), listen=listen)
    client = await server.connect()
    if listen is POP3S:
        await client.start_tls()
    await client.send(LOGIN + b"RETR 1\r\nQUIT\r\n")
    await client.read_through(b"octets\r\n")
    before, most, octets = resident_octets(), 0, 0
    while await client._read_more():
        octets += len(client._unread)
        client._unread.clear()
        most = max(most, resident_octets())
    assert octets >= HUNDRED_MIB + len(b".\r\n+OK bye\r\n") - MIB
    assert most - before < 24 * MIB


async def test_a_client_that_stops_reading_costs_no_memory_and_is_closed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 s without progress while output waits, here 1 s; others go on; nothing is removed."""
    monkeypatch.setattr(clocked_module, "WATCH_EVERY_S", 0.05)
    store = HugeStore(HUNDRED_MIB)
    server = await serve(store, limits=Limits(output_stall_s=1))
    client = await server.logged_in(receive_buffer=4096)
    before = resident_octets()
    await client.send(b"DELE 1\r\nRSET\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    other = await server.logged_in()
    await client.read_through(b"octets\r\n")
    ended = asyncio.create_task(_ends(server.server._sessions, 1))
    while not ended.done():
        assert (await other.ask(b"STAT")).startswith(b"+OK 1 ")
        assert resident_octets() - before < 16 * MIB
    [end] = server.sink.of(EventType.SESSION_ENDED)
    assert end["how"] == "the client stopped reading"
    assert store.commits == 0


async def _ends(sessions: set[asyncio.Task[None]], left: int) -> None:
    """Wait until only `left` sessions are left."""
    while len(sessions) > left:
        await asyncio.wait(sessions, return_when=asyncio.FIRST_COMPLETED)


async def test_http_and_a_scanner_of_everything_leave_the_server_standing(serve: Serve) -> None:
    """Whatever comes first on the plain port, the next client is served."""
    server = await serve(full_store())
    for opening in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x05",
        b"\0\0\0\0\r\n",
        b"\r\n" * 50,
    ):
        client = await server.connect()
        await client.send(opening)
        client.finish()
        await client.read_to_end()
    await server.logged_in()
    assert server.sink.of(EventType.INTERNAL_ERROR) == []
