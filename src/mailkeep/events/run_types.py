"""What a session does in a row, told as one event: a run.

Responsible for the classes of runs, each of which stands for several events of a class of `types`,
and for what it means to gather them (`RunSink`). A client that fetches everything makes one
`MessageRead` after the other; what all of them share is told once, and of each what is its own.
A sink that is told the events is told their runs, too.

It must not know who gathers runs (`gathering`), nor how one is written (`runs`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar

from msgspec import Meta, Struct

from mailkeep.events.records import RUN_EVENTS, RUN_S
from mailkeep.events.types import (
    DeletionAsked,
    DeletionDone,
    Event,
    EventSink,
    EventType,
    MessageRead,
)

RUN_US = int(RUN_S * 1_000_000)

TEXT_LIMIT = 512
"""Characters of a text that is a part's own. What has a longer one is told alone, so that a full
run, escaped, can still be read back (`LINE_LIMIT_OCTETS`); a uidl has 70 (RFC 1939 section 7)."""

_Text = Annotated[str, Meta(max_length=TEXT_LIMIT)]


@dataclass(frozen=True, slots=True)
class Who:
    """Whose session it is, for events."""

    session: str
    account: str
    peer: str
    device: str | None


class _Timed(Struct, kw_only=True, omit_defaults=True, gc=False):
    later_us: Annotated[int, Meta(ge=0, lt=RUN_US)] = 0
    """Microseconds after the run's first event."""


class Part(_Timed):
    """What one event of a run has of its own, named as in the event's class; see `Event`."""

    uidl: _Text


class ReadPart(Part):
    """Of a `MessageRead`."""

    octets: int
    command: _Text
    complete: bool
    body_lines: int | None = None
    sha256: _Text | None = None


class DeletionPart(Part):
    """Of a `DeletionAsked`, or of a `DeletionDone`."""


_P = TypeVar("_P", bound=Part)


class Run(Event, Generic[_P], frozen=True, kw_only=True):
    """Several events of the class `of`, in their order, that one session made within a second."""

    of: ClassVar[type[Event]]
    session: str
    account: str
    peer: str
    device: str | None = None
    at_us: int = 0
    """When the first happened, in microseconds since 1970; 0 for when the record is told."""
    each: Annotated[list[_P], Meta(min_length=1, max_length=RUN_EVENTS)]

    def events(self) -> Iterator[Event]:
        """Yield the events that it stands for."""
        for part in self.each:
            own = {name: getattr(part, name) for name in part.__struct_fields__}
            known = {"session": self.session, "account": self.account, "peer": self.peer}
            values = {**known, "device": self.device, **own}
            yield self.of(**{name: values[name] for name in self.of.__struct_fields__})


class MessagesRead(Run[ReadPart], frozen=True, kw_only=True):
    """RETR after RETR, or TOP."""

    type = EventType.MESSAGE_READ
    of = MessageRead


class DeletionsAsked(Run[DeletionPart], frozen=True, kw_only=True):
    """DELE after DELE."""

    type = EventType.DELETION_ASKED
    of = DeletionAsked


class DeletionsDone(Run[DeletionPart], frozen=True, kw_only=True):
    """What is removed at one QUIT."""

    type = EventType.DELETION_DONE
    of = DeletionDone


RUNS: tuple[type[Run[Any]], ...] = (MessagesRead, DeletionsAsked, DeletionsDone)
"""Every class of runs."""


class RunSink(EventSink, Protocol):
    """Who is told, and gathers what comes in a row."""

    def emit_in_run(self, kind: type[Run[_P]], who: Who, part: _P) -> None:
        """Take note of an event that often comes in a row: it is told soon, with others like it.

        Args:
            kind: the class of its run.
            who: whose session it happened in.
            part: what is its own, but for the time; it belongs to the sink from now on.
        """

    def end_runs(self, session: str | None) -> None:
        """Tell what has been gathered of a session."""


def events_in(event: Event) -> int:
    """Return how many events an event stands for."""
    return len(event.each) if isinstance(event, Run) else 1
