"""The audit trail's lines: each an event, or a run (`run_types`), and how they are read back.

Responsible for which runs of a group become one line of the trail, in which order the lines stand,
and how a line's events come out again, each with its own number and time. A session that fetches
twenty messages is then one line and one row instead of twenty.

Pure. Known limit: within a run's second, a session's events of different types stand in the order
in which their runs began, and what others did meanwhile stands before or behind. Each event keeps
its time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, cast

import msgspec
from msgspec import Struct

from mailkeep.events.entries import Entry, entry_from, shape_of
from mailkeep.events.records import (
    ASKED_BY,
    EACH,
    FIELD_LIMIT,
    LATER_US,
    NOT_KNOWN,
    RUN_EVENTS,
    AskedBy,
    Record,
    Writable,
    name_of,
    plain,
    written_alike,
)
from mailkeep.events.run_types import RUN_US, RUNS, Part, Run
from mailkeep.events.times import microseconds_of, moment, text_of
from mailkeep.events.types import Event, FieldValue

_SHARED = frozenset({"account", "device", "peer", "session"})
"""Fields that all events of a run have in common, where their class has them."""

Shared = tuple[str | None, ...]


class RunLine:
    """A run, or some of one type and session, that become one line."""

    __slots__ = ("_form", "_run", "at_us", "each")

    def __init__(self, at_us: int, run: Run[Any]) -> None:
        self._form = _FORMS[type(run)]
        self._run = run
        self.at_us = at_us
        self.each: Sequence[Part] = run.each
        """What each event has of its own; not to be changed, for the run may be written again."""

    def take(self, at_us: int, run: Run[Any]) -> bool:
        """Make the events of another run a part of this line; tell whether they may be."""
        if len(self.each) + len(run.each) > RUN_EVENTS:
            return False
        shared_of, after_us = self._form.shared_of, at_us - self.at_us
        times_us = [part.later_us + after_us for part in run.each]
        if min(times_us) < 0 or max(times_us) >= RUN_US or shared_of(run) != shared_of(self._run):
            return False
        parts = zip(run.each, times_us, strict=True)
        later = [msgspec.structs.replace(part, later_us=time_us) for part, time_us in parts]
        self.each = [*self.each, *later]
        return True

    def entry(self, seq: int, time_text: str) -> Writable:
        """Return what is written of all of its events, under the number of the first.

        Args:
            seq: that number.
            time_text: the first's time as the trail writes it.
        """
        if len(self.each) == 1:
            return entry_from(seq, self.at_us, time_text, next(self._run.events()))
        form, kind = self._form, name_of(type(self._run))
        shared = form.shared_of(self._run)
        text = form.text(shared, self.each)
        if text is None:
            return Record(seq, moment(self.at_us), kind, form.fields(shared, self.each))
        return Entry(seq, len(self.each), self.at_us, kind, time_text, text, form.asked_by(shared))


class _Form:
    """How runs of a class are written."""

    __slots__ = ("_names", "_places", "_shape", "shared_of")

    def __init__(self, kind: type[Run[Any]]) -> None:
        self._names = [name for name in kind.of.__struct_fields__ if name in _SHARED]
        self._places = [ASKED_BY.index(name) for name in self._names]
        self._shape = shape_of((*self._names, EACH))
        self.shared_of: Callable[[Run[Any]], Shared] = attrgetter(*self._names)
        """Returns what the events of a run have in common."""

    def text(self, shared: Shared, each: Sequence[Part]) -> str | None:
        """Return the fields' text of a line; None if the quick way may give another form."""
        if any(value is not None and _is_odd(value) for value in shared):
            return None
        octets = written_alike(self._shape(*shared, each))
        return None if octets is None else octets.decode("ascii")

    def fields(self, shared: Shared, each: Sequence[Part]) -> dict[str, FieldValue]:
        """Return the fields of a line's record."""
        in_common = zip(self._names, shared, strict=True)
        fields = {name: plain(value) for name, value in in_common if value is not None}
        return fields | {EACH: cast("FieldValue", [_fields_of(part) for part in each])}

    def asked_by(self, shared: Shared) -> AskedBy:
        """Return the values of the table's columns for a line, whose texts are ASCII."""
        values: list[str | int] = [NOT_KNOWN] * len(ASKED_BY)
        for place, value in zip(self._places, shared, strict=True):
            if value is not None:
                values[place] = value
        return values


Happened = tuple[int | datetime, Event | RunLine]
"""What becomes one line of the trail, and when: in microseconds since 1970, as all that is told in
a server; a datetime, which costs five times as much, where somebody has one."""


class Told(Struct, gc=False):
    """An event, or a run of them, and when it happened, in nanoseconds since 1970.

    A Struct, for thousands of tuples in a queue would be looked at by the garbage collector again
    and again.
    """

    at_ns: int
    event: Event


def merged(group: Iterable[Told]) -> list[Happened]:
    """Return the lines that events become, in the order in which the lines began.

    Any other event of a session ends its runs: what was read before RSET stands before it.
    """
    joining = _Joining()
    for told in group:
        joining.take(told.at_ns // 1000, told.event)
    return joining.lines


def entries_of(lines: Iterable[Happened], seq: int) -> list[Writable]:
    """Return what is written of lines; the first has the number behind `seq`."""
    entries: list[Writable] = []
    seq += 1
    for at, told in lines:
        at_us = at if isinstance(at, int) else microseconds_of(at)
        time_text = text_of(at_us)
        if isinstance(told, RunLine):
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


_Lines = dict[type[Event], RunLine]
_NO_LINES: _Lines = {}


class _Joining:
    """A group on its way to lines."""

    __slots__ = ("_open", "lines")

    def __init__(self) -> None:
        self.lines: list[Happened] = []
        self._open: dict[str | None, _Lines] = {}

    def take(self, at_us: int, event: Event) -> None:
        """Make an event a line of its own, or a run a part of its session's line."""
        if isinstance(event, Run):
            self._take_run(at_us, event)
            return
        if self._open:
            self._open.pop(getattr(event, "session", None), None)
        self.lines.append((at_us, event))

    def _take_run(self, at_us: int, run: Run[Any]) -> None:
        line = self._open.get(run.session, _NO_LINES).get(type(run))
        if line is None or not line.take(at_us, run):
            line = RunLine(at_us, run)
            self._open.setdefault(run.session, {})[type(run)] = line
            self.lines.append((at_us, line))


def _one_of(
    run: Record, place: int, shared: Mapping[str, FieldValue], own: Mapping[str, FieldValue]
) -> Record:
    fields = {**shared, **own}
    later = timedelta(microseconds=int(fields.pop(LATER_US, 0)))
    in_order = {name: fields[name] for name in sorted(fields)}
    return Record(run.seq + place, run.at + later, run.type, in_order)


def _fields_of(part: Part) -> dict[str, FieldValue]:
    """Return what is known of a part; what happened at the line's time does not say when."""
    known = msgspec.structs.asdict(part).items()
    return {
        name: plain(value)
        for name, value in known
        if value is not None and not (name == LATER_US and not value)
    }


def _is_odd(value: str) -> bool:
    """Tell whether this is too long, or no text at all."""
    return value.__class__ is not str or len(value) > FIELD_LIMIT


_FORMS: dict[type[Event], _Form] = {kind: _Form(kind) for kind in RUNS}
