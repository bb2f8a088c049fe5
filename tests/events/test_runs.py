"""What a session does in a row is one line, and every event comes out of it as it was."""

from datetime import timedelta
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.events.conftest import BEGIN, ns_of, numbered, whole
from tests.events.samples import EVERY_EVENT, as_told, classes, read

from mailkeep.events import Event, types
from mailkeep.events.records import (
    EACH,
    LATER_US,
    NOTHING_BEFORE,
    RUN_EVENTS,
    RUN_S,
    NoRecord,
    Record,
    event_line,
    parse_line,
    record_from,
    record_in,
)
from mailkeep.events.run_types import RUNS, TEXT_LIMIT
from mailkeep.events.runs import Told, merged, records_of
from mailkeep.events.trail_files import LINE_LIMIT_OCTETS

START_NS = ns_of(BEGIN)
MERGED = [kind.of for kind in RUNS]
MS = 1_000_000


def asked(uidl: str, session: str = "s1") -> types.DeletionAsked:
    return types.DeletionAsked(session=session, account="alice@example.com", uidl=uidl)


def withdrawn(session: str = "s1") -> types.DeletionsWithdrawn:
    return types.DeletionsWithdrawn(session=session, account="alice@example.com", messages=1)


def told(at_ns: int, event: Event) -> Told:
    """Return an event as the trail is told of it."""
    return Told(at_ns, as_told(event, at_ns // 1000))


def group_of(*events: Event, step_ns: int = MS) -> list[Told]:
    """Return events as they happened one after the other."""
    return [told(START_NS + n * step_ns, event) for n, event in enumerate(events)]


def lines_of(*events: Event) -> list[Record]:
    return numbered(merged(group_of(*events)), 0)


def uidls_by_line(*events: Event) -> list[str]:
    """Return the uidls of each line in one text; a line without any is its event's name."""
    return [
        " ".join(one.text("uidl") or one.type for one in records_of(line))
        for line in lines_of(*events)
    ]


def test_what_was_read_in_a_row_is_one_line() -> None:
    """What all share stands once."""
    [line] = lines_of(read("1"), read("2", octets=7, complete=False), read("3", sha256="ab"))
    assert (line.seq, line.count, line.at) == (1, 3, BEGIN)
    assert line.fields == {
        "session": "s1",
        "account": "alice@example.com",
        "peer": "192.0.2.7:40000",
        EACH: [
            {"command": "RETR", "uidl": "1", "octets": 100, "complete": True},
            {"command": "RETR", "uidl": "2", "octets": 7, "complete": False, LATER_US: 1000},
            {
                "command": "RETR",
                "uidl": "3",
                "octets": 100,
                "complete": True,
                "sha256": "ab",
                LATER_US: 2000,
            },
        ],
    }


def test_a_line_of_events_takes_as_many_numbers() -> None:
    """So that every event has one of its own, and there is no hole."""
    lines = lines_of(types.Started(version="1"), read("1"), read("2"), types.AcceptingResumed())
    assert [(line.seq, line.count) for line in lines] == [(1, 1), (2, 2), (4, 1)]


def test_one_event_is_no_run() -> None:
    """It looks as it always did."""
    [line] = lines_of(read("1"))
    assert line == record_from(1, BEGIN, read("1"))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([read("1"), read("2", session="s2"), read("3")], ["1 3", "2"]),
        ([read("1"), asked("1"), read("2"), asked("2")], ["1 2", "1 2"]),
        ([read("1"), types.Started(version="1"), read("2")], ["1 2", "started"]),
        ([read("1"), read("2", peer="another")], ["1", "2"]),
        ([read("1"), read("2", device="another")], ["1", "2"]),
        ([read("1"), read("2" * (TEXT_LIMIT + 1)), read("3")], ["1", "2" * (TEXT_LIMIT + 1), "3"]),
        (
            [asked("1"), withdrawn(), asked("1"), asked("2")],
            ["1", "deletions withdrawn", "1 2"],
        ),
        ([asked("1"), withdrawn("s2"), asked("2")], ["1 2", "deletions withdrawn"]),
    ],
)
def test_a_run_is_of_one_session_and_ends_with_what_else_it_does(
    events: list[Event], expected: list[str]
) -> None:
    """A mark that was set again after RSET must not stand before it."""
    assert uidls_by_line(*events) == expected


def test_a_run_has_an_end_in_number_and_in_time() -> None:
    """Readers look back so far and no further."""
    counts = [line.count for line in lines_of(*(read(str(n)) for n in range(RUN_EVENTS + 2)))]
    assert counts == [RUN_EVENTS, 2]
    limit_ns = int(RUN_S * 1e9)
    for later_ns, lines in ((limit_ns - 1000, 1), (limit_ns, 2), (-1000, 2)):
        group = [told(START_NS, read("1")), told(START_NS + later_ns, read("2"))]
        assert len(merged(group)) == lines


EVENTS = st.lists(
    st.tuples(
        st.integers(-5_000, 400_000_000),
        st.sampled_from([*EVERY_EVENT, read("1"), asked("1"), asked("é\x7f\udcff"), withdrawn()]),
        st.sampled_from(["s1", "s2"]),
    ),
    max_size=150,
)


@given(EVENTS, st.integers(0, 10**6))
def test_every_event_comes_out_once_with_its_time(
    happened: list[tuple[int, Event, str]], seq: int
) -> None:
    """Whatever happened in whichever order; through the line as it is written, too."""
    alone: list[Told] = []
    at_ns = START_NS
    for step_ns, event, session in happened:
        at_ns += step_ns
        has_session = "session" in event.__struct_fields__
        alone.append(Told(at_ns, replace(event, session=session) if has_session else event))
    lines = numbered(merged(told(it.at_ns, it.event) for it in alone), seq)
    again = [record_in(parse_line(event_line(line, NOTHING_BEFORE))) for line in lines]
    assert again == lines
    found = [one for line in again for one in records_of(line)]
    assert [one.seq for one in found] == [*range(seq + 1, seq + len(alone) + 1)]
    expected = [
        record_from(0, BEGIN + timedelta(microseconds=(it.at_ns - START_NS) // 1000), it.event)
        for it in alone
    ]
    assert sorted(map(_by_time, found)) == sorted(map(_by_time, expected))


def _by_time(record: Record) -> tuple[str, str, str]:
    return record.time_text, record.type, record.fields_text


@given(EVENTS)
def test_events_of_one_type_keep_their_order(happened: list[tuple[int, Event, str]]) -> None:
    """In one session; and nothing passes an event of the session that is never in a run."""
    alone = [event for _, event, _ in happened]
    group = [told(START_NS + n, event) for n, event in enumerate(alone)]
    merging = {kind.type.value for kind in MERGED}
    for kind in merging:
        for session in ("s1", "c0ffee01"):
            told_before = [
                record_from(0, BEGIN, event).fields_text
                for event in alone
                if getattr(event, "session", None) == session
                and (event.type.value == kind or event.type.value not in merging)
            ]
            found = [
                one.fields_text
                for one in whole(group)
                if one.fields.get("session") == session
                and (one.type == kind or one.type not in merging)
            ]
            assert found == told_before


def test_the_longest_run_can_be_read_back() -> None:
    """A line has a limit when it is read."""
    worst = "\x00" * TEXT_LIMIT
    run = [
        read(worst, 1 << 62, command=worst, sha256=worst, account="\x00" * 320, device=worst)
        for _ in range(RUN_EVENTS)
    ]
    [line] = lines_of(*run)
    assert len(event_line(line, NOTHING_BEFORE)) < LINE_LIMIT_OCTETS


def test_no_event_has_a_field_that_a_run_needs() -> None:
    """Its name would be taken for the run's."""
    for of in classes().values():
        assert not {EACH, LATER_US} & {*of.__struct_fields__}, of


def test_what_is_merged_has_no_floats() -> None:
    """They are not looked for in a run's line."""
    for of in MERGED:
        assert not any("float" in str(hint) for hint in get_type_hints(of).values()), of


@pytest.mark.parametrize(
    "each",
    [
        [],
        {},
        "x",
        [1],
        [{}] * (RUN_EVENTS + 1),
        [{LATER_US: 1_000_000}],
        [{LATER_US: -1}],
        [{LATER_US: "1"}],
        [{LATER_US: True}],
    ],
)
def test_what_was_never_written_is_no_run(each: object) -> None:
    """It is told, not guessed at."""
    line = {"seq": 1, "time": "2026-11-22T08:44:00.000000Z", "event": "x", "fields": {EACH: each}}
    with pytest.raises(NoRecord):
        record_in(line)
