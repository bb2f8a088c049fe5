"""What a session did: told event by event for the audit trail, and summed up for the log."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from mailkeep.events import RunSink, Who
from mailkeep.events import types as events
from mailkeep.events.run_types import (
    DeletionPart,
    DeletionsAsked,
    DeletionsDone,
    MessagesRead,
    ReadPart,
)
from mailkeep.maildrop import Listing
from mailkeep.values import Index, Uidl

TOLD_A_TURN = 500
"""Removed messages that are told of before others have their turn: some 5 ms."""


@dataclass(slots=True)
class Sent:
    """What of a message was handed to the connection."""

    octets: int = 0
    """In wire form, before stuffing."""
    complete: bool = False
    sha256: str | None = None
    """Of the whole message."""


class Telling:
    """Tells of one session."""

    __slots__ = (
        "_deleted",
        "_listing",
        "_octets",
        "_removed",
        "_retrieved",
        "_sent_whole",
        "_sent_whole_count",
        "_sink",
        "_topped",
        "_who",
        "has_room",
    )

    def __init__(self, sink: RunSink, who: Who, listing: Listing) -> None:
        self._sink = sink
        self._who = who
        self._listing = listing
        self.has_room = sink.has_room
        """Tells whether `ready` need not wait."""
        self._retrieved = 0
        self._topped = 0
        self._octets = 0
        self._deleted = 0
        self._removed = 0
        self._sent_whole = bytearray()
        """One octet a message, made when the first was sent: 1 for those that RETR sent."""
        self._sent_whole_count = 0

    async def ready(self) -> None:
        """Tell what has been gathered, and wait until what must not be missed has room."""
        self._sink.end_runs(self._who.session)
        await self._sink.ready()

    def sent(self, index: Index, body_lines: int | None, sent: "Sent") -> None:
        """Tell that a message, or its top, was sent.

        Args:
            index: which.
            body_lines: what TOP asked for; None for RETR.
            sent: what of it.
        """
        self._octets += sent.octets
        command = "RETR" if body_lines is None else "TOP"
        uidl = self._listing.uidl(index).decode()
        part = ReadPart(uidl, sent.octets, command, sent.complete, body_lines, sent.sha256)
        self._sink.emit_in_run(MessagesRead, self._who, part)
        if not sent.complete:
            return
        if body_lines is None:
            self._retrieved += 1
            self._note_whole(index)
        else:
            self._topped += 1

    def marked(self, uidl: Uidl) -> None:
        """Tell of DELE."""
        self._deleted += 1
        self._sink.emit_in_run(DeletionsAsked, self._who, DeletionPart(uidl.decode()))

    def withdrawn(self, messages: int) -> None:
        """Tell of RSET, if it took any mark away."""
        if messages:
            self._deleted -= messages
            who = self._who
            self._sink.emit(
                events.DeletionsWithdrawn(
                    session=who.session, account=who.account, messages=messages
                )
            )

    async def removed(self, uidls: Sequence[Uidl]) -> None:
        """Tell of messages that are gone, some in each of the loop's turns, and all in any case."""
        self._removed += len(uidls)
        untold = iter(uidls)
        try:
            self._tell_removed(islice(untold, TOLD_A_TURN))
            for _ in range(TOLD_A_TURN, len(uidls), TOLD_A_TURN):
                await self.ready()
                await asyncio.sleep(0)
                self._tell_removed(islice(untold, TOLD_A_TURN))
        finally:
            self._tell_removed(untold)
            self._sink.end_runs(self._who.session)

    def _tell_removed(self, uidls: Iterable[Uidl]) -> None:
        emit_in_run, who = self._sink.emit_in_run, self._who
        for uidl in uidls:
            emit_in_run(DeletionsDone, who, DeletionPart(uidl.decode()))

    def not_removed(self, messages: int, reason: str) -> None:
        """Tell of marked messages that stayed."""
        who = self._who
        self._sink.emit(
            events.MessagesNotRemoved(
                session=who.session, account=who.account, messages=messages, reason=reason
            )
        )

    def unreadable(self, uidl: Uidl, reason: str) -> None:
        """Tell of a message that could not be read."""
        who = self._who
        self._sink.emit(
            events.MessageUnreadable(
                session=who.session, account=who.account, uidl=uidl.decode(), reason=reason
            )
        )

    def ended(self, how: str, seconds: float) -> None:
        """Tell of the session's end, with its sums."""
        who = self._who
        self._sink.emit(
            events.SessionEnded(
                session=who.session,
                account=who.account,
                peer=who.peer,
                device=who.device,
                how=how,
                seconds=round(seconds, 3),
                retrieved=self._retrieved,
                topped=self._topped,
                octets=self._octets,
                deleted=self._deleted,
                removed=self._removed,
            )
        )

    def _note_whole(self, index: Index) -> None:
        """Tell once when every message has been sent."""
        sent_whole = self._sent_whole
        if not sent_whole:
            sent_whole = self._sent_whole = bytearray(len(self._listing))
        if sent_whole[index]:
            return
        sent_whole[index] = 1
        self._sent_whole_count += 1
        if self._sent_whole_count == len(sent_whole):
            who = self._who
            self._sink.emit(
                events.MaildropFetched(
                    session=who.session,
                    account=who.account,
                    peer=who.peer,
                    device=who.device,
                    messages=len(self._listing),
                    octets=self._listing.total_octets,
                )
            )
