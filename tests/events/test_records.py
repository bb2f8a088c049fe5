"""A record has one form, and comes back as it was."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.events.conftest import BEGIN
from tests.events.samples import EVERY_EVENT, read

from mailkeep.events import Event, types
from mailkeep.events.records import (
    EACH,
    FIELD_LIMIT,
    NOTHING_BEFORE,
    NoRecord,
    Record,
    canonical,
    chained,
    digest,
    event_line,
    fold_name,
    parse_line,
    read_time,
    record_from,
    record_in,
    time_text,
)

VALUES = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False))
NAMES = st.text().filter(lambda name: name != EACH)
"""`each` is a run's, and no event has a field of that name."""
TIMES = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))  # noqa: DTZ001  # hypothesis adds the zone


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_every_event_comes_back(event: Event) -> None:
    """Time, name and every field that is known."""
    record = record_from(7, BEGIN, event)
    line = event_line(record, NOTHING_BEFORE)
    assert record_in(parse_line(line)) == record
    assert record.fields == dict(event.known())
    assert (record.seq, record.at, record.type) == (7, BEGIN, event.type.value)


@given(fields=st.dictionaries(NAMES, VALUES), at=TIMES, seq=st.integers(min_value=1))
def test_a_line_is_one_line_of_ascii_in_one_form(
    fields: dict[str, str | int | float | bool], at: datetime, seq: int
) -> None:
    """Its digest means something: no other octets say the same."""
    line = event_line(Record(seq, at, "message read", fields), NOTHING_BEFORE)
    assert line.isascii()
    assert b"\n" not in line
    assert record_in(parse_line(line)) == Record(seq, at, "message read", fields)


ODD = st.sampled_from(
    [*("\x7f", '\x1f\b\f\n\r\t/"\\', "é", "\u2028", "\udcff", ""), *(2**64, -(2**63) - 1, 2**200)]
)
ODD_FLOATS = st.sampled_from(
    [0.0, -0.0, 1e-4, 9.9e-5, 1e-5, 1e16, 9999999999999998.0, 1e22, 5e-324, 1.7e308, 0.1, 1e15]
)
ANYTHING = st.recursive(
    st.one_of(VALUES, ODD, ODD_FLOATS, st.floats(), st.none()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=12,
)


@given(
    line=st.dictionaries(st.one_of(st.text(), st.sampled_from(["é", "\x7f", "\udcff"])), ANYTHING)
)
def test_the_fast_way_gives_the_one_form(line: dict[str, object]) -> None:
    """The form is Python's: keys sorted, no spaces, ASCII; every digest hangs on it."""
    expected = json.dumps(line, sort_keys=True, separators=(",", ":")).encode("ascii")
    assert canonical(line) == expected


@given(fields=st.dictionaries(st.text(), st.one_of(VALUES, ODD, ODD_FLOATS)))
def test_fields_have_the_same_form_in_file_and_table(
    fields: dict[str, str | int | float | bool],
) -> None:
    """Made once, and as it always was."""
    record = Record(1, BEGIN, "message read", fields)
    expected = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert record.fields_text == expected
    assert record.fields_text.encode() in event_line(record, NOTHING_BEFORE)


@given(name=st.text(), fields=st.dictionaries(NAMES, VALUES))
def test_a_changed_record_says_what_it_says_now(
    name: str, fields: dict[str, str | int | float | bool]
) -> None:
    """Its fields' text is made once, but never taken over by another record."""
    record = Record(1, BEGIN, name, {"name": name})
    event_line(record, NOTHING_BEFORE)
    changed = replace(record, fields=fields)
    assert record_in(parse_line(event_line(changed, NOTHING_BEFORE))) == changed


def test_a_line_says_what_stands_before_it() -> None:
    """That is the chain."""
    records = [record_from(n, BEGIN, read(str(n))) for n in (1, 2, 3)]
    lines, head = chained(records, NOTHING_BEFORE)
    links = [json.loads(line)["prev"] for line in lines]
    assert links == [NOTHING_BEFORE, digest(lines[0]), digest(lines[1])]
    assert head == digest(lines[2])


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x00" * 50,
        b"{",
        b"[]",
        b"1",
        b'{"a":1, "b":2}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":"\xc3\xa9"}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_in_its_one_form_is_no_line(octets: bytes) -> None:
    """A changed space is a change."""
    with pytest.raises(NoRecord):
        parse_line(octets)


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"seq": "1", "time": "2026-11-22T08:44:00.000000Z", "event": "x", "fields": {}},
        {"seq": 1, "time": "yesterday", "event": "x", "fields": {}},
        {"seq": 1, "time": "2026-11-22T08:44:00.000000Z", "event": "x", "fields": []},
    ],
)
def test_what_has_other_keys_is_no_event(line: dict[str, object]) -> None:
    """It is told, not guessed at."""
    with pytest.raises(NoRecord):
        record_in(line)


def test_what_json_has_no_form_for_is_written_as_a_text() -> None:
    """A record must never be what stops the trail."""
    delayed = types.LoginDelayed(session="s", peer="p", seconds=float("inf"), name="\udcff")
    record = record_from(1, BEGIN, delayed)
    assert record.fields["seconds"] == "inf"
    assert record_in(parse_line(event_line(record, NOTHING_BEFORE))) == record


@given(
    how=st.one_of(st.text(), ODD.filter(lambda it: isinstance(it, str))),
    seconds=st.one_of(st.floats(), ODD_FLOATS, st.integers()),
    octets=st.one_of(st.integers(), ODD_FLOATS),
    device=st.none() | st.text(),
)
def test_a_record_of_an_event_has_the_one_form(
    how: str, seconds: float, octets: int, device: str | None
) -> None:
    """Whatever its fields hold, and whatever their class says of them."""
    event = types.SessionEnded(
        session="s",
        account="a@b",
        peer="p",
        device=device,
        how=how,
        seconds=seconds,
        retrieved=0,
        topped=0,
        octets=octets,
        deleted=0,
        removed=0,
    )
    record = record_from(1, BEGIN, event)
    assert record.fields_text == json.dumps(
        dict(record.fields), sort_keys=True, separators=(",", ":")
    )
    assert record_in(parse_line(event_line(record, NOTHING_BEFORE))) == record


def test_a_text_without_end_is_cut() -> None:
    """A line has a limit when it is read back."""
    error = types.InternalError(reason="x", trace="y" * 10_000_000)
    assert len(str(record_from(1, BEGIN, error).fields["trace"])) == FIELD_LIMIT


def test_a_time_is_utc_with_microseconds() -> None:
    """Whatever zone it came in."""
    at = datetime(2026, 11, 22, 10, 44, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(at) == "2026-11-22T08:44:00.000005Z"
    assert read_time(time_text(at)) == at


@given(at=st.datetimes(timezones=st.timezones() | st.just(UTC), min_value=datetime(1970, 1, 2)))  # noqa: DTZ001  # hypothesis adds the zone
def test_every_time_is_written_as_rfc_3339_has_it(at: datetime) -> None:
    """As Python's own form of the same moment, which costs more."""
    in_utc = at.astimezone(UTC).replace(tzinfo=None)
    assert time_text(at) == in_utc.isoformat(timespec="microseconds") + "Z"


@pytest.mark.parametrize(("name", "folded"), [(" Alice ", "alice"), ("\udcff", "\\udcff")])
def test_a_name_has_one_form_that_a_database_takes(name: str, folded: str) -> None:
    """Somebody who guesses at ALICE guesses at alice."""
    assert fold_name(name) == folded
