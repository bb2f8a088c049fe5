"""A site's trail in a folder of its own, and somebody who is told of its troubles."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.events.samples import as_told

from mailkeep.events import Event
from mailkeep.events.queries import Question, read_events
from mailkeep.events.records import NOTHING_BEFORE, Record, event_line, parse_line, record_in
from mailkeep.events.runs import Happened, entries_of, merged, records_of
from mailkeep.events.runs import Told as ToldAt
from mailkeep.events.trail import Trail, open_trail
from mailkeep.events.trail_database import open_trail_database

BEGIN = datetime(2026, 11, 22, 8, 44, 0, 813879, tzinfo=UTC)


def ns_of(at: datetime) -> int:
    """Return a time in nanoseconds since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


class Told:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def has_room(self) -> bool:
        return True

    async def ready(self) -> None:
        return


@dataclass
class Clock:
    """A time that stands still until it is moved."""

    at: datetime = BEGIN

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class TrailPlace:
    """Where a trail is."""

    folder: Path
    database: Path
    told: Told = field(default_factory=Told)
    now: Callable[[], datetime] = field(default_factory=Clock)

    def open(self) -> Trail:
        return open_trail(
            self.folder, self.database, self.told, now_ns=lambda: ns_of(self.now()), group_s=0
        )

    def write(self, *events: Event) -> None:
        """Write events in a run of their own."""
        trail = self.open()
        for event in events:
            trail.emit(as_told(event))
        trail.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(tmp_path: Path, clock: Clock) -> TrailPlace:
    return TrailPlace(tmp_path / "trail", tmp_path / "events.db", now=clock)


@pytest.fixture
def trail(place: TrailPlace) -> Iterator[Trail]:
    with ExitStack() as closing:
        opened = place.open()
        closing.callback(opened.close)
        yield opened


def numbered(lines: Iterable[Happened], seq: int) -> list[Record]:
    """Return the records of lines as they are read back; the first has the number behind `seq`."""
    written = [event_line(entry, NOTHING_BEFORE) for entry in entries_of(lines, seq)]
    return [record_in(parse_line(line)) for line in written]


def whole(group: list[ToldAt], seq: int = 0) -> list[Record]:
    """Return the records that a group of events is in the end, out of its lines."""
    return [one for line in numbered(merged(group), seq) for one in records_of(line)]


def recorded(place: TrailPlace) -> list[Record]:
    database = open_trail_database(place.database, place.folder)
    try:
        return [*read_events(database, Question())]
    finally:
        database.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for the trail's thread."""
    turn = threading.Event()
    for _ in range(2000):
        if condition():
            return
        turn.wait(0.005)
    raise AssertionError("it does not come")
