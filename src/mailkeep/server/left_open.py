"""Sessions whose worker has died: what is known of them, so that the record tells their end.

Pure: no I/O, no clock. Known limit: what a session did in the last hundredths of a second before
its worker was killed is not known, and not in its sums.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailkeep.events import Event
from mailkeep.events import types as events
from mailkeep.events.run_types import (
    DeletionsAsked,
    DeletionsDone,
    MessagesRead,
    ReadPart,
    events_in,
)

HOW = "its worker ended"


@dataclass(slots=True)
class _Open:
    login: events.LoginAccepted
    began_s: float
    retrieved: int = 0
    topped: int = 0
    octets: int = 0
    deleted: int = 0
    removed: int = 0


class LeftOpen:
    """The open sessions of one worker, from what it tells."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Open] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def note(self, event: Event, now_s: float) -> None:
        """Take note of an event.

        Args:
            event: any.
            now_s: seconds that only go forward.
        """
        noting = _NOTING.get(type(event))
        if noting is not None:
            noting(self._sessions, event, now_s)

    def ends(self, now_s: float) -> Iterator[events.SessionEnded]:
        """Yield the end of every session that is open."""
        for session, known in self._sessions.items():
            yield events.SessionEnded(
                session=session,
                account=known.login.account,
                peer=known.login.peer,
                device=known.login.device,
                how=HOW,
                seconds=now_s - known.began_s,
                retrieved=known.retrieved,
                topped=known.topped,
                octets=known.octets,
                deleted=known.deleted,
                removed=known.removed,
            )


_Sessions = dict[str, _Open]


def _begin(sessions: _Sessions, event: Event, now_s: float) -> None:
    assert isinstance(event, events.LoginAccepted)  # noqa: S101  # by the table below
    sessions[event.session] = _Open(event, now_s)


def _end(sessions: _Sessions, event: Event, _now_s: float) -> None:
    assert isinstance(event, events.SessionEnded)  # noqa: S101
    sessions.pop(event.session, None)


def _read(sessions: _Sessions, event: Event, _now_s: float) -> None:
    assert isinstance(event, events.MessageRead)  # noqa: S101
    known = sessions.get(event.session)
    if known is not None:
        _add(known, event)


def _read_in_a_row(sessions: _Sessions, event: Event, _now_s: float) -> None:
    assert isinstance(event, MessagesRead)  # noqa: S101
    known = sessions.get(event.session)
    if known is not None:
        for part in event.each:
            _add(known, part)


def _add(known: _Open, read: events.MessageRead | ReadPart) -> None:
    known.octets += read.octets
    known.retrieved += read.complete and read.command == "RETR"
    known.topped += read.complete and read.command == "TOP"


def _delete(sessions: _Sessions, event: Event, _now_s: float) -> None:
    assert isinstance(event, events.DeletionAsked | DeletionsAsked)  # noqa: S101
    known = sessions.get(event.session)
    if known is not None:
        known.deleted += events_in(event)


def _withdraw(sessions: _Sessions, event: Event, _now_s: float) -> None:
    assert isinstance(event, events.DeletionsWithdrawn)  # noqa: S101
    known = sessions.get(event.session)
    if known is not None:
        known.deleted -= event.messages


def _remove(sessions: _Sessions, event: Event, _now_s: float) -> None:
    assert isinstance(event, events.DeletionDone | DeletionsDone)  # noqa: S101
    known = sessions.get(event.session)
    if known is not None:
        known.removed += events_in(event)


_NOTING: dict[type[Event], Callable[[_Sessions, Event, float], None]] = {
    events.LoginAccepted: _begin,
    events.SessionEnded: _end,
    events.MessageRead: _read,
    MessagesRead: _read_in_a_row,
    events.DeletionAsked: _delete,
    DeletionsAsked: _delete,
    events.DeletionsWithdrawn: _withdraw,
    events.DeletionDone: _remove,
    DeletionsDone: _remove,
}
"""By type, because every event is looked at and most are none of these."""
