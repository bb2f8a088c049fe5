"""A session that ends in any way but QUIT removes nothing, and the next one gets in."""

import pytest
from tests.adversity.loopback import LOGIN, POP3S, Client, Serve
from tests.server.parts import ALICE, HeldStore, full_store

from mailkeep.events import EventType

SCRIPT = (b"USER alice\r\n", LOGIN[12:], b"DELE 1\r\n", b"RETR 4\r\n", b"DELE 2\r\n", b"QUIT")


def _points() -> list[bytes]:
    """Return what was sent when it was cut off: after each command, and within each."""
    points, sent = [], b""
    for command in SCRIPT:
        points += [sent, sent + command[: len(command) // 2]]
        sent += command
    return [*points, sent]


def _cut_by_rst(client: Client) -> None:
    client.reset()


def _cut_by_fin(client: Client) -> None:
    client.close()


@pytest.mark.parametrize("cut", [_cut_by_rst, _cut_by_fin], ids=["rst", "fin"])
async def test_a_session_cut_anywhere_before_a_whole_quit_removes_nothing(
    serve: Serve, cut: object
) -> None:
    """RFC 1939 section 6: only QUIT enters UPDATE; the lease falls and the server lives."""
    assert callable(cut)
    memory = full_store()
    store = HeldStore(memory)
    before = memory.uidls(ALICE)
    server = await serve(store)
    for sent in _points():
        client = await server.greeted()
        if sent:
            await client.send(sent)
        cut(client)
        await server.sessions_end()
        assert memory.uidls(ALICE) == before, sent
    assert "commit" not in store.steps
    await server.logged_in()
    assert server.sink.of(EventType.INTERNAL_ERROR) == []


async def test_a_session_cut_while_its_answers_come_removes_nothing(serve: Serve) -> None:
    """In the middle of each answer: the client reads a little and is gone."""
    memory = full_store()
    before = memory.uidls(ALICE)
    server = await serve(memory)
    for octets in (1, 20, 60, 100, 5_000, 60_000):
        client = await server.connect(receive_buffer=4096)
        await client.send(LOGIN + b"DELE 1\r\nRETR 4\r\nRETR 4\r\nDELE 2\r\n")
        read = 0
        while read < octets:
            read += len(await client._receive())
        client.reset()
        await server.sessions_end()
        assert memory.uidls(ALICE) == before
    assert server.sink.of(EventType.INTERNAL_ERROR) == []


async def test_quit_whole_then_fin_is_committed(serve: Serve) -> None:
    """RFC 1939 section 6: QUIT arrived whole; who closes at once meant it."""
    memory = full_store()
    server = await serve(memory)
    client = await server.connect()
    await client.send(LOGIN + b"DELE 1\r\nQUIT\r\n")
    client.finish()
    assert (await client.read_to_end()).endswith(b"+OK bye\r\n")
    assert not client.was_reset
    assert len(memory.uidls(ALICE)) == 3


async def test_tls_cut_off_before_quit_removes_nothing(serve: Serve) -> None:
    """RFC 8446 section 6.1: FIN without close_notify, in the middle of QUIT's record."""
    memory = full_store()
    before = memory.uidls(ALICE)
    server = await serve(memory, listen=POP3S)
    client = await server.connect()
    await client.start_tls()
    await client.read_line()
    await client.send(LOGIN + b"DELE 1\r\n")
    await client.read_through(b"marked as deleted\r\n")
    assert client._tls is not None
    await client.send_raw(client._tls.send(b"QUIT\r\n")[:-1])
    client.finish()
    await client.read_to_end()
    await server.sessions_end()
    assert memory.uidls(ALICE) == before
    assert client.saw_close_notify


async def test_the_server_ends_tls_with_close_notify(serve: Serve) -> None:
    """RFC 8446 section 6.1; so a client can tell the end from an attack."""
    server = await serve(full_store(), listen=POP3S)
    client = await server.connect()
    await client.start_tls()
    assert await client.read_line() == b"+OK POP3 ready\r\n"
    assert await client.ask(b"QUIT") == b"+OK bye\r\n"
    assert await client.read_to_end() == b""
    assert client.saw_close_notify
    assert not client.was_reset
