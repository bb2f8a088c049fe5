"""What a session does in a row is told once, soon, in its order, and nothing is left out."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adversity.test_door_over_socket import in_fake_time
from tests.events.conftest import BEGIN, Told, ns_of, whole
from tests.events.samples import kind_of, part_of, read

from mailkeep.events import Event, Who, types
from mailkeep.events.gathering import GATHERED_S, GatheringSink, no_time
from mailkeep.events.records import RUN_EVENTS, record_from
from mailkeep.events.run_types import RUN_US, TEXT_LIMIT, Run
from mailkeep.events.runs import Told as ToldAt
from mailkeep.events.times import microseconds_of

START_NS = ns_of(BEGIN)
WITHDRAWN = types.DeletionsWithdrawn(session="s1", account="alice@example.com", messages=1)


def asked(uidl: str) -> types.DeletionAsked:
    return types.DeletionAsked(session="s1", account="alice@example.com", uidl=uidl)


def done(uidl: str) -> types.DeletionDone:
    return types.DeletionDone(
        session="s1", account="alice@example.com", peer="192.0.2.7:40000", uidl=uidl
    )


class Session:
    """Tells what happens, each thing a millisecond after the other, to a sink that remembers."""

    def __init__(self, now_ns: Callable[[], int] | None = None) -> None:
        self.told = Told()
        self.at_ns = START_NS
        self.sink = GatheringSink(self.told, now_ns=now_ns or (lambda: self.at_ns))

    def does(self, *happened: Event, step_ns: int = 1_000_000) -> "Session":
        for event in happened:
            self._emit(event)
            self.at_ns += step_ns
        return self

    def _emit(self, event: Any) -> None:
        kind = kind_of(type(event))
        if kind is None:
            self.sink.emit(event)
            return
        peer = getattr(event, "peer", "192.0.2.7:40000")
        who = Who(event.session, event.account, peer, getattr(event, "device", None))
        self.sink.emit_in_run(kind, who, part_of(event))

    @property
    def shown(self) -> list[str]:
        """What is told, with the uidls of each run in one text."""
        return [
            " ".join(one.uidl for one in event.each) if isinstance(event, Run) else event.type.value
            for event in self.told.events
        ]


async def test_what_is_read_in_a_row_is_told_once_behind_it() -> None:
    """By the next other event of the session, with the times at which it happened."""
    session = Session().does(read("1"), read("2", octets=7, complete=False), read("3"))
    assert session.shown == []
    session.does(WITHDRAWN)
    run, withdrawn = session.told.events
    assert withdrawn is WITHDRAWN
    assert isinstance(run, Run)
    assert [*run.events()] == [read("1"), read("2", octets=7, complete=False), read("3")]
    assert (run.at_us, [part.later_us for part in run.each]) == (START_NS // 1000, [0, 1000, 2000])


async def test_what_others_do_ends_no_run() -> None:
    """Nor does what happens to nobody."""
    session = Session().does(read("1"), types.Started(version="1"))
    session.does(types.MaildropTakenOver(session="s2", account="bob@example.com"), read("2"))
    assert session.shown == ["started", "maildrop taken over"]
    session.sink.end_runs("s2")
    session.sink.end_runs(None)
    assert session.shown == ["started", "maildrop taken over"]
    session.sink.end_runs("s1")
    assert session.shown == ["started", "maildrop taken over", "1 2"]


async def test_a_full_run_is_told_and_what_began_before_it_stands_before_it() -> None:
    """It has a limit for readers; and a mark that was set first is told first."""
    session = Session().does(asked("first"), *(read(str(n)) for n in range(RUN_EVENTS + 1)))
    full = " ".join(map(str, range(RUN_EVENTS)))
    assert session.shown == ["first", full]
    session.sink.flush()
    assert session.shown == ["first", full, str(RUN_EVENTS)]


@pytest.mark.parametrize("step_us", [RUN_US, -1])
async def test_a_run_ends_with_its_second_and_when_the_clock_is_set_back(step_us: int) -> None:
    """A reader believes no other time."""
    session = Session().does(read("1"), read("2"), step_ns=step_us * 1000)
    session.sink.flush()
    assert session.shown == ["1", "2"]


async def test_a_text_that_is_too_long_for_a_run_is_told_alone() -> None:
    """As it is: a line has a limit."""
    long = read("x" * (TEXT_LIMIT + 1))
    session = Session().does(read("1"), long, read("2"))
    assert session.told.events[1:] == [long]
    session.sink.flush()
    assert session.shown == ["1", "message read", "2"]


@in_fake_time
async def test_nothing_waits_for_long() -> None:
    """One timer tells what all sessions have gathered."""
    session = Session().does(read("1"), read("1", session="s2"))
    await asyncio.sleep(GATHERED_S * 0.9)
    assert session.shown == []
    session.does(read("2"))
    await asyncio.sleep(GATHERED_S * 0.2)
    assert session.shown == ["1 2", "1"]
    session.does(read("3"))
    await asyncio.sleep(GATHERED_S * 1.1)
    assert session.shown == ["1 2", "1", "3"]


async def test_a_worker_says_nothing_of_the_time() -> None:
    """Its other events have that at which the record hears of them; reads must not stand before."""
    session = Session(no_time).does(read("1"), read("2"))
    session.sink.flush()
    (run,) = session.told.events
    assert isinstance(run, Run)
    assert run.at_us == 0
    assert [part.later_us for part in run.each] == [0, 0]


async def test_who_asks_for_room_is_answered_by_who_is_told() -> None:
    """What is gathered is little and soon told."""
    session = Session()
    assert session.sink.has_room()
    await session.sink.ready()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([read("1"), read("2", session="s2"), asked("1"), done("1"), WITHDRAWN]),
            st.integers(-5_000_000, 400_000_000),
        ),
        max_size=150,
    )
)
def test_every_event_is_told_once_with_its_time(happened: list[tuple[Event, int]]) -> None:
    """Whatever happened in whichever order: out of the trail's lines comes what went in."""
    session, expected = Session(), list[tuple[int, str]]()

    async def tell() -> None:
        for event, step_ns in happened:
            if event is not WITHDRAWN:
                text = record_from(0, BEGIN, event).fields_text
                expected.append((session.at_ns // 1000, text))
            session.does(event, step_ns=step_ns)
        session.sink.flush()

    asyncio.run(tell())
    told = session.told.events
    found = whole([ToldAt(1000 * getattr(event, "at_us", 0), event) for event in told])
    withdrawn = [one for one in found if one.type == WITHDRAWN.type.value]
    assert len(withdrawn) == len(happened) - len(expected)
    others = [(microseconds_of(one.at), one.fields_text) for one in found if one not in withdrawn]
    assert sorted(others) == sorted(expected)
