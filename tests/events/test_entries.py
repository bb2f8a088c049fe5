"""The quick way to a line and a row gives what the record gives, whatever an event holds."""

from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.events.conftest import BEGIN, ns_of
from tests.events.samples import EVERY_EVENT, as_told, classes, read, run_of

from mailkeep.events import Event, types
from mailkeep.events.entries import Entry, entry_from
from mailkeep.events.records import (
    ASKED_BY,
    FIELD_LIMIT,
    NOTHING_BEFORE,
    Writable,
    event_line,
    parse_line,
    record_from,
    record_in,
    time_text,
)
from mailkeep.events.runs import Told, entries_of, merged

AT_US = ns_of(BEGIN) // 1000

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "0", "null", "\x7f", "\udcff", '"device":null,', " Alice ", "x" * (FIELD_LIMIT + 1)]
)
NUMBERS = st.integers() | st.sampled_from([2**63 - 1, 2**63, 2**64])
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 1e-4, 9.9e-5, 1e16, 9999999999999998.0])
BY_KIND: dict[object, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: NUMBERS,
    float: FLOATS | NUMBERS,
    bool: st.booleans(),
    type(None): st.none(),
}


def values_for(hint: object) -> st.SearchStrategy[Any]:
    return st.one_of(*[BY_KIND[kind] for kind in getattr(hint, "__args__", (hint,))])


def events_of(of: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(of)
    return st.builds(of, **{name: values_for(hints[name]) for name in of.__struct_fields__})


def entry_of(event: Event) -> Writable:
    return entry_from(7, AT_US, time_text(BEGIN), event)


def written(it: Writable) -> tuple[object, ...]:
    """Return all that a file and a table are given of it."""
    return it.seq, it.count, it.at, it.type, it.time_text, it.fields_text, tuple(it.asked_by)


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_an_event_is_written_the_quick_way(event: Event) -> None:
    """As its record would be."""
    entry = entry_of(event)
    assert isinstance(entry, Entry)
    assert written(entry) == written(record_from(7, BEGIN, event))


@given(event=st.sampled_from([*classes().values()]).flatmap(events_of))
def test_whatever_an_event_holds_it_is_written_as_its_record(event: Event) -> None:
    """Half a surrogate pair, a number without end, a text that looks like a field."""
    assert written(entry_of(event)) == written(record_from(7, BEGIN, event))


@pytest.mark.parametrize("odd", [None, True, 7, 2**70, 1.5, b"octets", ("a", "b")])
@pytest.mark.parametrize("name", ["session", "name"])
def test_a_field_of_another_kind_does_not_stop_the_trail(name: str, odd: object) -> None:
    """It would be tried again for ever; the record knows how to write whatever there is."""
    event = types.LoginDelayed(session="s", peer="p", seconds=2.0, name="n")
    changed = replace(event, **{name: odd})
    assert written(entry_of(changed)) == written(record_from(7, BEGIN, changed))


READS = st.builds(
    read,
    uidl=TEXTS,
    octets=NUMBERS | FLOATS,
    body_lines=st.none() | NUMBERS,
    complete=st.booleans(),
    sha256=st.none() | TEXTS,
    account=st.sampled_from(["alice@example.com", "é", "\udcff", "x" * (FIELD_LIMIT + 1)]),
    device=st.none() | TEXTS,
)

READS_IN_RUNS = st.builds(
    read,
    uidl=TEXTS,
    octets=NUMBERS,
    body_lines=st.none() | NUMBERS,
    complete=st.booleans(),
    sha256=st.none() | TEXTS,
    account=st.sampled_from(["alice@example.com", "é", "\udcff", "x" * (FIELD_LIMIT + 1)]),
    device=st.none() | TEXTS,
)


@given(events=st.lists(READS | st.just(read("1")) | st.just(read("2")), max_size=12))
def test_what_is_written_says_the_same_when_it_is_read_back(events: list[Event]) -> None:
    """A table that is filled from the chain again is the same table."""
    assert_reads_back([Told(ns_of(BEGIN) + n * 999, event) for n, event in enumerate(events)])


@given(events=st.lists(READS_IN_RUNS | st.just(read("1")) | st.just(read("2")), max_size=12))
def test_what_is_written_of_runs_says_the_same_when_it_is_read_back(events: list[Event]) -> None:
    """Whatever its texts and numbers are."""
    told = (as_told(event) for event in events)
    assert_reads_back([Told(ns_of(BEGIN) + n * 999, event) for n, event in enumerate(told)])


def assert_reads_back(group: list[Told]) -> None:
    for entry in entries_of(merged(group), 0):
        read_back = record_in(parse_line(event_line(entry, NOTHING_BEFORE)))
        assert written(entry) == written(read_back)


def test_a_run_is_written_the_quick_way() -> None:
    """However long: it has a limit for each text and none of its own."""
    group = [Told(ns_of(BEGIN), run_of(read(f"{n}" * 70))) for n in range(60)]
    [entry] = entries_of(merged(group), 0)
    assert isinstance(entry, Entry)
    assert len(entry.fields_text) > FIELD_LIMIT // 2


def test_what_the_table_is_asked_by_are_texts() -> None:
    """The quick way gives them to the table as they are."""
    for of in classes().values():
        hints = get_type_hints(of)
        asked = {hints[name] for name in of.__struct_fields__ if name in ASKED_BY}
        assert asked <= {str, str | None}, of


def test_an_account_is_changed_without_a_session() -> None:
    """What an event has no field for is not known."""
    changed = types.AccountChanged(account="a@b", what="disabled", by="root")
    assert tuple(entry_of(changed).asked_by) == (0, "a@b", 0, 0, 0, 0)
    refused = EVERY_EVENT[[event.type for event in EVERY_EVENT].index(types.LoginRefused.type)]
    assert entry_of(replace(refused, name=" Alice ")).asked_by[-1] == "alice"
