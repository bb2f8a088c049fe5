"""Notes of what commands changed are told once, and kept until that is durable."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.server.parts import Recorder

from mailkeep.app.notices import ToldNotes
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.defence.tables import SCHEMA
from mailkeep.events import EventType
from mailkeep.events import types as events

DEADLINE_S = 10


@dataclass
class Note:
    id: int


@dataclass
class Notes:
    """Keeps notes, and can be held up when it has looked and before it says what it saw."""

    kept: list[Note] = field(default_factory=list)
    when_taken: Callable[[], None] = lambda: None
    forgotten: threading.Event = field(default_factory=threading.Event)

    def take(self, limit: int) -> Sequence[Note]:
        seen = self.kept[:limit]
        self.when_taken()
        return seen

    def done(self, ids: Sequence[int]) -> None:
        self.forgotten.set()
        self.kept = [note for note in self.kept if note.id not in ids]


class Settled:
    """The record: durable at once, or not while it is held."""

    def __init__(self) -> None:
        self.held: asyncio.Event | None = None

    async def __call__(self) -> None:
        if self.held is not None:
            await self.held.wait()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Lends its threads; nothing is read from it."""
    opened = open_database(tmp_path / "door.db", SCHEMA, create=True)
    yield opened
    opened.close()


def told(database: Database, notes: Notes, sink: Recorder, settled: Settled) -> ToldNotes[Note]:
    return ToldNotes(database, notes, _event_of, sink, settled)


def _event_of(note: Note) -> events.PrefixUnbanned:
    return events.PrefixUnbanned(prefix=str(note.id), by="root")


def prefixes(sink: Recorder) -> list[str]:
    return [fields["prefix"] for fields in sink.of(EventType.PREFIX_UNBANNED)]


async def test_a_note_is_told_once_and_then_forgotten(database: Database) -> None:
    """In the order in which things were done."""
    notes, sink = Notes([Note(1), Note(2)]), Recorder()
    telling = told(database, notes, sink, Settled())
    assert await telling.tell()
    assert not await telling.tell()
    assert prefixes(sink) == ["1", "2"]
    assert notes.kept == []


async def test_a_note_stays_while_the_record_is_not_durable(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash then tells it again instead of never; without one it is told once."""
    monkeypatch.setattr("mailkeep.app.notices.SETTLED_WITHIN_S", 0.01)
    notes, sink, settled = Notes([Note(1)]), Recorder(), Settled()
    settled.held = asyncio.Event()
    telling = told(database, notes, sink, settled)
    assert await telling.tell()
    assert not await telling.tell()
    assert [note.id for note in notes.kept] == [1]
    settled.held.set()
    await telling.tell()
    assert notes.kept == []
    assert prefixes(sink) == ["1"]


async def test_two_looks_at_once_tell_a_note_once(database: Database) -> None:
    """One that saw a note before the other removed it must not tell it again."""
    loop, sink, settled = asyncio.get_running_loop(), Recorder(), Settled()
    second: list[asyncio.Task[bool]] = []
    notes = Notes([Note(1)])
    telling = told(database, notes, sink, settled)

    def wait_until_forgotten() -> None:
        assert notes.forgotten.wait(DEADLINE_S)

    def look_again() -> None:
        notes.when_taken = lambda: (
            None if notes.forgotten.wait(DEADLINE_S) else pytest.fail("stuck")
        )
        loop.call_soon_threadsafe(lambda: second.append(asyncio.create_task(telling.tell())))

    notes.when_taken = look_again
    assert await telling.tell()
    assert not await second[0]
    assert prefixes(sink) == ["1"]
