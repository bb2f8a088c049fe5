"""An event with its number and its time, and the one line that it is in the audit trail.

A line is canonical JSON: keys sorted, no spaces, ASCII, so that a record has one form and its
SHA-256 means something. Each line carries the SHA-256 of the line before it. Two kinds of line
exist: an event, and a checkpoint (`checkpoints`), which has the key `checkpoint`.

No I/O and no clock.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from mailkeep.events.types import Event, FieldValue

NOTHING_BEFORE = "0" * 64
"""Where the first line of a trail has the SHA-256 of the line before it."""

FIELD_LIMIT = 8192
"""Characters of a text: a trace is the longest, and its end is not where it is looked at."""

_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode

Line = Mapping[str, object]


class NoRecord(ValueError):
    """A line that no trail has; the reason is for operators."""


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened, as the trail keeps it.

    Attributes:
        seq: its number, from 1, without a hole.
        at: when, with a time zone.
        type: the event's name; a text, because a newer program may know more of them.
        fields: what is known, under the names of the event's class.
    """

    seq: int
    at: datetime
    type: str
    fields: Mapping[str, FieldValue]
    _fields_text: str | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def fields_text(self) -> str:
        """The fields as JSON in its one form; made once, because file and table both have it."""
        text = self._fields_text
        if text is None:
            text = _encoded(self.fields)
            object.__setattr__(self, "_fields_text", text)
        return text

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
    known = {name: _plain(value) for name, value in event.known()}
    return Record(seq, at, event.type.value, known)


def event_line(record: Record, previous: str) -> bytes:
    """Return the line of a record, without its end.

    Args:
        record: what happened.
        previous: SHA-256 of the line before.
    """
    # What `canonical` makes of such a dictionary; written out because every event pays for it.
    line = (
        f'{{"event":{_encoded(record.type)},"fields":{record.fields_text},'
        f'"prev":{_encoded(previous)},"seq":{record.seq},"time":"{time_text(record.at)}"}}'
    )
    return line.encode("ascii")


def record_in(line: Line) -> Record:
    """Return the record that a line is.

    Raises:
        NoRecord: the line is none.
    """
    match line:
        case {"seq": int(seq), "time": str(time), "event": str(name), "fields": dict(fields)}:
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
    return _encoded(line).encode("ascii")


def digest(line: bytes) -> str:
    """Return the SHA-256 of a line without its end, in hexadecimal digits."""
    return hashlib.sha256(line).hexdigest()


def chained(records: Iterable[Record], previous: str) -> tuple[list[bytes], str]:
    """Return the lines of records that follow each other, and the SHA-256 of the last."""
    lines = []
    for record in records:
        lines.append(event_line(record, previous))
        previous = digest(lines[-1])
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
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def read_time(text: str) -> datetime:
    """Return the time that `time_text` wrote.

    Raises:
        NoRecord: it is no such time.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError as cause:
        raise NoRecord("its time is none") from cause


def _plain(value: FieldValue) -> FieldValue:
    """Keep out what JSON has no form for, and what would make a line without end."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, int) else str(value)[:FIELD_LIMIT]
