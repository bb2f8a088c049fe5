"""RFC 2449 section 6.6 (PIPELINING) on real sockets, however the network cuts the stream."""

import asyncio
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.adversity.loopback import LOGIN, POP3S, Loopback, Serve
from tests.reference_client import unstuff
from tests.server.parts import ALICE, MESSAGES, full_store

from mailkeep.maildrop.memory import MemoryStore

SCRIPT = (
    b"CAPA\r\n" + LOGIN + b"STAT\nUIDL\r\nRETR 1\r\nTOP 2 1\r\nDELE 2\r\nNOPE\r\nRETR 4\r\nLIST\r\n"
    b"RSET\r\nQUIT\r\n"
)


async def test_a_whole_session_in_one_segment(serve: Serve) -> None:
    """Replies in order and complete, under bodies larger than any socket buffer."""
    store = MemoryStore()
    message = b"Subject: big\r\n\r\n" + b".dots and more\r\n" * 1_000_000
    store.put(ALICE, message)
    server = await serve(store, listen=POP3S)
    client = await server.connect()
    await client.start_tls()
    await client.send(LOGIN + b"STAT\r\nUIDL\r\nRETR 1\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    for start in (b"+OK POP3", b"+OK now", b"+OK the", b"+OK 1 %d\r\n" % len(message)):
        assert (await client.read_line()).startswith(start)
    assert (await client.read_through(b"\r\n.\r\n")).endswith(b"1 m1\r\n.\r\n")
    for _ in range(2):
        assert await client.read_line() == b"+OK %d octets\r\n" % len(message)
        body, behind = unstuff(await client.read_through(b"\r\n.\r\n"))
        assert (body == message, behind) == (True, b"")
    assert await client.read_to_end() == b"+OK marked as deleted\r\n+OK bye\r\n"
    assert store.uidls(ALICE) == []


async def _hear(server: Loopback, pieces: list[bytes]) -> bytes:
    client = await server.connect()
    reading = asyncio.create_task(client.read_to_end())
    for piece in pieces:
        await client.send(piece)
        await asyncio.sleep(0)
    heard = await reading
    client.close()
    return heard


async def test_octet_by_octet_gives_the_same_answers(serve: Serve) -> None:
    """RFC 1939 section 3 knows lines; TCP_NODELAY makes every octet a segment."""
    server = await serve(full_store())
    expected = await _hear(server, [SCRIPT])
    assert expected.endswith(b"+OK bye\r\n")
    assert await _hear(server, [bytes((octet,)) for octet in SCRIPT]) == expected


@given(cuts=st.sets(st.integers(1, len(SCRIPT) - 1), max_size=12))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_split_gives_the_same_answers(serve: Serve, cuts: set[int]) -> None:
    """The network cuts where it likes."""
    server = await serve(full_store())
    edges = [0, *sorted(cuts), len(SCRIPT)]
    pieces = [SCRIPT[start:end] for start, end in pairwise(edges)]
    assert await _hear(server, pieces) == await _hear(server, [SCRIPT])
    await server.close()


async def test_a_flood_of_commands_keeps_nobody_from_an_answer(serve: Serve) -> None:
    """100,000 NOOPs of one are not answered before one of another."""
    server = await serve(full_store())
    busy = await server.logged_in()
    other = await server.greeted()
    await other.send(b"USER bob\r\n")
    await other.read_line()
    await other.send(LOGIN[12:])
    await other.read_line()
    sending = asyncio.create_task(busy.send(b"NOOP\r\n" * 100_000))
    answered = 0
    for _ in range(20):
        assert (await other.ask(b"STAT")).startswith(b"+OK %d " % len(MESSAGES))
        answered = len(busy._unread)
    assert answered < 100_000 * len(b"+OK done\r\n")
    await busy.read_through(b"+OK done\r\n" * 100_000)
    await sending
