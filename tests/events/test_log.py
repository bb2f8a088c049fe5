"""The log: one line an event, whatever a stranger wrote."""

import io
import json
import re
import shlex
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog.processors import LogfmtRenderer
from tests.events.conftest import until
from tests.events.samples import EVERY_EVENT, classes, read

from mailkeep.events import Event, EventType, types
from mailkeep.events.log import (
    GATHERED_EVENTS,
    NAME_LIMIT_OCTETS,
    TRAIL_ONLY,
    LogSink,
    Style,
    level_of,
)
from mailkeep.events.run_types import RUNS
from mailkeep.events.types import FieldValue

REFUSED = types.LoginRefused(
    session="c0ffee01", peer="192.0.2.7:40000", mechanism="PLAIN", reason="wrong", name="alice"
)


def lines_of(event: Event, style: Style = Style.HUMAN) -> list[str]:
    stream = io.StringIO()
    LogSink(style, stream).emit(event)
    written = stream.getvalue()
    assert not written or written.endswith("\n")
    return written.split("\n")[:-1]


def test_every_event_has_a_class_and_a_sample() -> None:
    """A type without a class could never be told."""
    assert set(classes()) == set(EventType)
    assert {event.type for event in EVERY_EVENT} == set(EventType)


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_an_event_is_one_line_or_is_in_the_trail_only(event: Event, style: Style) -> None:
    """What happens to each message and connection would drown the rest."""
    assert len(lines_of(event, style)) == (0 if event.type in TRAIL_ONLY else 1)


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_a_json_line_has_time_level_event_and_then_the_fields(event: Event) -> None:
    """Programs read it: the names are those of the event's class."""
    for line in lines_of(event, Style.JSON):
        said = json.loads(line)
        assert list(said)[:3] == ["timestamp", "level", "event"]
        assert said["timestamp"].endswith("Z")
        assert said["event"] == event.type.value
        assert list(said)[3:] == [*event.__struct_fields__]


def test_a_human_line_is_key_value() -> None:
    """As logfmt has it: what has spaces stands in quotes."""
    [line] = lines_of(REFUSED)
    words = shlex.split(line)
    assert words[1:] == [
        "level=warning",
        "event=login refused",
        "session=c0ffee01",
        "peer=192.0.2.7:40000",
        "mechanism=PLAIN",
        "reason=wrong",
        "name=alice",
    ]


@given(name=st.text(alphabet='ab\\"=é \n', max_size=20), is_familiar=st.booleans())
def test_a_human_line_is_what_structlog_makes_of_it(name: str, *, is_familiar: bool) -> None:
    """Most words are written without its help, in the same form."""
    event = types.LoginAccepted(
        session="s", account=name, peer="p", mechanism="PLAIN", familiar=is_familiar
    )
    [line] = lines_of(event)
    shown = name.encode("unicode_escape").decode() if _is_escaped(name) else name
    fields_shown = dict(event.known()) | {"account": shown}
    rest = line.split(" ", 1)[1]
    said = {"level": "info", "event": "login accepted", **fields_shown}
    assert rest == LogfmtRenderer()(None, "", said)


def _is_escaped(name: str) -> bool:
    return "\\" in name or not name.isprintable()


def test_a_time_is_utc_with_microseconds() -> None:
    """Lines then sort as texts."""
    [line] = lines_of(REFUSED)
    stamp = re.match(r"timestamp=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ", line)
    assert stamp
    assert datetime.fromisoformat(stamp[1]).tzinfo == UTC


@given(name=st.text(max_size=2000), style=st.sampled_from(Style))
def test_no_name_makes_a_second_line_or_a_long_one(name: str, style: Style) -> None:
    """A newline, an escape sequence, half a surrogate pair: nothing leaves its line."""
    [line] = lines_of(replace(REFUSED, name=name), style)
    assert line.isprintable()
    assert len(line.encode()) < 8 * NAME_LIMIT_OCTETS


@given(name=st.text(alphabet='a\\"= \n', max_size=40))
def test_a_name_reads_back_as_one_field(name: str) -> None:
    """A backslash at the end would join the next field, a quote would end its own."""
    event = types.LoginDelayed(session="s", peer="192.0.2.7:1", seconds=2.0, name=name)
    [line] = lines_of(event)
    assert line.count(" peer=") >= 1
    assert line.index(" peer=192.0.2.7:1 ") < line.index(" name=")


def test_a_trace_is_cut_before_the_journal_cuts_it() -> None:
    """journald makes two entries of a line of more than 48 KiB."""
    event = types.InternalError(session=None, peer=None, reason="x", trace="\x01\n" * 100_000)
    [line] = lines_of(event)
    assert len(line) < 48 * 1024


def test_a_stream_that_is_gone_stops_nobody() -> None:
    """Whoever read standard error has ended: the server goes on."""
    stream = io.StringIO()
    sink = LogSink(stream=stream)
    stream.close()
    sink.emit(REFUSED)


@pytest.mark.parametrize(
    ("is_alert", "refused", "level"),
    [(False, False, "info"), (True, False, "warning"), (False, True, "warning")],
)
def test_a_new_place_is_as_bad_as_the_operator_says(
    is_alert: bool, refused: bool, level: str
) -> None:
    """`log`, `alert` and `refuse` in the settings."""
    event = types.LoginFromNewPlace(
        session="s", account="a@b", peer="p", reason="r", refused=refused, is_alert=is_alert
    )
    assert level_of(event) == level


async def test_nothing_waits_for_the_log() -> None:
    """A line is written when it is emitted."""
    sink = LogSink(stream=io.StringIO())
    sink.emit(read("1"))
    await sink.ready()


class Counting(io.StringIO):
    """A stream that tells how often it was flushed."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


ENDED = types.SessionRevoked(session="s", account="a@b", reason="r")


def test_lines_of_a_moment_are_written_together() -> None:
    """Nothing is written before the moment is over; then all, with one flush."""
    stream = Counting()
    sink = LogSink(stream=stream, gathered_s=60)
    for _ in range(5):
        sink.emit(ENDED)
    assert stream.getvalue() == ""
    sink.close()
    assert len(stream.getvalue().splitlines()) == 5
    assert stream.flushes == 1


def test_a_moment_ends() -> None:
    """Without anything else that happens, and again after that."""
    stream = Counting()
    sink = LogSink(stream=stream, gathered_s=0.001)

    def is_written() -> bool:
        return stream.getvalue().endswith("\n")

    for _ in range(2):
        sink.emit(ENDED)
        until(is_written)
        stream.truncate(0)
    sink.close()


def test_bad_news_are_written_at_once_behind_what_came_before() -> None:
    """In order: an operator reads them from top to bottom."""
    stream = Counting()
    sink = LogSink(stream=stream, gathered_s=60)
    sink.emit(ENDED)
    sink.emit(REFUSED)
    assert [line.split("event=")[1][:14] for line in stream.getvalue().splitlines()] == [
        '"session revok',
        '"login refused',
    ]
    sink.close()


def test_what_waits_is_bounded() -> None:
    """So many lines, about as much as a pipe takes, are written without waiting longer."""
    stream = Counting()
    sink = LogSink(stream=stream, gathered_s=60)
    for _ in range(GATHERED_EVENTS - 1):
        sink.emit(ENDED)
    assert stream.getvalue() == ""
    sink.emit(ENDED)
    assert len(stream.getvalue().splitlines()) == GATHERED_EVENTS
    sink.close()


def test_every_moment_ends() -> None:
    """Whatever the thread is at when the first event of the next one comes."""
    stream = Counting()
    sink = LogSink(stream=stream, gathered_s=0.00001)
    told = 0

    def all_is_written() -> bool:
        return stream.getvalue().count("\n") == told

    for _ in range(100):
        told += 1
        sink.emit(ENDED)
        until(all_is_written)
    sink.close()


@pytest.mark.parametrize("style", Style)
def test_a_line_that_cannot_be_made_costs_no_other(style: Style) -> None:
    """A bug of ours is told in its place, and the thread goes on."""

    class Unforeseen(types.SessionRevoked, frozen=True, kw_only=True):
        def known(self) -> Iterator[tuple[str, FieldValue]]:
            raise ValueError("a bug\nof ours")

    stream = Counting()
    sink = LogSink(style, stream, gathered_s=60)
    sink.emit(ENDED)
    sink.emit(Unforeseen(session="s", account="a@b", reason="r"))
    sink.emit(REFUSED)
    sink.close()
    words = ("session revoked", "internal error", "login refused")
    for line, word in zip(stream.getvalue().splitlines(), words, strict=True):
        assert word in line
    assert "Unforeseen" in stream.getvalue()


def test_the_log_wants_what_becomes_a_line() -> None:
    """It need not be told the rest."""
    for event in EVERY_EVENT:
        assert LogSink().wants(type(event)) == (event.type not in TRAIL_ONLY)
    for kind in RUNS:
        assert not LogSink().wants(kind)


def test_after_its_end_a_line_is_written_at_once() -> None:
    """The last words of a server are told too; and `close` may be called again."""
    stream = Counting()
    sink = LogSink(stream=stream, gathered_s=60)
    sink.close()
    sink.close()
    sink.emit(ENDED)
    assert len(stream.getvalue().splitlines()) == 1


def test_no_line_is_lost_or_torn_between_threads() -> None:
    """The trail's thread tells of its own troubles."""
    stream = Counting()
    sink = LogSink(stream=stream, gathered_s=0.0001)

    def tell() -> None:
        for _ in range(300):
            sink.emit(ENDED)
            sink.emit(REFUSED)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2400
    assert all(line.startswith("timestamp=2") for line in lines)


def test_the_time_is_the_events_not_the_writings() -> None:
    """Over a second's edge too."""
    stream = Counting()
    times = iter([1_700_000_000_999_999_999, 1_700_000_001_000_000_000])
    sink = LogSink(stream=stream, gathered_s=60, now_ns=lambda: next(times))
    sink.emit(ENDED)
    sink.emit(ENDED)
    sink.close()
    stamps = [line.split()[0] for line in stream.getvalue().splitlines()]
    assert stamps == [
        "timestamp=2023-11-14T22:13:20.999999Z",
        "timestamp=2023-11-14T22:13:21.000000Z",
    ]
