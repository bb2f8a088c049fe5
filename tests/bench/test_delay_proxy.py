"""The delay proxy of the benchmarks: as far away as it says, and nothing else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from bench.fetch.delay_proxy import HOST, DelayProxy

ROUND_TRIP_S = 0.05
TOLERANCE_S = 0.25
"""How much later than asked is still no fault of the proxy, where others use the processors."""

CHUNK = bytes(range(256)) * 1024
MIB = 1 << 20

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def connected(
    serve: Serve, *, round_trip_s: float = ROUND_TRIP_S, limit_octets: int = 64 * MIB
) -> AsyncIterator[Connection]:
    """Yield a connection to a server that is half of the round trip away."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            await serve(reader, writer)

    server = await asyncio.start_server(handle, HOST, 0, limit=MIB)
    port = server.sockets[0].getsockname()[1]
    proxy = await DelayProxy(port, round_trip_s, limit_octets=limit_octets).listen()
    async with server, proxy:
        reader, writer = await asyncio.open_connection(
            HOST, proxy.sockets[0].getsockname()[1], limit=MIB
        )
        with contextlib.closing(writer):
            yield reader, writer


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(MIB):
        writer.write(octets)
        await writer.drain()


async def test_an_answer_takes_a_round_trip() -> None:
    """What is asked is answered one round trip later, each time; never sooner."""
    async with connected(echo) as (reader, writer):
        writer.write(b"up\n")
        await reader.readline()
        for _ in range(3):
            start = time.perf_counter()
            writer.write(b"ask\n")
            assert await reader.readline() == b"ask\n"
            taken_s = time.perf_counter() - start
            assert ROUND_TRIP_S <= taken_s < ROUND_TRIP_S + TOLERANCE_S


@pytest.mark.parametrize("who_speaks_first", ["server", "client"])
async def test_a_connection_takes_a_round_trip_more(who_speaks_first: str) -> None:
    """Greeting or first answer come after two round trips: TCP's handshake took the first."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if who_speaks_first == "client":
            await reader.readline()
        writer.write(b"hello\n")

    start = time.perf_counter()
    async with connected(greet) as (reader, writer):
        if who_speaks_first == "client":
            writer.write(b"hello?\n")
        assert await reader.readline() == b"hello\n"
        taken_s = time.perf_counter() - start
    assert 2 * ROUND_TRIP_S <= taken_s < 2 * ROUND_TRIP_S + TOLERANCE_S


async def test_many_questions_under_way_take_one_round_trip() -> None:
    """What is sent without waiting is late once, not once each: that is what pipelining gains."""
    async with connected(echo) as (reader, writer):
        writer.write(b"up\n")
        await reader.readline()
        start = time.perf_counter()
        for number in range(100):
            writer.write(b"%d\n" % number)
            await asyncio.sleep(0)  # another packet
        assert [await reader.readline() for _ in range(100)] == [b"%d\n" % n for n in range(100)]
        assert time.perf_counter() - start < 2 * ROUND_TRIP_S + TOLERANCE_S


async def test_order_and_octets_are_kept() -> None:
    """What goes up comes down, in order, to the last octet, through a proxy that must hold back."""
    total = 16 * MIB

    async def send(writer: asyncio.StreamWriter) -> None:
        for number in range(total // len(CHUNK)):
            writer.write(bytes([number % 256]) + CHUNK[1:])
            await writer.drain()

    async with connected(echo, limit_octets=MIB) as (reader, writer):
        sending = asyncio.create_task(send(writer))
        for number in range(total // len(CHUNK)):
            assert await reader.readexactly(len(CHUNK)) == bytes([number % 256]) + CHUNK[1:]
        await sending


async def test_what_is_under_way_arrives_before_the_end() -> None:
    """A server that answers and closes is heard to its last octet, and then it is the end."""

    async def farewell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(CHUNK)

    async with connected(farewell) as (reader, writer):
        writer.write(b"QUIT\n")
        assert await reader.read(2 * len(CHUNK)) != b""
        rest = await reader.read()
        assert rest == CHUNK[-len(rest) :]


async def test_a_client_that_goes_is_missed_by_the_server() -> None:
    """A connection that the client closed is closed at the server as well."""
    seen_end = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK\n")
        await reader.read()
        seen_end.set()

    async with connected(wait) as (reader, writer):
        await reader.readline()
        writer.close()
        await asyncio.wait_for(seen_end.wait(), 10)


async def test_nobody_there_ends_the_connection() -> None:
    """Where no server listens, the client sees an end and no silence."""
    proxy = await DelayProxy(1, ROUND_TRIP_S).listen()
    async with proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.sockets[0].getsockname()[1])
        with contextlib.closing(writer):
            assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_bandwidth_is_not_limited() -> None:
    """At 25 ms a stream goes through with more than 100 MB/s: distance costs no bandwidth."""
    total = 256 * MIB

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for _ in range(total // len(CHUNK)):
            writer.write(CHUNK)
            await writer.drain()

    async with connected(pour, round_trip_s=0.025) as (reader, writer):
        writer.write(b"RETR\n")
        start = time.perf_counter()
        got = 0
        while octets := await reader.read(MIB):
            got += len(octets)
        rate = got / (time.perf_counter() - start)
    assert got == total
    assert rate > 100_000_000
