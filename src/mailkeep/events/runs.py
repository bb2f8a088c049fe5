"""Events that one session makes in a row, told together: a run.

Responsible for which events of a group become one line of the trail, in which order the lines
stand, and how a line's events come out again, each with its own number and time. A session that
fetches twenty messages is then one line and one row instead of twenty.

Pure. Known limit: within a run's second, a session's events of different types stand in the order
in which their runs began, and what others did meanwhile stands before or behind. Each event keeps
its time.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import cast

from msgspec import Struct

from mailkeep.events.records import (
    EACH,
    LATER_US,
    RUN_EVENTS,
    RUN_S,
    Record,
    name_of,
    plain,
    record_from,
    record_written_alike,
)
from mailkeep.events.types import DeletionAsked, DeletionDone, Event, FieldValue, MessageRead

TEXT_LIMIT = 512
"""Characters of a text in a run. What has a longer one is a line of its own, so that a full run,
escaped, can still be read back (`LINE_LIMIT_OCTETS`); a uidl has 70 (RFC 1939 section 7)."""

MERGED: tuple[type[Event], ...] = (MessageRead, DeletionAsked, DeletionDone)
"""What comes in rows: RETR after RETR, DELE after DELE, and what is removed at QUIT."""

_SHARED = frozenset({"account", "device", "peer", "session"})
"""Fields that all events of a run have in common, where their class has them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RUN_US = int(RUN_S * 1_000_000)

Own = dict[str, FieldValue]


class Run:
    """Events of one type and one session that become one line."""

    __slots__ = ("at_us", "each", "first", "form", "shared")

    def __init__(
        self, form: "_Form", at_us: int, first: Event, shared: tuple[str | None, ...]
    ) -> None:
        self.form = form
        self.at_us = at_us
        self.first = first
        self.shared = shared
        self.each: list[Own] = []

    def takes(self, at_us: int, shared: tuple[str | None, ...]) -> bool:
        """Tell whether an event may be one of this run."""
        is_soon = 0 <= at_us - self.at_us < _RUN_US
        return is_soon and len(self.each) < RUN_EVENTS and shared == self.shared

    def add(self, at_us: int, own: Own) -> None:
        """Add an event."""
        if at_us != self.at_us:
            own[LATER_US] = at_us - self.at_us
        self.each.append(own)

    def record(self, seq: int, at: datetime) -> Record:
        """Return the record of all of its events, under the number of the first."""
        fields: dict[str, object] = {
            name: plain(value)
            for name, value in zip(self.form.shared_names, self.shared, strict=True)
            if value is not None
        }
        fields[EACH] = self.each
        known = cast("dict[str, FieldValue]", fields)
        return record_written_alike(seq, at, name_of(type(self.first)), known)


class _Form:
    """How events of a class are taken apart."""

    __slots__ = ("own_names", "shared_names", "shared_of")

    def __init__(self, of: type[Event]) -> None:
        names = of.__struct_fields__
        self.shared_names = tuple(name for name in names if name in _SHARED)
        self.own_names = tuple(name for name in names if name not in _SHARED)
        self.shared_of = attrgetter(*self.shared_names)

    def own_of(self, event: Event) -> Own | None:
        """Return what an event has of its own; None if it is too long or too odd for a run."""
        own: Own = {}
        for name in self.own_names:
            value = getattr(event, name)
            if value is None:
                continue
            kind = value.__class__
            if len(value) > TEXT_LIMIT if kind is str else kind is not int and kind is not bool:
                return None
            own[name] = value
        return own


_FORMS = {of: _Form(of) for of in MERGED}

Happened = tuple[datetime, Event | Run]
"""What becomes one line of the trail."""


class Told(Struct, gc=False):
    """An event and when it was told, in nanoseconds since 1970.

    A Struct, for thousands of tuples in a queue would be looked at by the garbage collector again
    and again.
    """

    at_ns: int
    event: Event


def merged(group: Iterable[Told]) -> list[Happened]:
    """Return the lines that events become, in the order in which the lines began.

    Any other event of a session ends its runs: what was read before RSET stands before it.
    """
    merging = _Merging()
    for told in group:
        merging.take(told.at_ns // 1000, told.event)
    return [(_EPOCH + timedelta(0, 0, at_us), _alone(told)) for at_us, told in merging.lines]


def numbered(lines: Iterable[Happened], seq: int) -> list[Record]:
    """Return the records of lines; the first has the number behind `seq`."""
    records = []
    seq += 1
    for at, told in lines:
        if isinstance(told, Run):
            records.append(told.record(seq, at))
            seq += len(told.each)
        else:
            records.append(record_from(seq, at, told))
            seq += 1
    return records


def records_of(record: Record) -> list[Record]:
    """Return the records of the events that a line tells, each with its number and its time."""
    each = record.each
    if each is None:
        return [record]
    shared = {name: value for name, value in record.fields.items() if name != EACH}
    return [_one_of(record, place, shared, own) for place, own in enumerate(each)]


class _Merging:
    """A group on its way to lines."""

    __slots__ = ("_runs", "lines")

    def __init__(self) -> None:
        self.lines: list[tuple[int, Event | Run]] = []
        self._runs: dict[str | None, dict[type[Event], Run]] = {}

    def take(self, at_us: int, event: Event) -> None:
        """Make an event a part of its session's run, or a line of its own."""
        form = _FORMS.get(type(event))
        own = None if form is None else form.own_of(event)
        if form is None or own is None:
            if self._runs:
                self._runs.pop(getattr(event, "session", None), None)
            self.lines.append((at_us, event))
            return
        session: str | None = getattr(event, "session", None)
        runs = self._runs.get(session)
        if runs is None:
            runs = self._runs[session] = {}
        shared = form.shared_of(event)
        run = runs.get(type(event))
        if run is None or not run.takes(at_us, shared):
            run = runs[type(event)] = Run(form, at_us, event, shared)
            self.lines.append((at_us, run))
        run.add(at_us, own)


def _alone(told: Event | Run) -> Event | Run:
    """Return the event of a run that has no other."""
    return told.first if isinstance(told, Run) and len(told.each) == 1 else told


def _one_of(
    run: Record, place: int, shared: Mapping[str, FieldValue], own: Mapping[str, FieldValue]
) -> Record:
    fields = {**shared, **own}
    later = timedelta(microseconds=int(fields.pop(LATER_US, 0)))
    in_order = {name: fields[name] for name in sorted(fields)}
    return Record(run.seq + place, run.at + later, run.type, in_order)
