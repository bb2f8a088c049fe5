"""Buffers, back-pressure and the last words of a connection."""

import asyncio
from ipaddress import ip_address

import pytest
from tests.server.fake_transport import FakeTransport
from tests.server.parts import (
    HeldStore,
    HugeStore,
    Pieces,
    Recorder,
    full_store,
    make_meeting,
)
from tests.server.talking import PEER, Talk, logged_in, settle

from mailkeep.events import EventType
from mailkeep.pop3 import Security
from mailkeep.server.clocked import WATCH_EVERY_S
from mailkeep.server.connection import (
    LINGER_S,
    OUTPUT_LIMIT_BEFORE_LOGIN_OCTETS,
    OUTPUT_LIMIT_OCTETS,
    Connection,
)
from mailkeep.server.small_reads import ARRIVAL_OCTETS
from mailkeep.server.turnstile import WORKS_A_TURN, Turnstile
from mailkeep.server.wire import Disconnected
from mailkeep.site import Endpoint, Limits

LIMITS = Limits()
MIB = 1 << 20


class Echoing:
    """A channel that answers every octet with ten and passes none on, as TLS may (KeyUpdate)."""

    established = False
    peer_closed = False

    def __init__(self) -> None:
        self._answer = b""

    def receive(self, octets: bytes) -> bytes:
        self._answer = octets * 10
        return b""

    def output(self) -> bytes:
        answer, self._answer = self._answer, b""
        return answer

    def send(self, plaintext: bytes) -> bytes:
        return plaintext

    def send_records(self, plaintext: bytes) -> list[bytes]:
        return [plaintext]

    def close(self) -> bytes:
        return b""

    def settled(self) -> "Echoing":
        return self


def a_connection() -> Connection:
    return Connection(asyncio.get_running_loop(), PEER, LIMITS, lambda _: None, lambda _: None)


async def test_strangers_stand_in_one_queue_and_who_is_known_in_none() -> None:
    """Hundreds that arrive at once are taken a few in each turn of the loop."""
    loop = asyncio.get_running_loop()
    turnstile = Turnstile(loop)
    strangers = [
        Connection(loop, PEER, LIMITS, lambda _: None, lambda _: None, turnstile=turnstile)
        for _ in range(3 * WORKS_A_TURN)
    ]
    known = a_connection()
    for connection in (*strangers, known):
        FakeTransport(connection).send(b"x")
    assert sum(bool(one._arrived) for one in strangers) <= WORKS_A_TURN
    assert all(one.has_arrived for one in strangers)
    assert known._arrived
    await settle()
    assert all(one._arrived for one in strangers)


async def test_nothing_is_read_from_a_client_that_does_not_read() -> None:
    """Whatever makes the answers: in a handshake, or on request (RFC 8446 section 4.6.3)."""
    connection = a_connection()
    transport = FakeTransport(connection)
    transport.stop_reading()
    starting = asyncio.create_task(connection.start_tls(Echoing()))
    for _ in range(1000):
        transport.send(b"k" * 100)
        await asyncio.sleep(0)
    assert transport.most_waiting < 2 * OUTPUT_LIMIT_BEFORE_LOGIN_OCTETS
    transport.resume_reading_everything()
    await settle()
    assert transport.most_waiting < 2 * OUTPUT_LIMIT_BEFORE_LOGIN_OCTETS
    transport.resume_reading_everything()
    await settle()
    assert transport.reading
    starting.cancel()


async def test_a_stranger_who_does_not_read_his_answers_costs_little() -> None:
    """Before login 4 KiB wait and not 256; the rest is not even asked for."""
    talk = Talk(make_meeting(full_store()))
    talk.transport.stop_reading()
    for _ in range(500):
        talk.transport.send(b"CAPA\r\n" * 100)
    await settle()
    assert not talk.transport.reading
    assert talk.transport.most_waiting < 3 * OUTPUT_LIMIT_BEFORE_LOGIN_OCTETS
    talk.transport.resume_reading_everything()
    await settle()
    assert talk.heard().count(b"+OK capabilities") == 50_000


async def test_a_stranger_who_sends_without_end_is_read_in_small_pieces() -> None:
    """What was not asked for is the kernel's to keep, but for two reads."""
    connection = a_connection()
    transport = FakeTransport(connection)
    transport.send(b"x" * MIB)
    transport.send(b"y" * MIB)
    await settle()
    assert not transport.reading
    assert len(connection._arrived) <= 2 * ARRIVAL_OCTETS
    octets = 0
    while octets < 2 * MIB:
        octets += len(await connection.receive())
        assert len(connection._arrived) <= 2 * ARRIVAL_OCTETS
    assert octets == 2 * MIB


async def test_after_login_more_may_wait_and_it_is_told_once() -> None:
    """Bodies are written in large pieces, to somebody who is known."""
    told: list[Connection] = []
    loop = asyncio.get_running_loop()
    connection = Connection(
        loop, PEER, LIMITS, lambda _: None, lambda _: None, on_login=told.append
    )
    transport = FakeTransport(connection)
    assert not connection.logged_in
    for _ in range(2):
        connection.logged_in = True
    assert connection.logged_in
    assert told == [connection]
    transport.stop_reading()
    connection.write(b"x" * (OUTPUT_LIMIT_OCTETS - 1))
    connection.flush()
    assert not transport.writing_paused


async def test_a_connection_that_was_ended_logs_nobody_in() -> None:
    """Its place is another's by then."""
    told: list[Connection] = []
    loop = asyncio.get_running_loop()
    connection = Connection(
        loop, PEER, LIMITS, lambda _: None, lambda _: None, on_login=told.append
    )
    FakeTransport(connection)
    connection.abort("a test")
    connection.logged_in = True
    assert (told, connection.logged_in) == ([], False)


async def test_a_connection_that_was_aborted_before_it_began_never_begins() -> None:
    """Under a flood its place may be taken before the loop has made its transport."""
    started: list[Connection] = []
    ended: list[Connection] = []
    loop = asyncio.get_running_loop()
    connection = Connection(loop, PEER, LIMITS, started.append, ended.append)
    connection.abort("a test")
    assert not connection.has_begun
    transport = FakeTransport(connection)
    await settle()
    assert (started, ended) == ([], [connection])
    assert transport.lost.result() == "aborted"


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
async def test_the_source_is_the_address_alone(host: str, source: str) -> None:
    """RFC 4291 section 2.5.5.2: an IPv4 address is itself, however it came; a zone is ours."""
    loop = asyncio.get_running_loop()
    connection = Connection(loop, Endpoint(host, 1), LIMITS, lambda _: None, lambda _: None)
    assert connection.source == ip_address(source)


async def test_reading_stops_while_commands_wait() -> None:
    """RFC 2449 section 6.6: pipelining; what waits is the client's kernel's to keep."""
    talk = await logged_in(make_meeting(HugeStore(65536 * 1000)))
    talk.transport.stop_reading()
    await talk.say(b"RETR 1\r\n")
    talk.transport.send(b"NOOP\r\n")
    assert not talk.transport.reading


async def test_segments_that_come_together_are_not_hoarded() -> None:
    """A loop may hand over many reads before the session runs: after the first that wakes it, the
    kernel keeps the rest."""
    talk = await logged_in(make_meeting(full_store()))
    talk.transport.send(b"NOOP\r\n" * 65)  # more than a turn: the rest is the task's
    talk.transport.send(b"NOOP\r\n")
    assert not talk.transport.reading
    assert (await talk.say(b"NOOP\r\n")) == b"+OK done\r\n" * 67


async def test_a_command_is_answered_where_its_octets_arrive() -> None:
    """A turn of the session's task costs as much as the answer."""
    talk = await logged_in(make_meeting(full_store()))
    talk.transport.send(b"NOOP\r\n")
    assert talk.heard() == b"+OK done\r\n"
    talk.transport.send(b"RETR 1\r\n")
    assert talk.heard().endswith(b"\r\n.\r\n")
    assert talk.transport.reading


async def test_a_body_waits_for_its_client() -> None:
    """What waits for one client is bounded, however long the message is."""
    talk = await logged_in(make_meeting(HugeStore(65536 * 1600)))
    talk.transport.stop_reading()
    await talk.say(b"RETR 1\r\n")
    assert talk.transport.most_waiting < 2 * OUTPUT_LIMIT_OCTETS
    for _ in range(50):
        talk.transport.take(100_000)
        await settle()
    assert talk.transport.most_waiting < 2 * OUTPUT_LIMIT_OCTETS


async def test_a_client_that_stops_reading_is_closed_and_nothing_is_removed() -> None:
    """60 s without progress while output waits; without UPDATE (RFC 1939 section 6)."""
    store, sink = HugeStore(65536 * 1600), Recorder()
    talk = await logged_in(make_meeting(store, sink=sink))
    talk.transport.stop_reading()
    await talk.say(b"DELE 1\r\nRSET\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    await asyncio.sleep(LIMITS.output_stall_s - 1)
    assert not talk.is_closed()
    await asyncio.sleep(2 * WATCH_EVERY_S + 1)
    assert talk.is_closed()
    assert talk.transport.lost.result() == "aborted"
    assert sink.of(EventType.SESSION_ENDED)[0]["how"] == "the client stopped reading"
    assert store.commits == 0


async def test_a_client_that_reads_too_slowly_is_closed() -> None:
    """Less than 1 KB/s over 5 minutes holds memory on purpose."""
    sink = Recorder()
    talk = await logged_in(make_meeting(HugeStore(65536 * 1600), sink=sink))
    talk.transport.stop_reading()
    await talk.say(b"RETR 1\r\n")
    for _ in range(400):
        talk.transport.take(LIMITS.output_rate_octets_per_s - 100)
        await asyncio.sleep(1)
    assert talk.is_closed()
    assert sink.of(EventType.SESSION_ENDED)[0]["how"] == "the client reads too slowly"


async def test_a_client_that_reads_slowly_enough_is_served() -> None:
    """A modem of 9,600 baud gets its mail."""
    talk = await logged_in(make_meeting(HugeStore(65536 * 1600)))
    talk.transport.stop_reading()
    await talk.say(b"RETR 1\r\n")
    for _ in range(2000):
        talk.transport.take(LIMITS.output_rate_octets_per_s + 20)
        await asyncio.sleep(1)
    assert not talk.is_closed()


async def test_a_client_that_does_not_read_the_last_answer_is_closed_too() -> None:
    """The session is over and the socket must not stay."""
    talk = await logged_in(make_meeting(full_store()))
    talk.transport.stop_reading()
    await talk.say(b"RETR 4\r\nQUIT\r\n")
    assert talk.task.done()
    assert not talk.is_closed()
    await asyncio.sleep(LIMITS.output_stall_s + 3 * WATCH_EVERY_S)
    assert talk.is_closed()


async def test_an_idle_client_that_left_an_answer_unread_is_not_waited_for() -> None:
    """RFC 1939 section 3: idle is over when it is over, though output waits."""
    limits = Limits(output_stall_s=0, output_rate_window_s=0)
    talk = await logged_in(make_meeting(full_store(), limits=limits))
    talk.transport.stop_reading()
    await talk.say(b"RETR 4\r\n")
    await asyncio.sleep(limits.idle_s)
    await settle()
    assert talk.is_closed()
    assert talk.transport.lost.result() == "aborted"


async def test_answers_to_pipelined_commands_leave_together() -> None:
    """RFC 2449 section 6.6; one write is one segment and one TLS record."""
    talk = await logged_in(make_meeting(full_store()))
    writes = len(talk.transport.writes)
    assert await talk.say(b"NOOP\r\n" * 50) == b"+OK done\r\n" * 50
    assert len(talk.transport.writes) == writes + 1


async def test_every_split_of_a_session_gives_the_same_octets() -> None:
    """RFC 1939 section 3 knows lines and no segments."""
    script = (
        b"CAPA\r\nUSER alice\r\nPASS correct horse battery staple\r\nSTAT\nUIDL\r\nRETR 1\r\n"
        b"TOP 2 1\r\nDELE 2\r\nNOPE\r\nRETR 4\r\nLIST\r\nQUIT\r\n"
    )
    expected = await Talk(make_meeting(full_store())).say(script)
    assert expected.endswith(b"+OK bye\r\n")
    for at in range(1, len(script)):
        talk = Talk(make_meeting(full_store()))
        assert await talk.say(script[:at]) + await talk.say(script[at:]) == expected, at
    talk = Talk(make_meeting(full_store()))
    for place in range(len(script)):
        talk.transport.send(script[place : place + 1])
    assert await talk.say() == expected


async def test_a_client_that_pipelines_without_end_leaves_turns_to_others() -> None:
    """PIPELINING is no right to the whole server: turns, not time, are counted."""
    meeting = make_meeting(full_store())
    busy, other = await logged_in(meeting), await logged_in(meeting, b"bob")
    answered_before = len(busy.transport.received)
    busy.transport.send(b"NOOP\r\n" * 100_000)
    other.transport.send(b"NOOP\r\n")
    while not other.heard().endswith(b"+OK done\r\n"):  # noqa: ASYNC110  # turns are what counts
        await asyncio.sleep(0)
    answered = (len(busy.transport.received) - answered_before) // len(b"+OK done\r\n")
    assert answered < 5_000
    await settle()
    assert busy.heard().count(b"+OK done\r\n") == 100_000


async def test_a_body_leaves_turns_to_others() -> None:
    """Even one that the store has at hand and the client takes as it comes."""
    meeting = make_meeting(HugeStore(65536 * 1000))
    talk = await logged_in(meeting)
    talk.transport.send(b"RETR 1\r\n")
    for _ in range(20):
        await asyncio.sleep(0)
    assert 0 < len(talk.transport.received) < 65536 * 100


async def test_a_line_without_end_is_refused_once_and_the_rest_is_not_kept() -> None:
    """RFC 2449 section 4 has a limit: one -ERR, then the close, and a way to read it.

    Octets unread at a close make the kernel send RST, and the client would lose the -ERR.
    """
    talk = await logged_in(make_meeting(full_store()))
    answer = await talk.say(b"x" * MIB)
    assert answer == b"-ERR line too long\r\n"
    assert not talk.is_closed()
    assert talk.task.done()
    for _ in range(10):
        assert await talk.say(b"x" * MIB) == b""
    assert talk.transport.reading
    await asyncio.sleep(LINGER_S)
    await settle()
    assert talk.is_closed()


async def test_a_refused_client_that_closes_is_gone_at_once() -> None:
    """Nothing is left to read."""
    talk = await logged_in(make_meeting(full_store()))
    await talk.say(b"x" * MIB)
    talk.transport.finish()
    await settle()
    assert talk.is_closed()


async def test_quit_whole_and_then_fin_is_a_quit() -> None:
    """RFC 1939 section 6: QUIT was said; that the client sends no more is no objection."""
    talk = await logged_in(make_meeting(full_store()))
    talk.transport.send(b"DELE 1\r\nQUIT\r\n")
    talk.transport.finish()
    assert (await talk.say()).endswith(b"+OK bye\r\n")


async def test_a_last_line_without_its_end_is_no_command() -> None:
    """RFC 1939 section 6: QUIT arrived whole, or it did not arrive."""
    sink = Recorder()
    talk = await logged_in(make_meeting(full_store(), sink=sink))
    talk.transport.send(b"DELE 1\r\nQUIT")
    talk.transport.finish()
    assert b"bye" not in await talk.say()
    assert talk.is_closed()
    assert sink.of(EventType.SESSION_ENDED)[0]["removed"] == 0


async def test_an_aborted_connection_takes_nothing_more() -> None:
    """After its end a connection is silent, whatever still arrives."""
    talk = Talk(make_meeting(full_store()), Security.STLS_FIRST)
    await talk.say()
    talk.connection.abort("a test")
    assert await talk.say(b"CAPA\r\n") == b""
    assert talk.is_closed()


async def test_what_goes_wrong_where_octets_arrive_ends_the_session_that_they_are_for() -> None:
    """It is told like any bug, and the loop and the others do not hear of it."""
    sink = Recorder()
    store = HeldStore(full_store())
    talk = await logged_in(make_meeting(store, sink=sink))
    store.read_fails = ZeroDivisionError("a test")
    talk.transport.send(b"RETR 1\r\n")
    await settle()
    assert talk.transport.lost.result() == "aborted"
    assert "ZeroDivisionError" in sink.of(EventType.INTERNAL_ERROR)[0]["reason"]
    assert sink.of(EventType.SESSION_ENDED)


async def test_what_is_answered_leaves_before_a_command_that_has_to_wait() -> None:
    """A slow disk holds up what needs it, and not the answers before it."""
    store = HeldStore(full_store())
    store.committing = asyncio.Event()
    talk = await logged_in(make_meeting(store))
    assert await talk.say(b"NOOP\r\nDELE 1\r\nQUIT\r\n") == (
        b"+OK done\r\n+OK marked as deleted\r\n"
    )
    store.committing.set()
    assert await talk.say() == b"+OK bye\r\n"


async def test_a_client_that_vanishes_while_its_command_waits_leaves_nothing_behind() -> None:
    """The command goes on to its end, and then the maildrop is closed."""
    store = HeldStore(full_store())
    body = SlowPieces()
    store.reading = lambda _: body
    sink = Recorder()
    talk = await logged_in(make_meeting(store, sink=sink))
    talk.transport.send(b"RETR 1\r\n")
    talk.transport.reset()
    await settle()
    body.go_on.set()
    await settle()
    assert body.closed
    assert store.steps == ["close"]
    assert talk.is_closed()
    assert len(sink.of(EventType.SESSION_ENDED)) == 1


class SlowPieces(Pieces):
    """A body on a disk that takes its time."""

    def __init__(self) -> None:
        super().__init__([b"Subject: x\r\n\r\n", b"a line\r\n"])
        self.go_on = asyncio.Event()

    async def next_piece(self) -> bytes:
        await self.go_on.wait()
        return await super().next_piece()


async def test_nothing_is_heard_while_nobody_waits_for_what_that_raises() -> None:
    """Whoever listens was woken and has not had his turn: an error now would be told to nobody."""
    connection = a_connection()
    connection.connection_made(FakeTransport(connection))
    heard: list[bytes] = []

    def hear(octets: bytes) -> bool:
        heard.append(octets)
        return True

    listening = asyncio.create_task(connection.attend(hear))
    await settle()
    connection.data_received(b"a")
    connection.eof_received()
    connection.data_received(b"b")
    assert heard == [b"a"]
    assert connection.has_arrived
    with pytest.raises(Disconnected):
        await listening
