"""Who comes in, how many at once, and what happens when the door closes."""

import asyncio
import itertools
import socket
from dataclasses import replace

import pytest
from tests.adversity.arriving import GREETING, come_from, door_of, greeted_from, log_in
from tests.adversity.loopback import CLEAR, LOGIN, POP3, POP3S, Serve
from tests.server.parts import ALICE, HeldStore, HugeStore, full_store

from mailkeep.events import EventType
from mailkeep.server import Listener, open_listeners
from mailkeep.server.listener import MADE_ROOM
from mailkeep.site import Endpoint, Limits, Listen, Networks, Service

NOT_FROM_HERE = Networks(("192.0.2.0/24",))


async def test_plain_text_on_the_tls_port_is_closed_at_once_and_unanswered(serve: Serve) -> None:
    """RFC 8314 section 3.3: no octet of POP3 before TLS, not even an error."""
    server = await serve(full_store(), listen=POP3S)
    for plaintext in (b"USER alice\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"C"):
        client = await server.connect()
        await client.send(plaintext)
        assert b"OK" not in (answer := await client.read_to_end())
        assert b"ERR" not in answer


async def test_tls_on_the_plain_port_gets_no_handshake(serve: Serve) -> None:
    """It gets the greeting that everybody gets, and is closed; it is never taken for TLS."""
    server = await serve(full_store(), listen=POP3)
    client = await server.connect()
    with pytest.raises(Exception, match=r"(?i)wrong version|record layer"):
        await client.start_tls()
    client.finish()
    await client.read_to_end()
    await server.sessions_end()
    await server.greeted()


async def test_stls_works_end_to_end(serve: Serve) -> None:
    """RFC 2595 section 4, with a certificate that the client verified."""
    server = await serve(full_store(), listen=POP3)
    client = await server.greeted()
    assert (await client.ask(b"USER alice")).startswith(b"-ERR STLS first")
    assert (await client.ask(b"STLS")).startswith(b"+OK ")
    await client.start_tls()
    await client.send(LOGIN)
    await client.read_line()
    assert (await client.read_line()).startswith(b"+OK ")
    assert (await client.ask(b"QUIT")).startswith(b"+OK ")


async def test_the_next_client_waits_until_one_leaves(serve: Serve) -> None:
    """Over the total nobody is turned away: the kernel keeps the connection meanwhile."""
    server = await serve(full_store(), limits=Limits(connections=2))
    first = await log_in(await server.greeted(), b"alice")
    second = await log_in(await server.greeted(), b"bob")
    third = await server.connect()
    greeting = asyncio.create_task(third.read_line())
    assert (await first.ask(b"NOOP")).startswith(b"+OK ")
    assert len(server.server._entrance.connections) == 2
    assert not greeting.done()
    await second.ask(b"QUIT")
    assert await greeting == GREETING


async def test_all_places_are_given_away(serve: Serve) -> None:
    """Clients that come together do not take each other's places."""
    limits = Limits(connections=59, connections_per_prefix=0)  # 59 less 15 % are 51
    server = await serve(full_store(), limits=limits)
    await asyncio.gather(*(server.greeted() for _ in range(50)))
    assert server.sink.of(EventType.CONNECTION_BROKEN) == []


async def test_who_has_not_logged_in_makes_room_and_who_has_stays(serve: Serve) -> None:
    """A flood of connections displaces itself, the oldest first; it ends no session."""
    server = await serve(full_store(), limits=Limits(connections=3))
    session = await log_in(await server.greeted(), b"alice")
    first, second = await server.greeted(), await server.greeted()
    third = await server.greeted()
    assert await first.read_to_end() == b""
    fourth = await server.greeted()
    assert await second.read_to_end() == b""
    assert (await session.ask(b"NOOP")).startswith(b"+OK ")
    for client in (third, fourth):
        assert (await client.ask(b"CAPA")).startswith(b"+OK ")
    told = server.sink.of(EventType.CONNECTION_BROKEN)
    assert [one["reason"] for one in told] == [MADE_ROOM] * 2


async def test_a_whole_flood_leaves_the_last_ones_inside(serve: Serve) -> None:
    """Also when they come faster than a connection begins."""
    server = await serve(full_store(), limits=Limits(connections=4, connections_per_prefix=0))
    clients = await asyncio.gather(*(server.connect() for _ in range(60)))
    last = await server.greeted()
    assert (await last.ask(b"CAPA")).startswith(b"+OK ")
    reading = [asyncio.create_task(client.read_to_end()) for client in clients]
    ends = [await end for end in itertools.islice(asyncio.as_completed(reading), 57)]
    assert set(ends) <= {b"", GREETING}
    assert sum(task.done() for task in reading) == 57  # whoever of them came last is inside
    for task in reading:
        task.cancel()
    assert len(server.server._entrance.connections) == 4
    assert len(server.sink.of(EventType.CONNECTION_BROKEN)) == 57
    assert server.sink.of(EventType.INTERNAL_ERROR) == []


async def test_strangers_stand_in_one_queue_and_who_is_known_in_none(serve: Serve) -> None:
    """Each with a queue of his own, all of them would be taken in one turn of the loop."""
    server = await serve(full_store())
    door_of(server).good.add("127.2.0.1")
    for source in ("127.1.0.1", "127.1.0.2", "127.2.0.1"):
        await greeted_from(server, source)
    one, other, known = (it._turnstile for it in server.server._entrance.connections)
    assert one is not None
    assert one is other
    assert known is None


async def test_a_share_of_the_places_is_for_sources_with_a_good_past(serve: Serve) -> None:
    """While strangers displace each other an office gets in, and displaces nobody."""
    server = await serve(full_store(), limits=Limits(connections=20))
    strangers = [await greeted_from(server, f"127.1.0.{host}") for host in range(1, 18)]
    eighteenth = await greeted_from(server, "127.1.0.99")
    assert await strangers[0].read_to_end() == b""
    door_of(server).good.update({"127.2.0.1", "127.2.0.2", "127.2.0.3", "127.2.0.4"})
    for host in range(1, 4):
        await greeted_from(server, f"127.2.0.{host}")
    assert (await strangers[1].ask(b"CAPA")).startswith(b"+OK ")
    await greeted_from(server, "127.2.0.4")  # all places are taken now: a stranger goes
    await strangers[1].read_to_end()
    assert (await eighteenth.ask(b"CAPA")).startswith(b"+OK ")


async def test_an_address_has_so_many_connections_and_no_more(serve: Serve) -> None:
    """Before and after login; whoever is over the limit is closed without a word."""
    server = await serve(full_store(), limits=Limits(connections_per_prefix=2))
    first = await greeted_from(server, "127.3.0.1")
    await log_in(await greeted_from(server, "127.3.0.1"), b"alice")
    for _ in range(5):
        assert await (await come_from(server, "127.3.0.1")).read_to_end() == b""
    await greeted_from(server, "127.3.0.2")
    [told] = server.sink.of(EventType.CONNECTION_REFUSED)
    assert told["reason"] == "too many connections from its prefix"
    assert told["peer"].startswith("127.3.0.1:")
    await first.ask(b"QUIT")
    await first.read_to_end()
    await greeted_from(server, "127.3.0.1")


async def test_who_is_banned_gets_no_octet_and_is_told_once(serve: Serve) -> None:
    """Closed before TLS: it costs the least, and tells nothing."""
    server = await serve(full_store(), listen=POP3S)
    door_of(server).banned.add("127.4.0.1")
    for _ in range(20):
        assert await (await come_from(server, "127.4.0.1")).read_to_end() == b""
    [told] = server.sink.of(EventType.CONNECTION_REFUSED)
    assert told["reason"] == "banned"
    client = await come_from(server, "127.4.0.2")
    await client.start_tls()
    assert await client.read_line() == GREETING


async def test_every_connection_is_told_with_the_name_of_its_session(serve: Serve) -> None:
    """From its first octet to its last it has one name, and no two have the same."""
    server = await serve(full_store())
    clients = [await server.greeted() for _ in range(3)]
    opened = server.sink.of(EventType.CONNECTION_OPENED)
    assert len({one["session"] for one in opened}) == 3
    assert all(len(one["session"]) == 16 and int(one["session"], 16) >= 0 for one in opened)
    ports = [client.socket.getsockname()[1] for client in clients]
    assert [one["peer"] for one in opened] == [f"127.0.0.1:{port}" for port in ports]
    assert {one["listener"] for one in opened} == {str(server.listeners[0])}


async def test_a_reload_that_makes_room_lets_the_next_client_in(serve: Serve) -> None:
    """New limits hold at once, not when somebody leaves."""
    server = await serve(full_store(), limits=Limits(connections=1))
    await server.logged_in()
    second = await server.connect()
    greeting = asyncio.create_task(second.read_line())
    more = replace(server.meeting, limits=Limits(connections=2))
    server.server.reload(more, [CLEAR])
    assert await greeting == GREETING


async def test_a_reload_changes_who_may_come_and_disturbs_nobody_inside(serve: Serve) -> None:
    """`allow` and `cleartext_from` hold from the next connection on."""
    server = await serve(full_store())
    inside = await server.logged_in()
    refusing = Listen(service=Service.POP3, address=CLEAR.address, allow=NOT_FROM_HERE)
    server.server.reload(server.meeting, [refusing])
    outside = await server.connect()
    assert await outside.read_to_end() == b""
    assert (await inside.ask(b"NOOP")).startswith(b"+OK ")
    assert len(server.sink.of(EventType.CONNECTION_REFUSED)) == 1
    server.server.reload(server.meeting, [POP3])
    again = await server.greeted()
    assert (await again.ask(b"USER alice")).startswith(b"-ERR STLS first")


async def test_who_is_not_allowed_gets_no_octet(serve: Serve) -> None:
    """The greeting too would tell that there is a server."""
    listen = Listen(service=Service.POP3, address=CLEAR.address, allow=NOT_FROM_HERE)
    server = await serve(full_store(), listen=listen)
    client = await server.connect()
    assert await client.read_to_end() == b""


async def test_ipv6_is_served_and_ipv4_is_not_taken_along(serve: Serve) -> None:
    """RFC 3493 section 5.3: IPV6_V6ONLY, so that `[::]` and `0.0.0.0` can both be listened on."""
    listen = Listen(
        service=Service.POP3, address=Endpoint("::1", 0), cleartext_from=Networks(("::1",))
    )
    listeners = open_listeners([listen])
    assert listeners[0].socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    server = await serve(full_store(), listeners=listeners)
    await server.logged_in()


async def test_an_ipv4_client_of_an_inherited_ipv6_socket_is_itself(serve: Serve) -> None:
    """RFC 4291 section 2.5.5.2: `::ffff:127.0.0.1` is 127.0.0.1 in every list."""
    both = socket.socket(socket.AF_INET6)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::", 0))
    both.listen()
    settings = Listen(
        service=Service.POP3,
        address=Endpoint("::", 0),
        allow=Networks(("127.0.0.0/8",)),
        cleartext_from=Networks(("127.0.0.1",)),
    )
    server = await serve(full_store(), listeners=[Listener(settings, both)])
    server.endpoint = Endpoint("127.0.0.1", both.getsockname()[1])
    await server.logged_in()
    server.endpoint = Endpoint("::1", both.getsockname()[1])
    assert await (await server.connect()).read_to_end() == b""


async def test_a_dead_peer_is_noticed_by_the_kernel(serve: Serve) -> None:
    """RFC 1122 section 4.2.3.6 and RFC 5482, on the socket that the session really has."""
    server = await serve(full_store(), limits=Limits(dead_peer_s=60))
    await server.greeted()
    [connection] = server.server._entrance.connections
    accepted = connection._transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    tcp = {
        option: accepted.getsockopt(socket.IPPROTO_TCP, option)
        for option in (
            socket.TCP_KEEPIDLE,
            socket.TCP_KEEPINTVL,
            socket.TCP_KEEPCNT,
            socket.TCP_USER_TIMEOUT,
        )
    }
    idle, interval, probes, user_timeout_ms = tcp.values()
    assert idle + interval * probes <= 60
    assert user_timeout_ms == 60_000


@pytest.mark.parametrize("seconds", [0, 120])
async def test_another_time_for_dead_peers_is_that_of_the_next_connection(
    serve: Serve, seconds: int
) -> None:
    """New settings are in force without a restart, and 0 switches it off again."""
    server = await serve(full_store(), limits=Limits(dead_peer_s=60))
    meeting = replace(server.meeting, limits=Limits(dead_peer_s=seconds))
    server.server.reload(meeting, [one.settings for one in server.listeners])
    await server.greeted()
    [connection] = server.server._entrance.connections
    accepted = connection._transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == bool(seconds)
    ends_ms = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert ends_ms == seconds * 1000


async def test_a_stop_closes_sessions_between_commands_without_update(serve: Serve) -> None:
    """RFC 1939 section 6: a stop is no QUIT."""
    memory = full_store()
    before = memory.uidls(ALICE)
    server = await serve(memory)
    client = await server.logged_in()
    await client.ask(b"DELE 1")
    await server.stop()
    assert await client.read_to_end() == b""
    assert not client.was_reset
    assert memory.uidls(ALICE) == before
    with pytest.raises(ConnectionRefusedError):
        await server.connect()


async def test_a_stop_waits_until_a_slow_client_has_its_whole_body(serve: Serve) -> None:
    """What the session wrote is not yet what the client has: the last octets count too."""
    octets = 65536 * 64
    server = await serve(HugeStore(octets))
    client = await server.logged_in(receive_buffer=4096)
    await client.send(b"RETR 1\r\n")
    await client.read_line()
    stopping = asyncio.create_task(server.stop())
    body = await client.read_through(b"\r\n.\r\n")
    await stopping
    assert len(body) == octets + 3


async def test_a_stop_waits_for_a_commit_and_its_answer(serve: Serve) -> None:
    """QUIT arrived whole, so it is done and answered."""
    store = HeldStore(full_store())
    store.committing = asyncio.Event()
    server = await serve(store)
    client = await server.logged_in()
    await client.send(b"DELE 1\r\nQUIT\r\n")
    await store.begun.wait()
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    store.committing.set()
    await stopping
    assert (await client.read_to_end()).endswith(b"+OK bye\r\n")
    assert store.steps[0] == "commit"


async def test_a_stop_does_not_wait_for_ever_for_a_client(serve: Serve) -> None:
    """After `shutdown_s` the rest is aborted."""
    limits = Limits(shutdown_s=0.3)  # type: ignore[arg-type]  # whole seconds in settings
    server = await serve(HugeStore(65536 * 1600), limits=limits)
    client = await server.logged_in(receive_buffer=4096)
    await client.send(b"RETR 1\r\n")
    await client.read_line()
    await asyncio.wait_for(server.stop(), 10)
    assert b"\r\n.\r\n" not in await client.read_to_end()
