"""What is about to be written: an event, or a run of them (`runs`), with all texts that it needs.

Responsible for the quick way from an event to its line in the trail and its row in the table. The
form is that of `records`, which is asked for whatever is too odd for the quick way: then the record
itself is what is written. No I/O and no clock.
"""

import functools
from collections.abc import Callable, Iterable
from datetime import datetime
from operator import itemgetter

import msgspec
from msgspec.structs import astuple

from mailkeep.events.records import (
    ASKED_BY,
    FIELD_LIMIT,
    NOT_KNOWN,
    AskedBy,
    Writable,
    fold_name,
    is_exact,
    name_of,
    record_from,
    written_alike,
)
from mailkeep.events.times import moment
from mailkeep.events.types import Event

PLAIN = frozenset({str, int, bool, type(None)})
"""What is written alike whatever its value, but for texts that are not ASCII."""


_TEXTS = frozenset({str, type(None)})

Asked = tuple[str | None, ...]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An event, or a run of them, with its texts made; see `Writable`."""

    seq: int
    count: int
    at_us: int
    """In microseconds since 1970."""
    type: str
    time_text: str
    fields_text: str
    asked_by: AskedBy

    @property
    def at(self) -> datetime:
        """When."""
        return moment(self.at_us)


def shape_of(names: Iterable[str]) -> type[msgspec.Struct]:
    """Return a class that is written as JSON with what is known of these fields.

    A value that is a Struct's default is left out: here that is None.
    """
    fields = [(name, object, None) for name in names]
    return msgspec.defstruct("Fields", fields, omit_defaults=True, gc=False)


def entry_from(seq: int, at_us: int, time_text: str, event: Event) -> Writable:
    """Return what is written of an event that is no part of a run.

    Args:
        seq: its number.
        at_us: when, in microseconds since 1970.
        time_text: the same as the trail writes it.
        event: what happened.
    """
    form = _form_of(type(event))
    values = astuple(event)
    asked = form.pick((*values, None))
    if _TEXTS.issuperset(map(type, asked)) and _are_easy(values):
        octets = written_alike(form.shape(*values))
        if octets is not None and len(octets) <= FIELD_LIMIT:  # and so is each text in it
            text = octets.decode("ascii")
            return Entry(seq, 1, at_us, form.name, time_text, text, _columns(asked))
    return record_from(seq, moment(at_us), event)


class _Form:
    """How events of a class are written."""

    __slots__ = ("name", "pick", "shape")

    def __init__(self, of: type[Event]) -> None:
        names = of.__struct_fields__
        self.name = name_of(of)
        self.shape = shape_of(names)
        places = [names.index(it) if it in names else -1 for it in ASKED_BY]
        self.pick: Callable[[tuple[object, ...]], Asked] = itemgetter(*places)
        """Returns what the columns are made of, out of an event's values and a None behind them."""


_form_of = functools.cache(_Form)


def _columns(asked: Asked) -> AskedBy:
    """Return the columns' values, made of texts that are ASCII."""
    values = [NOT_KNOWN if text is None else text for text in asked]
    if (name_untrusted := asked[-1]) is not None:
        values[-1] = fold_name(name_untrusted)
    return values


def _are_easy(values: tuple[object, ...]) -> bool:
    return PLAIN.issuperset(map(type, values)) or all(map(_is_easy, values))


def _is_easy(value: object) -> bool:
    return value.__class__ in PLAIN or (value.__class__ is float and is_exact(value))
