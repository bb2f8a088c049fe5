"""Events from a worker arrive whole and in order, or are counted; nothing is kept without end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.events.samples import EVERY_EVENT, read, run_of

from mailkeep.events import Event, types
from mailkeep.events.forwarding import (
    BATCH_OCTETS,
    EVENT_LIMIT_OCTETS,
    LIMIT_OCTETS,
    WAITING_OCTETS,
    ForwardingSink,
    NoEvents,
    unpack,
)
from mailkeep.events.records import RUN_EVENTS
from mailkeep.events.run_types import RUN_US, TEXT_LIMIT, DeletionPart, ReadPart

MISSABLE = types.ConnectionOpened(session="s", peer="p", listener="l" * 1000)


def handed_over(sink: ForwardingSink) -> list[Event]:
    """Take everything, as a link does."""
    arrived: list[Event] = []
    while not sink.is_empty:
        arrived += unpack(sink.take())
    return arrived


def test_every_event_arrives_as_it_was() -> None:
    """In the order in which they happened."""
    sink = ForwardingSink()
    for event in EVERY_EVENT:
        sink.emit(event)
    assert handed_over(sink) == EVERY_EVENT
    assert sink.take() == b""


def test_a_run_arrives_as_it_was() -> None:
    """Whole, in its place."""
    reads = run_of(read("1"), read("2", octets=1 << 40, complete=False, sha256="ab" * 32))
    asked = types.DeletionAsked(session="s1", account="a@b", uidl="1")
    done = types.DeletionDone(session="s1", account="a@b", peer="p", device="d", uidl="1")
    sent = [EVERY_EVENT[0], reads, run_of(asked, asked), run_of(done), EVERY_EVENT[1]]
    sink = ForwardingSink()
    for event in sent:
        sink.emit(event)
    assert handed_over(sink) == sent


@pytest.mark.parametrize(
    "run",
    [
        run_of(read("1"), at_us=1),
        run_of(read("x" * (TEXT_LIMIT + 1))),
        replace(
            run_of(read("1")), each=[replace(ReadPart("1", 1, "RETR", complete=True), octets="1")]
        ),
        run_of(*[read("1")] * (RUN_EVENTS + 1)),
        replace(run_of(read("1")), each=[]),
        replace(run_of(read("1")), each=[ReadPart("1", 1, "RETR", complete=True, later_us=-1)]),
        replace(run_of(read("1")), each=[ReadPart("1", 1, "RETR", complete=True, later_us=RUN_US)]),
        replace(run_of(read("1")), each=[DeletionPart("1")]),
    ],
)
def test_a_run_that_could_not_be_read_back_is_not_taken(run: Event) -> None:
    """A worker that has gone astray must not spoil the record, nor say when something happened."""
    sink = ForwardingSink()
    sink.emit(run)
    with pytest.raises(NoEvents):
        handed_over(sink)


def test_a_run_that_has_no_room_is_counted_with_all_its_events() -> None:
    """The number that is told is that of events."""
    sink = ForwardingSink()
    big = replace(run_of(*[read("x")] * RUN_EVENTS), account="a" * EVENT_LIMIT_OCTETS)
    sink.emit(big)
    assert handed_over(sink) == [types.EventsDropped(count=RUN_EVENTS)]


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_arrives_as_what_can_be_written(name: str) -> None:
    """What UTF-8 has no form for, as an escape."""
    sink = ForwardingSink()
    event = types.LoginRefused(session="s", peer="p", mechanism="USER", reason="r", name=name)
    sink.emit(event)
    (arrived,) = handed_over(sink)
    assert isinstance(arrived, types.LoginRefused)
    assert arrived.name == name.encode("utf-8", "backslashreplace").decode()


def test_a_batch_is_bounded_and_nothing_is_lost() -> None:
    """What is more comes with the next."""
    sink, calls = ForwardingSink(), list[int]()
    sink.on_events = lambda: calls.append(1)
    sent = [read(f"uidl-{number}") for number in range(2000)]
    for event in sent:
        sink.emit(event)
    assert sink.is_full
    assert len(calls) > 1
    first = sink.take()
    assert BATCH_OCTETS <= len(first) < BATCH_OCTETS + 1000
    assert [*unpack(first), *handed_over(sink)] == sent


def test_what_may_be_missed_is_counted_when_too_much_waits() -> None:
    """What must not be missed still has room; the number is told before anything else."""
    sink, kept = ForwardingSink(), 0
    while sink.has_room():
        sink.emit(MISSABLE)
        kept += 1
    for _ in range(7):
        sink.emit(MISSABLE)
    sink.emit(read("must-not-miss"))
    arrived = handed_over(sink)
    assert arrived.count(MISSABLE) == kept
    assert read("must-not-miss") in arrived
    assert arrived.count(types.EventsDropped(count=7)) == 1


def test_memory_has_an_end() -> None:
    """Even for what must not be missed."""
    sink = ForwardingSink()
    big = read("x" * 100_000)
    for _ in range(200):
        sink.emit(big)
    arrived = handed_over(sink)
    assert LIMIT_OCTETS // 100_000 <= arrived.count(big) < 100
    (dropped,) = (event for event in arrived if isinstance(event, types.EventsDropped))
    assert dropped.count + arrived.count(big) == 200


def test_an_event_that_nobody_could_read_is_counted() -> None:
    """It would be no frame."""
    sink = ForwardingSink()
    sink.emit(types.InternalError(reason="r", trace="x" * 1_000_000))
    assert handed_over(sink) == [types.EventsDropped(count=1)]


async def test_ready_waits_while_the_record_has_no_room() -> None:
    """As it does in one process; who goes meanwhile is forgotten."""
    sink = ForwardingSink()
    await sink.ready()
    sink.note_room(is_there=False)
    assert not sink.has_room()
    waiting, gone = (asyncio.ensure_future(sink.ready()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(sink._waiting) == 1
    sink.note_room(is_there=True)
    await waiting


async def test_ready_waits_while_too_much_waits_here() -> None:
    """A supervisor that is stuck must not make a worker forget what it was let in for."""
    sink = ForwardingSink()
    while sink.has_room():
        sink.emit(MISSABLE)
    waiting = asyncio.ensure_future(sink.ready())
    await asyncio.sleep(0)
    assert not waiting.done()
    while sink._octets >= WAITING_OCTETS:
        sink.take()
    await waiting


@pytest.mark.parametrize(
    "batch",
    [
        b"",
        b"\xdd\x00\x00\x00\x01",
        b"\xdd\x00\x00\x00\x01\x92\xa7nothing\x80",
        b"\xdd\x00\x00\x00\x01\x92\xa7started\x80",
        b"\xdd\x00\x00\x00\x01\x92\xa7started\x81\xa7version\x01",
        b"\xc0",
    ],
)
def test_what_is_no_batch_is_refused(batch: bytes) -> None:
    """The other side is another version, or broken."""
    with pytest.raises(NoEvents):
        list(unpack(batch))


@given(st.binary(max_size=200))
def test_any_octets_are_events_or_refused(batch: bytes) -> None:
    """Nothing else is raised."""
    try:
        list(unpack(batch))
    except NoEvents:
        return
