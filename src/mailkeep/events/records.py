"""An event with its number and its time, and the one line that it is in the audit trail.

This is how events are read; `entries` writes nearly all of them in the same form, only quicker.

A line is canonical JSON: keys sorted, no spaces, ASCII, so that a record has one form and its
SHA-256 means something. Each line carries the SHA-256 of the line before it. Two kinds of line
exist: events, and a checkpoint (`checkpoints`), which has the key `checkpoint`. A line of events
has one, or a run of them (`runs`): then `each` is a list of what each of them has of its own.

No I/O and no clock.
"""

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, cast

import msgspec

from mailkeep.events.times import microseconds_of, text_of
from mailkeep.events.types import Event, FieldValue

NOTHING_BEFORE = "0" * 64
"""Where the first line of a trail has the SHA-256 of the line before it."""

FIELD_LIMIT = 8192
"""Characters of a text: a trace is the longest, and its end is not where it is looked at."""

EACH = "each"
"""The field of a run's line with what each of its events has of its own."""

LATER_US = "later_us"
"""In it: microseconds after the line's time, where it is not the same."""

RUN_EVENTS = 64
"""Events of one run at most: a page of rows stays some megabytes. Whoever asks for what follows a
number looks back so far, because a run is found under the number of its first event."""

ASKED_BY = ("session", "account", "peer", "device", "uidl", "name")
"""Fields that have a column of their own in the table, in this order; `name` is folded there."""

NOT_KNOWN = 0
"""Stands for NULL in such a column; no text is equal to it. Given as None it would cost more than
all the others, because sqlite3 looks each time for somebody who adapts it."""

AskedBy = Sequence[str | int]
"""Values for the columns of `ASKED_BY`."""

RUN_S = 1.0
"""From a run's first event to its last, at most: a group is a quarter of a second, and more only
when the disk takes nothing. Whoever asks for a time looks back so far."""

_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Says what the one form is."""

_encoded_fast = msgspec.json.Encoder(order="sorted").encode
"""The same at a fifth of the cost, but for what `written_alike` and `is_exact` look for."""

_ALWAYS_ALIKE = frozenset({str, int, bool})

_EXACT_FROM, _EXACT_BELOW = 1e-4, 1e16
"""Between these Python writes a float without an exponent, as msgspec does."""

Line = Mapping[str, object]


class NoRecord(ValueError):
    """A line that no trail has; the reason is for operators."""


class Writable(Protocol):
    """What can be written as a line and a row: a `Record`, or an `Entry` (`entries`)."""

    @property
    def seq(self) -> int:
        """Its number; a run's first."""

    @property
    def count(self) -> int:
        """How many events it tells."""

    @property
    def at(self) -> datetime:
        """When."""

    @property
    def type(self) -> str:
        """The event's name."""

    @property
    def time_text(self) -> str:
        """The time as the trail writes it."""

    @property
    def fields_text(self) -> str:
        """The fields as JSON in its one form."""

    @property
    def asked_by(self) -> AskedBy:
        """What the table has a column for, besides number, time and name."""


class Record(msgspec.Struct, frozen=True, dict=True):
    """Something that happened, as the trail keeps it.

    Attributes:
        seq: its number, from 1, without a hole; a run's first.
        at: when, with a time zone.
        type: the event's name; a text, because a newer program may know more of them.
        fields: what is known, under the names of the event's class.
    """

    seq: int
    at: datetime
    type: str
    fields: Mapping[str, FieldValue]

    @property
    def each(self) -> Sequence[Mapping[str, FieldValue]] | None:
        """What each event of a run has of its own; None for a single event."""
        return cast("Sequence[Mapping[str, FieldValue]] | None", self.fields.get(EACH))

    @property
    def count(self) -> int:
        """How many events it tells; they have the numbers from `seq` on."""
        each = self.fields.get(EACH)
        return 1 if each is None else len(cast("Sequence[object]", each))

    @property
    def fields_text(self) -> str:
        """The fields as JSON in its one form; made once, because file and table both have it."""
        kept = self.__dict__
        text: str | None = kept.get("fields_text")
        if text is None:
            text = kept["fields_text"] = _form(self.fields)
        return text

    @property
    def time_text(self) -> str:
        """The time as the trail writes it; made once, for the same reason."""
        kept = self.__dict__
        text: str | None = kept.get("time_text")
        if text is None:
            text = kept["time_text"] = time_text(self.at)
        return text

    @property
    def asked_by(self) -> AskedBy:
        """The fields that have a column of their own, as the table has them."""
        *others, name_untrusted = map(self.text, ASKED_BY)
        claimed = NOT_KNOWN if name_untrusted is None else fold_name(name_untrusted)
        return (*(NOT_KNOWN if text is None else storable(text) for text in others), claimed)

    def text(self, name: str) -> str | None:
        """Return a field as a text, if it is known."""
        value = self.fields.get(name)
        return None if value is None else str(value)

    def number(self, name: str) -> int:
        """Return a field that is a count; 0 if it is not known."""
        value = self.fields.get(name)
        return int(value) if isinstance(value, int | float) else 0


def record_from(seq: int, at: datetime, event: Event) -> Record:
    """Return the record of an event."""
    known = {name: plain(value) for name, value in event.known()}
    return Record(seq, at, name_of(type(event)), known)


@functools.cache
def name_of(kind: type[Event]) -> str:
    """Return the name of a class's events; an enum takes five times as long to say it."""
    return kind.type.value


def event_line(record: Writable, previous: str) -> bytes:
    """Return the line of a record, without its end.

    Args:
        record: what happened.
        previous: SHA-256 of the line before.
    """
    # What `canonical` makes of such a dictionary; written out because every event pays for it.
    line = (
        f'{{"event":{_type_text(record.type)},"fields":{record.fields_text},'
        f'"prev":"{previous}","seq":{record.seq},"time":"{record.time_text}"}}'
    )
    return line.encode("ascii")


def record_in(line: Line) -> Record:
    """Return the record that a line is.

    Raises:
        NoRecord: the line is none.
    """
    match line:
        case {"seq": int(seq), "time": str(time), "event": str(name), "fields": dict(fields)}:
            if EACH in fields and not _is_run(fields[EACH]):
                raise NoRecord("what each of its events has is no list of fields")
            return Record(seq, read_time(time), name, cast("dict[str, FieldValue]", fields))
        case _:
            raise NoRecord("it has not the keys of an event")


def parse_line(octets: bytes) -> Line:
    """Return what a line says.

    Args:
        octets: without the line's end.

    Raises:
        NoRecord: it is not one JSON object in its canonical form.
    """
    try:
        parsed = json.loads(octets)
    except (ValueError, RecursionError) as cause:
        raise NoRecord("it is not JSON") from cause
    if not isinstance(parsed, dict) or canonical(parsed) != octets:
        raise NoRecord("it is not in the form in which it was written")
    return parsed


def canonical(line: Line) -> bytes:
    """Return the one form of a line."""
    return _form(line).encode("ascii")


def digest(line: bytes) -> str:
    """Return the SHA-256 of a line without its end, in hexadecimal digits."""
    return hashlib.sha256(line).hexdigest()


def chained(records: Iterable[Writable], previous: str) -> tuple[list[bytes], str]:
    """Return the lines of records that follow each other, and the SHA-256 of the last."""
    lines = []
    for record in records:
        line = event_line(record, previous)
        previous = hashlib.sha256(line).hexdigest()
        lines.append(line)
    return lines, previous


def fold_name(name_untrusted: str) -> str:
    """Return the one form of a login's name under which it is found again."""
    return storable(name_untrusted.strip().casefold())


def storable(text: str) -> str:
    """Write what UTF-8 has no form for (half a surrogate pair) as an escape: SQLite takes UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_alert(record: Record) -> bool:
    """Tell whether an event that may be a warning is one, as the operator has set it."""
    if "is_alert" not in record.fields:
        return True
    return bool(record.fields["is_alert"] or record.fields.get("refused"))


def time_text(at: datetime) -> str:
    """Return a time as the trail writes it: UTC, microseconds, RFC 3339."""
    return text_of(microseconds_of(at))


def read_time(text: str) -> datetime:
    """Return the time that `time_text` wrote.

    Raises:
        NoRecord: it is no such time.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError as cause:
        raise NoRecord("its time is none") from cause


def written_alike(value: object) -> bytes | None:
    """Return the one form of something, made the fast way; None where that gives another.

    Args:
        value: without a float that is not `is_exact`.
    """
    try:
        octets = _encoded_fast(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None  # half a surrogate pair, or an odd type
    return octets if octets.isascii() and b"\x7f" not in octets else None


def is_exact(value: float) -> bool:
    """Tell whether a float is written alike both ways."""
    return value == 0 or _EXACT_FROM <= abs(value) < _EXACT_BELOW


def plain(value: FieldValue) -> FieldValue:
    """Keep out what JSON has no form for, and what would make a line without end."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, int) else str(value)[:FIELD_LIMIT]


def _is_run(each: object) -> bool:
    """Tell whether this is what a run's events have of their own."""
    if not isinstance(each, list) or not 0 < len(each) <= RUN_EVENTS:
        return False
    return all(isinstance(own, dict) and _is_soon(own.get(LATER_US, 0)) for own in each)


def _is_soon(later_us: object) -> bool:
    return type(later_us) is int and 0 <= later_us < RUN_S * 1_000_000


@functools.lru_cache
def _type_text(name: str) -> str:
    return _encoded(name)


def _form(value: Mapping[str, object]) -> str:
    """Return the one form of something, the fast way if it is the same."""
    octets = written_alike(value)
    return octets.decode("ascii") if octets is not None and _is_alike(value) else _encoded(value)


def _is_alike(value: object) -> bool:
    """Tell whether all floats in it are written alike both ways."""
    if isinstance(value, float):
        return is_exact(value)
    if isinstance(value, dict):
        return _ALWAYS_ALIKE.issuperset(map(type, value.values())) or all(
            map(_is_alike, value.values())
        )
    return not isinstance(value, list) or all(map(_is_alike, value))
