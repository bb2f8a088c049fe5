"""One event of every type, with every field set."""

from typing import Any, get_type_hints

from mailkeep.events import Event, EventType, types
from mailkeep.events.records import LATER_US
from mailkeep.events.run_types import RUNS, TEXT_LIMIT, DeletionPart, Part, ReadPart, Run

_VALUES = {
    "session": "c0ffee01",
    "account": "alice@example.com",
    "peer": "192.0.2.7:40000",
    "name": "alice",
    "mechanism": "SCRAM-SHA-256",
    "device": "office printer",
    "uidl": "1700000000.M1P1.host",
    "sha256": "ab" * 32,
    "version": "TLSv1.3",
    "command": "RETR",
    "country": "DE",
    "before": "FR",
    "prefix": "192.0.2.0/24",
    "not_after": "2027-01-01T00:00:00+00:00",
    "client_certificate": "cd" * 32,
}
_BY_KIND: dict[object, object] = {int: 7, float: 1.5, bool: True, str: "some text"}


def classes() -> dict[EventType, type[Event]]:
    """Return the class of every event."""
    found = {}
    for value in vars(types).values():
        if isinstance(value, type) and issubclass(value, Event) and value is not Event:
            found[value.type] = value
    return found


def sample(of: type[Event]) -> Event:
    """Return an event of a class."""
    hints = get_type_hints(of)
    given: dict[str, Any] = {}
    for name in of.__struct_fields__:
        kinds = getattr(hints[name], "__args__", (hints[name],))
        given[name] = _VALUES.get(name, _BY_KIND[kinds[0]])
    return of(**given)


EVERY_EVENT = [sample(of) for of in classes().values()]


def kind_of(of: type[Event]) -> type[Run[Any]] | None:
    """Return the class of the runs that events of a class are told in, if they are."""
    return next((kind for kind in RUNS if kind.of is of), None)


def part_of(event: Event) -> Part:
    """Return what an event of a run has of its own."""
    of = ReadPart if isinstance(event, types.MessageRead) else DeletionPart
    names = (name for name in of.__struct_fields__ if name != LATER_US)
    return of(**{name: getattr(event, name) for name in names})


def run_of(*events: Event, at_us: int = 0) -> Run[Any]:
    """Return events of one class and one session as they are told together."""
    kind = kind_of(type(events[0]))
    assert kind is not None
    first: Any = events[0]
    return kind(
        session=first.session,
        account=first.account,
        peer=getattr(first, "peer", "192.0.2.7:40000"),
        device=getattr(first, "device", None),
        at_us=at_us,
        each=[part_of(event) for event in events],
    )


def as_told(event: Event, at_us: int = 0) -> Event:
    """Return an event as a session tells it: one that often comes in a row as a run of its own."""
    if kind_of(type(event)) is None or len(getattr(event, "uidl", "")) > TEXT_LIMIT:
        return event
    return run_of(event, at_us=at_us)


def read(uidl: str, octets: int = 100, **changes: Any) -> types.MessageRead:
    """Return a message that Alice's session read."""
    given: dict[str, Any] = {
        "session": "s1",
        "account": "alice@example.com",
        "peer": "192.0.2.7:40000",
        "command": "RETR",
        "uidl": uidl,
        "octets": octets,
    }
    return types.MessageRead(**given | changes)
