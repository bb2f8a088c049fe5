"""TRANSACTION and UPDATE (RFC 1939 sections 5 and 6): STAT LIST RETR DELE NOOP RSET TOP UIDL QUIT.

Nothing is removed before QUIT arrived whole; then one commit, then the lease is let go, then the
answer. A session that ends in any other way removes nothing.
"""

from dataclasses import dataclass

from mailkeep.events import EventSink, EventType
from mailkeep.maildrop import (
    Body,
    Maildrop,
    MaildropUnavailable,
    MessageGone,
    MessageUnreadable,
)
from mailkeep.pop3 import DotStuffer, Err, LocalProtocolError, Ok, OkLines, Reply, commands
from mailkeep.server import replies
from mailkeep.server.after_login import listings
from mailkeep.server.after_login.marks import Marks
from mailkeep.server.after_login.tally import Tally
from mailkeep.server.dialogue import Dialogue
from mailkeep.server.wire import Disconnected
from mailkeep.values import Index, MessageNumber, index_of


@dataclass(frozen=True, slots=True)
class Session:
    """What this program needs of the rest."""

    maildrop: Maildrop
    sink: EventSink
    tally: Tally
    mechanisms: tuple[str, ...]
    """What AUTH knew, for CAPA."""
    idle_s: float
    """Seconds until the next command must have arrived."""
    account: str
    """Whose session this is, for the log."""


async def serve_maildrop(dialogue: Dialogue, session: Session) -> None:
    """Talk until QUIT was answered.

    Raises:
        Disconnected: the connection ended; nothing was removed.
        ClosedByUs: it must be closed; nothing was removed.
    """
    program = _Program(dialogue, session)
    while not program.done:
        dialogue.wire.expect_within(session.idle_s, "the next command")
        command = await dialogue.next_command()
        dialogue.wire.lift_deadline()
        await program.obey(command)


class _Program:
    """One session on one maildrop."""

    __slots__ = ("_dialogue", "_listing", "_marks", "_session", "done")

    def __init__(self, dialogue: Dialogue, session: Session) -> None:
        self._dialogue = dialogue
        self._session = session
        self._listing = session.maildrop.listing
        self._marks = Marks(self._listing)
        self.done = False

    async def obey(self, command: commands.Command) -> None:
        """Answer one command."""
        match command:
            case commands.Retr(number):
                await self._send_message(number, None)
            case commands.Top(number, body_lines):
                await self._send_message(number, body_lines)
            case commands.List(number):
                await self._list(number, listings.scan_listing)
            case commands.Uidl(number):
                await self._list(number, listings.unique_id_listing)
            case commands.Quit():
                self._dialogue.answer(await self._update())
                self.done = True
            case _:
                self._dialogue.answer(self._reply_to(command))

    def _reply_to(self, command: commands.Command) -> Reply:
        """Return the answer to a command that needs no I/O."""
        match command:
            case commands.Stat():
                return Ok(listings.drop_listing(self._marks))
            case commands.Dele(number):
                return self._mark(number)
            case commands.Noop():
                return replies.NOTHING_DONE
            case commands.Rset():
                self._marks.clear()
                return replies.UNMARKED
            case commands.Capa():
                lines = self._dialogue.core.list_capabilities(self._session.mechanisms)
                return OkLines(replies.CAPABILITIES, lines)
            case illegal:
                raise LocalProtocolError(f"the state table let {type(illegal).__name__} through")

    def _find(self, number: MessageNumber) -> Index | Err:
        """Return the place of a message that may still be named, or why it may not."""
        index = index_of(number)
        if not 0 <= index < len(self._listing):
            return replies.NO_SUCH_MESSAGE
        return replies.MESSAGE_DELETED if index in self._marks else index

    def _mark(self, number: MessageNumber) -> Reply:
        found = self._find(number)
        if isinstance(found, Err):
            return found
        self._marks.mark(found)
        return replies.MARKED

    async def _list(self, number: MessageNumber | None, line: listings.Line) -> None:
        if number is None:
            self._dialogue.answer(Ok(b"%d messages" % self._marks.remaining_count))
            for piece in listings.pieces(self._listing, self._marks, line):
                self._dialogue.wire.write(piece)
                await self._dialogue.wire.drain()
            return
        found = self._find(number)
        reply = found if isinstance(found, Err) else Ok(line(self._listing, found))
        self._dialogue.answer(reply)

    async def _send_message(self, number: MessageNumber, body_lines: int | None) -> None:
        """Answer RETR or TOP. Nothing is promised before the first octets are at hand."""
        found = self._find(number)
        if isinstance(found, Err):
            self._dialogue.answer(found)
            return
        try:
            body = await self._session.maildrop.read(found, body_lines=body_lines)
            try:
                await self._send_body(body, found, whole=body_lines is None)
            finally:
                body.close()
        except MessageGone:
            self._dialogue.answer(replies.MESSAGE_GONE)
        except MessageUnreadable as unreadable:
            self._tell_unreadable(found, unreadable)
            self._dialogue.answer(replies.MESSAGE_UNREADABLE)

    async def _send_body(self, body: Body, index: Index, *, whole: bool) -> None:
        """Send `+OK`, the body and the terminator, the last two in one write.

        Some clients go astray when a terminator comes alone (seen with Outlook).

        Raises:
            MessageUnreadable: nothing was sent yet.
            Disconnected: the body broke off; without a terminator the client knows.
        """
        stuffer = DotStuffer()
        octets = 0
        piece = await body.next_piece()
        size = b"%d octets" % self._listing.octets(index) if whole else b"the top follows"
        self._dialogue.answer(Ok(size))
        wire = self._dialogue.wire
        held = b""
        while piece:
            octets += len(piece)
            wire.write(held)
            await wire.drain()
            held = stuffer.feed(piece)
            piece = await self._next_piece(body, index)
        wire.write(held + stuffer.finish())
        self._count(octets, whole=whole)

    async def _next_piece(self, body: Body, index: Index) -> bytes:
        try:
            return await body.next_piece()
        except MessageUnreadable as unreadable:
            self._tell_unreadable(index, unreadable)
            raise Disconnected("a message could not be read to its end") from unreadable

    async def _update(self) -> Reply:
        """Remove what is marked, let the lease go, and return the answer to QUIT."""
        maildrop = self._session.maildrop
        marked = self._marks.uidls()
        if not marked:
            await maildrop.close()
            return replies.BYE
        try:
            removal = await maildrop.commit(marked)
        except MaildropUnavailable as unavailable:
            self._tell_not_removed(len(marked), str(unavailable))
            return replies.NOT_ALL_REMOVED
        finally:
            await maildrop.close()
        self._session.tally.removed = len(removal.removed)
        if removal.failed:
            self._tell_not_removed(len(removal.failed), "the store could not remove them")
            return replies.NOT_ALL_REMOVED
        return replies.BYE

    def _count(self, octets: int, *, whole: bool) -> None:
        tally = self._session.tally
        tally.octets += octets
        if whole:
            tally.retrieved += 1
        else:
            tally.topped += 1

    def _tell_unreadable(self, index: Index, unreadable: MessageUnreadable) -> None:
        self._session.sink.emit(
            EventType.MESSAGE_UNREADABLE,
            account=self._session.account,
            uidl=self._listing.uidl(index).decode(),
            reason=str(unreadable),
        )

    def _tell_not_removed(self, messages: int, reason: str) -> None:
        self._session.sink.emit(
            EventType.MESSAGES_NOT_REMOVED,
            account=self._session.account,
            messages=messages,
            reason=reason,
        )
