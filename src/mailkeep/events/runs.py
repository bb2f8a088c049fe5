"""Events that one session makes in a row, told together: a run.

Responsible for which events of a group become one line of the trail, in which order the lines
stand, and how a line's events come out again, each with its own number and time. A session that
fetches twenty messages is then one line and one row instead of twenty.

Pure. Known limit: within a run's second, a session's events of different types stand in the order
in which their runs began, and what others did meanwhile stands before or behind. Each event keeps
its time.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, cast

from msgspec import Struct

from mailkeep.events.entries import PLAIN, Entry, entry_from, shape_of
from mailkeep.events.records import (
    ASKED_BY,
    EACH,
    FIELD_LIMIT,
    LATER_US,
    NOT_KNOWN,
    RUN_EVENTS,
    RUN_S,
    AskedBy,
    Record,
    Writable,
    name_of,
    plain,
    written_alike,
)
from mailkeep.events.times import microseconds_of, moment, text_of
from mailkeep.events.types import DeletionAsked, DeletionDone, Event, FieldValue, MessageRead

TEXT_LIMIT = 512
"""Characters of a text in a run. What has a longer one is a line of its own, so that a full run,
escaped, can still be read back (`LINE_LIMIT_OCTETS`); a uidl has 70 (RFC 1939 section 7)."""

MERGED: tuple[type[Event], ...] = (MessageRead, DeletionAsked, DeletionDone)
"""What comes in rows: RETR after RETR, DELE after DELE, and what is removed at QUIT."""

_SHARED = frozenset({"account", "device", "peer", "session"})
"""Fields that all events of a run have in common, where their class has them."""

_RUN_US = int(RUN_S * 1_000_000)

Shared = tuple[str | None, ...]
Own = tuple[FieldValue | None, ...]


class Run:
    """Events of one type and one session that become one line."""

    __slots__ = ("_form", "_shared", "at_us", "each", "first")

    def __init__(self, form: "_Form", at_us: int, first: Event, shared: Shared) -> None:
        self._form = form
        self._shared = shared
        self.at_us = at_us
        self.first = first
        self.each: list[Own] = []
        """What each event has of its own, and behind that how much later it happened."""

    def take(self, at_us: int, shared: Shared, own: Own) -> bool:
        """Make an event one of this run; tell whether it may be."""
        later_us = at_us - self.at_us
        if not 0 <= later_us < _RUN_US or len(self.each) >= RUN_EVENTS or shared != self._shared:
            return False
        self.each.append((*own, later_us or None))
        return True

    def entry(self, seq: int, time_text: str) -> Writable:
        """Return what is written of all of its events, under the number of the first.

        Args:
            seq: that number.
            time_text: the first's time as the trail writes it.
        """
        form, kind = self._form, name_of(type(self.first))
        text = form.text(self._shared, self.each)
        if text is None:
            return Record(seq, moment(self.at_us), kind, form.fields(self._shared, self.each))
        asked_by = form.asked_by(self._shared)
        return Entry(seq, len(self.each), self.at_us, kind, time_text, text, asked_by)


class _Form:
    """How events of a class are taken apart, and written together."""

    __slots__ = (
        *("_own_names", "_own_values", "_places", "_shape", "_shape_of_own", "_shared_names"),
        "shared_of",
    )

    def __init__(self, of: type[Event]) -> None:
        names = of.__struct_fields__
        self._shared_names = tuple(name for name in names if name in _SHARED)
        self._own_names = tuple(name for name in names if name not in _SHARED)
        self.shared_of: Callable[[Event], Shared] = attrgetter(*self._shared_names)
        self._own_values = _getter(self._own_names)
        self._shape = shape_of((*self._shared_names, EACH))
        self._shape_of_own = shape_of((*self._own_names, LATER_US))
        self._places = [ASKED_BY.index(name) for name in self._shared_names]

    def own_of(self, event: Event) -> Own | None:
        """Return what an event has of its own; None if it is too long or too odd for a run."""
        own = self._own_values(event)
        for value in own:
            kind = value.__class__
            if kind is str:
                if len(value) > TEXT_LIMIT:  # type: ignore[arg-type]  # a text
                    return None
            elif kind not in PLAIN:
                return None
        return own

    def text(self, shared: Shared, each: Iterable[Own]) -> str | None:
        """Return the fields' text of a run; None if the quick way may give another form."""
        if any(value is not None and _is_odd(value) for value in shared):
            return None
        shape_of_own = self._shape_of_own
        octets = written_alike(self._shape(*shared, [shape_of_own(*own) for own in each]))
        return None if octets is None else octets.decode("ascii")

    def fields(self, shared: Shared, each: Iterable[Own]) -> dict[str, FieldValue]:
        """Return the fields of a run's record."""
        fields = _known(self._shared_names, shared)
        names = (*self._own_names, LATER_US)
        in_each = {EACH: [_known(names, own) for own in each]}
        return fields | cast("dict[str, FieldValue]", in_each)

    def asked_by(self, shared: Shared) -> AskedBy:
        """Return the values of the table's columns for a run, whose texts are ASCII."""
        values: list[str | int] = [NOT_KNOWN] * len(ASKED_BY)
        for place, value in zip(self._places, shared, strict=True):
            if value is not None:
                values[place] = value
        return values


Happened = tuple[int | datetime, Event | Run]
"""What becomes one line of the trail, and when: in microseconds since 1970, as all that is told in
a server; a datetime, which costs five times as much, where somebody has one."""


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
    return [(at_us, _alone(told)) for at_us, told in merging.lines]


def entries_of(lines: Iterable[Happened], seq: int) -> list[Writable]:
    """Return what is written of lines; the first has the number behind `seq`."""
    entries: list[Writable] = []
    seq += 1
    for at, told in lines:
        at_us = at if isinstance(at, int) else microseconds_of(at)
        time_text = text_of(at_us)
        if isinstance(told, Run):
            entries.append(told.entry(seq, time_text))
            seq += len(told.each)
        else:
            entries.append(entry_from(seq, at_us, time_text, told))
            seq += 1
    return entries


def records_of(record: Record) -> list[Record]:
    """Return the records of the events that a line tells, each with its number and its time."""
    each = record.each
    if each is None:
        return [record]
    shared = {name: value for name, value in record.fields.items() if name != EACH}
    return [_one_of(record, place, shared, own) for place, own in enumerate(each)]


_Runs = dict[type[Event], Run]
_NO_RUNS: _Runs = {}


class _Merging:
    """A group on its way to lines."""

    __slots__ = ("_runs", "lines")

    def __init__(self) -> None:
        self.lines: list[tuple[int, Event | Run]] = []
        self._runs: dict[str | None, _Runs] = {}

    def take(self, at_us: int, event: Event) -> None:
        """Make an event a part of its session's run, or a line of its own."""
        kind = type(event)
        form = _FORMS.get(kind)
        own = None if form is None else form.own_of(event)
        if form is None or own is None:
            self._take_alone(at_us, event)
            return
        shared = form.shared_of(event)
        run = self._runs.get(getattr(event, "session", None), _NO_RUNS).get(kind)
        if run is None or not run.take(at_us, shared, own):
            self._begin(Run(form, at_us, event, shared)).take(at_us, shared, own)

    def _take_alone(self, at_us: int, event: Event) -> None:
        if self._runs:
            self._runs.pop(getattr(event, "session", None), None)
        self.lines.append((at_us, event))

    def _begin(self, run: Run) -> Run:
        runs = self._runs.setdefault(getattr(run.first, "session", None), {})
        runs[type(run.first)] = run
        self.lines.append((run.at_us, run))
        return run


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


def _getter(names: tuple[str, ...]) -> Callable[[Event], Own]:
    """Return what gets fields of an event; of a single one `attrgetter` makes no tuple."""
    get: Callable[[Event], Any] = attrgetter(*names)
    return get if len(names) > 1 else lambda event: (get(event),)


def _known(names: Iterable[str], values: Iterable[FieldValue | None]) -> dict[str, FieldValue]:
    named = zip(names, values, strict=True)
    return {name: plain(value) for name, value in named if value is not None}


def _is_odd(value: str) -> bool:
    """Tell whether this is too long, or no text at all."""
    return value.__class__ is not str or len(value) > FIELD_LIMIT


_FORMS = {of: _Form(of) for of in MERGED}
