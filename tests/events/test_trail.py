"""The trail as a sink: groups, room, a disk that takes nothing, the end."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select
from tests.events.conftest import BEGIN, Clock, TrailPlace, ns_of, recorded, until
from tests.events.samples import EVERY_EVENT, read, run_of

from mailkeep.database.errors import DatabaseUnavailable
from mailkeep.events import Event, trail_database, types
from mailkeep.events import trail as trail_module
from mailkeep.events.chain import Chain, TrailHeld, open_chain
from mailkeep.events.records import Writable, record_from
from mailkeep.events.runs import Happened
from mailkeep.events.tables import EVENTS
from mailkeep.events.trail import MUST_NOT_MISS, Trail, open_trail
from mailkeep.events.trail_database import open_trail_database
from mailkeep.events.verifying import Verified, verify_trail

MISSABLE = types.AcceptingResumed()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(trail_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(trail_module, "LAST_PAUSE_S", 0.001)


class Disk:
    """A disk that can be full: the chain's writes fail while it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        self.tries = 0
        self.sizes: list[int] = []
        """How many events each group had that was written."""
        real = Chain.append

        def append(chain: Chain, group: Sequence[Happened]) -> list[Writable]:
            self.tries += 1
            if self.is_full:
                raise OSError(28, "No space left on device")
            entries = real(chain, group)
            self.sizes.append(sum(entry.count for entry in entries))
            return entries

        monkeypatch.setattr(Chain, "append", append)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_every_event_is_in_the_chain_and_in_the_table(place: TrailPlace, clock: Clock) -> None:
    """In the order in which they were told, with time and fields; and all of it signed."""
    place.write(*EVERY_EVENT)
    expected = [record_from(n, clock(), event) for n, event in enumerate(EVERY_EVENT, 1)]
    assert recorded(place) == expected
    found = verify_trail(place.folder, witness=place.folder / "checkpoints")
    assert found == Verified(len(EVERY_EVENT), 1, 0)
    assert place.told.events == []


def test_a_trail_goes_on(place: TrailPlace) -> None:
    """Numbers have no hole over a restart."""
    for run in range(3):
        place.write(read(f"{run}"))
    assert [(record.seq, record.text("uidl")) for record in recorded(place)] == [
        (1, "0"),
        (2, "1"),
        (3, "2"),
    ]


def test_a_trail_has_one_writer(place: TrailPlace, trail: Trail) -> None:
    """A second server on the same site must not begin."""
    del trail
    with pytest.raises(TrailHeld):
        place.open()


def test_what_was_told_is_durable_without_being_asked(trail: Trail) -> None:
    """Nobody has to close it first."""
    trail.emit(read("1"))
    until(lambda: trail.confirmed == 1)


def test_a_checkpoint_comes_in_time_when_nothing_more_happens(
    place: TrailPlace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last event of a busy hour is signed although the night is quiet."""
    monkeypatch.setattr("mailkeep.events.chain.CHECKPOINT_S", 0.01)
    trail = place.open()
    trail.emit(read("1"))
    until(lambda: trail.confirmed == 1)
    clock.move(1)
    until(lambda: trail._chain.end.events_unsigned == 0)
    trail.close()


async def test_while_the_disk_is_full_ready_waits_and_the_queue_is_bounded(
    place: TrailPlace, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logins wait; what may be missed is counted; what must not be missed has room."""
    monkeypatch.setattr(trail_module, "WAITING_EVENTS", 10)
    monkeypatch.setattr(trail_module, "GROUP_EVENTS", 5)
    disk.is_full = True
    trail = place.open()
    trail.emit(read("first"))
    await asyncio.to_thread(until, lambda: disk.tries > 3)
    for _ in range(100):
        trail.emit(MISSABLE)
    for n in range(20):
        trail.emit(read(str(n)))
    assert len(trail._queue) == 30
    waiting = [asyncio.ensure_future(trail.ready()) for _ in range(3)]
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert not any(turn.done() for turn in waiting[1:])
    disk.is_full = False
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 10)
    trail.close()
    found = recorded(place)
    assert [r.text("uidl") for r in found if r.type == "message read"] == [
        "first",
        *map(str, range(20)),
    ]
    assert sum(r.type == MISSABLE.type.value for r in found) == 10
    assert [r.number("count") for r in found if r.type == "events dropped"] == [90]
    assert verify_trail(place.folder) == Verified(len(found), 1, 0)


async def test_ready_does_not_wait_while_there_is_room(trail: Trail) -> None:
    """A login costs nothing here."""
    turn = asyncio.ensure_future(trail.ready())
    await asyncio.sleep(0)
    assert turn.done()


async def test_settled_is_when_all_that_was_told_is_durable(place: TrailPlace, disk: Disk) -> None:
    """Not only when there is room."""
    disk.is_full = True
    trail = place.open()
    await trail.settled()
    trail.emit(read("1"))
    turn = asyncio.ensure_future(trail.settled())
    await asyncio.to_thread(until, lambda: disk.tries > 3)
    assert not turn.done()
    disk.is_full = False
    await asyncio.wait_for(turn, 10)
    assert trail.confirmed == 1
    await trail.settled()
    trail.close()


def test_a_disk_that_is_full_is_told_once_and_so_is_its_end(place: TrailPlace, disk: Disk) -> None:
    """Not at every try: the log is on a disk too."""
    disk.is_full = True
    trail = place.open()
    trail.emit(read("1"))
    until(lambda: disk.tries > 20)
    disk.is_full = False
    until(lambda: trail.confirmed == 1)
    trail.close()
    reason = "[Errno 28] No space left on device"
    assert place.told.events == [types.TrailFailed(reason=reason), types.TrailResumed()]


def test_even_what_must_not_be_missed_has_a_limit_and_that_is_told(
    place: TrailPlace, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is finite."""
    monkeypatch.setattr(trail_module, "WAITING_EVENTS", 40)
    monkeypatch.setattr(trail_module, "LIMIT_EVENTS", 50)
    disk.is_full = True
    trail = place.open()
    trail.emit(read("first"))
    until(lambda: disk.tries > 0)
    for n in range(70):
        trail.emit(read(str(n)))
    disk.is_full = False
    trail.close()
    [dropped] = [event for event in place.told.events if isinstance(event, types.EventsDropped)]
    assert dropped.count == 20
    assert len([r for r in recorded(place) if r.type == "message read"]) == 51


def test_the_end_waits_for_a_full_disk_only_so_long(place: TrailPlace, disk: Disk) -> None:
    """The program ends, and says what is lost with it."""
    disk.is_full = True
    trail = place.open()
    for n in range(5):
        trail.emit(read(str(n)))
    until(lambda: disk.tries > 0)
    trail.close(timeout_s=0.05)
    trail.close(timeout_s=0.05)
    assert place.told.events[-1] == types.EventsDropped(count=5)
    trail.emit(read("late"))
    disk.is_full = False
    place.write(read("next"))
    assert [record.text("uidl") for record in recorded(place)] == ["next"]


async def test_the_end_leaves_nobody_waiting(
    place: TrailPlace, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that waits for a full disk ends with the program."""
    monkeypatch.setattr(trail_module, "WAITING_EVENTS", 2)
    disk.is_full = True
    trail = place.open()
    for n in range(5):
        trail.emit(read(str(n)))
    await asyncio.to_thread(until, lambda: disk.tries > 0)
    for n in range(5):
        trail.emit(read(str(n)))
    turn = asyncio.ensure_future(trail.ready())
    await asyncio.sleep(0)
    await asyncio.to_thread(trail.close, 0.05)
    await asyncio.wait_for(turn, 10)


def test_a_database_that_fails_is_filled_from_the_chain(
    place: TrailPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is in the chain twice because the table was not there once."""
    real = trail_database.add_records
    failing = [True]

    def add(*arguments: object) -> None:
        if failing:
            failing.clear()
            raise DatabaseUnavailable(place.database, "disk I/O error", "look")
        real(*arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(trail_database, "add_records", add)
    trail = place.open()
    trail.emit(read("1"))
    until(lambda: types.TrailResumed() in place.told.events)
    trail.emit(read("2"))
    trail.close()
    assert [record.text("uidl") for record in recorded(place)] == ["1", "2"]
    assert verify_trail(place.folder) == Verified(2, 1, 0)


def test_a_torn_line_is_mended_and_told(place: TrailPlace) -> None:
    """In the log and in the trail itself."""
    place.write(read("1"))
    with (place.folder / "000001.jsonl").open("ab") as file:
        file.write(b'{"event":"mess')
    place.write()
    assert place.told.events == [types.TrailMended(octets=14)]
    assert [record.type for record in recorded(place)] == ["message read", "trail mended"]
    assert verify_trail(place.folder) == Verified(2, 2, 0)


@pytest.mark.parametrize("change", ["missing", "behind", "ahead", "another", "damaged"])
def test_the_table_is_made_to_say_what_the_chain_says(place: TrailPlace, change: str) -> None:
    """The chain is the truth, whatever became of the database."""
    place.write(*(read(str(n)) for n in range(10)))
    expected = recorded(place)
    if change in {"missing", "damaged"}:
        for path in place.database.parent.glob("events.db*"):
            path.unlink()
        if change == "damaged":
            place.database.write_bytes(b"this is no database" * 1000)
    else:
        spoil(place, change)
    place.write(read("after"))
    assert recorded(place)[:-1] == expected
    assert recorded(place)[-1].seq == 11
    assert place.database.with_name("events.db.damaged").exists() == (change == "damaged")


def spoil(place: TrailPlace, change: str) -> None:
    database = open_trail_database(place.database, place.folder)
    with database.writing() as connection:
        if change == "behind":
            connection.execute(EVENTS.delete().where(EVENTS.c.seq > 4))
        elif change == "ahead":
            last = connection.execute(select(func.max(EVENTS.c.seq))).scalar_one()
            connection.execute(EVENTS.update().where(EVENTS.c.seq == last).values(seq=last + 5))
        else:
            connection.execute(EVENTS.update().where(EVENTS.c.seq == 10).values(type="forged"))
    database.close()


def test_any_thread_may_tell(place: TrailPlace) -> None:
    """Hashing and databases have threads of their own."""
    trail = place.open()

    def tell() -> None:
        for n in range(200):
            trail.emit(read(str(n)))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trail.close()
    assert [record.seq for record in recorded(place)] == [*range(1, 801)]


@pytest.mark.parametrize("octet", ["\x00", "\udcff", "\n", "😀", "\x1b[2J"])
def test_whatever_a_client_calls_itself_is_kept(place: TrailPlace, octet: str) -> None:
    """SQLite takes UTF-8 only, JSON lines one line each."""
    refused = types.LoginRefused(
        session="s", peer="192.0.2.7:1", mechanism="PLAIN", reason="wrong", name="a" + octet
    )
    place.write(refused, replace(refused, name=octet * 1000))
    assert [record.text("name") for record in recorded(place)] == ["a" + octet, octet * 1000]


def test_a_missed_event_would_be_noticed() -> None:
    """The answer after a break-in is made from these."""
    answer: set[type[Event]] = {
        types.LoginAccepted,
        types.LoginRefused,
        types.MessageRead,
        types.DeletionAsked,
        types.DeletionDone,
        types.AccountChanged,
        types.DeviceChanged,
        types.HotPasswordRight,
        types.PrefixBanned,
        types.SessionEnded,
    }
    assert {event.type for event in answer} <= MUST_NOT_MISS


def test_a_trail_of_a_chain_alone_gets_its_table(place: TrailPlace, clock: Clock) -> None:
    """An operator may copy the chain back from a backup."""
    chain, _ = open_chain(place.folder)
    chain.append([(clock(), read("1"))])
    chain.close()
    assert [record.text("uidl") for record in recorded(place)] == ["1"]


def test_what_a_session_reads_in_a_row_is_one_line(place: TrailPlace, clock: Clock) -> None:
    """And every event has its own number and is there for questions."""
    place.write(*(read(str(n)) for n in range(20)), types.AcceptingResumed())
    lines = (place.folder / "000001.jsonl").read_bytes().splitlines()
    assert len(lines) == 3  # a run, an event and a checkpoint
    expected = [record_from(n + 1, clock(), read(str(n))) for n in range(20)]
    assert recorded(place)[:-1] == expected
    assert recorded(place)[-1].seq == 21
    assert verify_trail(place.folder) == Verified(21, 1, 0)


def test_a_trail_of_runs_goes_on(place: TrailPlace) -> None:
    """With the number behind the run's last, also when its last line is torn off."""
    place.write(*(read(f"{n}") for n in range(5)))
    path = place.folder / "000001.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0] + b'{"event":"mess')
    place.write(*(read(f"{n}") for n in range(5, 8)))
    found = recorded(place)
    assert [record.seq for record in found] == [*range(1, 10)]
    assert [record.text("uidl") for record in found if record.type == "message read"] == [
        *map(str, range(8))
    ]
    (place.folder / "checkpoints").unlink()
    assert isinstance(verify_trail(place.folder), Verified)


def test_a_table_behind_in_the_middle_of_runs_is_filled(place: TrailPlace) -> None:
    """A row is found under its first event's number."""
    place.write(*(read(str(n), session=f"s{n // 10}") for n in range(50)))
    expected = recorded(place)
    database = open_trail_database(place.database, place.folder)
    with database.writing() as connection:
        connection.execute(EVENTS.delete().where(EVENTS.c.seq > 15))
    database.close()
    assert recorded(place) == expected


async def test_settled_counts_what_all_threads_told(place: TrailPlace) -> None:
    """Whoever waits for it needs his own events only, and gets them."""
    trail = place.open()

    def tell(thread: int) -> None:
        for n in range(300):
            trail.emit(read(f"{thread}-{n}"))

    for _ in range(3):
        await asyncio.gather(*(asyncio.to_thread(tell, n) for n in range(3)))
        await asyncio.wait_for(trail.settled(), 10)
        assert trail.waiting == 0
    assert trail.confirmed == 2700
    trail.close()


def test_an_event_after_a_silence_wakes_the_thread(trail: Trail) -> None:
    """Each time: there is no other clock that would look after it."""
    for n in range(1, 51):
        trail.emit(read(str(n)))
        until(lambda: trail.waiting == 0)
    until(lambda: trail.confirmed == 50)


def test_a_full_group_is_written_before_its_time(
    place: TrailPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy site's queue does not grow for as long as a group may wait."""
    monkeypatch.setattr(trail_module, "GROUP_EVENTS", 20)
    trail = open_trail(place.folder, place.database, place.told, group_s=60)
    for n in range(20):
        trail.emit(read(str(n)))
    until(lambda: trail.confirmed == 20)
    trail.close()


def test_a_run_counts_with_all_its_events(
    place: TrailPlace, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room is memory, and a group has no more events than a checkpoint may stand behind."""
    monkeypatch.setattr(trail_module, "WAITING_EVENTS", 30)
    monkeypatch.setattr(trail_module, "LIMIT_EVENTS", 40)
    monkeypatch.setattr(trail_module, "GROUP_EVENTS", 10)
    disk.is_full = True
    trail = place.open()
    trail.emit(read("first"))
    until(lambda: disk.tries > 0)
    for n in range(10):
        assert trail.has_room() == (n < 8)
        trail.emit(run_of(*(read(f"{n}-{m}") for m in range(4))))
    assert trail.waiting == 40
    trail.emit(run_of(*(read(f"lost-{m}") for m in range(4))))
    assert trail.waiting == 40
    disk.is_full = False
    until(lambda: trail.waiting == 0)
    trail.close()
    dropped = [it.count for it in place.told.events if isinstance(it, types.EventsDropped)]
    assert dropped == [4]
    assert max(disk.sizes) == 9  # two runs, and what tells of those that were dropped
    assert sum(record.type == "message read" for record in recorded(place)) == 41


def test_a_run_that_says_when_it_happened_is_believed(place: TrailPlace, clock: Clock) -> None:
    """It is told some time after its first event; one that says nothing has just happened."""
    at_us = ns_of(BEGIN) // 1000 - 40_000
    place_read = run_of(read("1"), read("2"), at_us=at_us)
    trail = place.open()
    trail.emit(place_read)
    trail.emit(run_of(read("3", session="s2")))
    trail.close()
    times = [record.at for record in recorded(place)]
    assert times == [BEGIN - timedelta(milliseconds=40)] * 2 + [clock()]


async def test_what_is_left_at_the_end_is_counted_with_all_its_events(
    place: TrailPlace, disk: Disk
) -> None:
    """Nothing is lost in silence."""
    disk.is_full = True
    trail = place.open()
    trail.emit(run_of(read("1"), read("2"), read("3")))
    until(lambda: disk.tries > 0)
    await asyncio.to_thread(trail.close, 0.05)
    assert types.EventsDropped(count=3) in place.told.events


def test_there_is_room_until_ready_would_wait(
    place: TrailPlace, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks need not await what does not wait."""
    monkeypatch.setattr(trail_module, "WAITING_EVENTS", 3)
    disk.is_full = True
    trail = place.open()
    trail.emit(read("first"))
    until(lambda: disk.tries > 0)
    for n in range(3):
        assert trail.has_room()
        trail.emit(read(str(n)))
    assert not trail.has_room()
    disk.is_full = False
    until(trail.has_room)
    trail.close()


def test_what_a_crash_left_unsigned_is_signed_before_more_is_written(place: TrailPlace) -> None:
    """A trail that verify does not believe would be worse than a late signature."""
    chain, _ = open_chain(place.folder)
    chain.append([(BEGIN, types.PrefixUnbanned(prefix=str(n), by="x")) for n in range(1500)])
    chain.close()
    trail = place.open()
    for n in range(trail_module.GROUP_EVENTS):
        trail.emit(types.PrefixUnbanned(prefix=str(n), by="x"))
    trail.close()
    found = verify_trail(place.folder)
    assert isinstance(found, Verified)
    assert (found.events, found.unsigned) == (1500 + trail_module.GROUP_EVENTS, 0)
