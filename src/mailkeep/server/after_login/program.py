"""TRANSACTION and UPDATE (RFC 1939 sections 5 and 6): STAT LIST RETR DELE NOOP RSET TOP UIDL QUIT.

With LANG and UTF8 (RFC 6856), which Outlook says here although it belongs before login.

Nothing is removed before QUIT arrived whole; then one commit, then the lease is let go, then the
answer. A session that ends in any other way removes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mailkeep.maildrop import (
    Body,
    Maildrop,
    MaildropUnavailable,
    MessageGone,
    MessageUnreadable,
)
from mailkeep.pop3 import (
    CapabilityOffers,
    DotStuffer,
    Err,
    LocalProtocolError,
    Ok,
    OkLines,
    Reply,
    commands,
)
from mailkeep.server import replies
from mailkeep.server.after_login import listings
from mailkeep.server.after_login.marks import Marks
from mailkeep.server.after_login.telling import Sent, Telling
from mailkeep.server.dialogue import Dialogue
from mailkeep.server.texts import messages_reply, octets_reply
from mailkeep.server.wire import Disconnected
from mailkeep.values import Index, MessageNumber, index_of


@dataclass(frozen=True, slots=True)
class Session:
    """What this program needs of the rest."""

    maildrop: Maildrop
    telling: Telling
    offers: CapabilityOffers
    """What CAPA lists."""
    idle_s: float
    """Seconds until the next command must have arrived."""
    may_delete: bool = True
    """Whether what the client logged in with may delete."""
    on_command: Callable[[str, float], None] = lambda _verb, _seconds: None
    """Told each command's verb and how many seconds it took."""


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
        began_s = time.perf_counter()
        await program.obey(command)
        session.on_command(type(command).__name__.upper(), time.perf_counter() - began_s)


class _Program:
    """One session on one maildrop."""

    __slots__ = ("_dialogue", "_listing", "_marks", "_session", "_telling", "done")

    def __init__(self, dialogue: Dialogue, session: Session) -> None:
        self._dialogue = dialogue
        self._session = session
        self._telling = session.telling
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
            case commands.Lang(tag_untrusted):
                self._dialogue.answer_lang(tag_untrusted)
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
                self._telling.withdrawn(self._marks.count)
                self._marks.clear()
                return replies.UNMARKED
            case commands.Utf8():
                return replies.UTF8_UNCHANGED
            case commands.Capa():
                lines = self._dialogue.core.list_capabilities(self._session.offers)
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
        if not self._session.may_delete:
            return replies.MAY_NOT_DELETE
        self._marks.mark(found)
        self._telling.marked(self._listing.uidl(found))
        return replies.MARKED

    async def _list(self, number: MessageNumber | None, line: listings.Line) -> None:
        if number is None:
            count = self._marks.remaining_count
            self._dialogue.answer(messages_reply(count, self._dialogue.language))
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
        if self._needs_utf8(found):
            self._dialogue.answer(replies.UTF8_NEEDED)
            return
        await self._telling.ready()
        try:
            body = await self._session.maildrop.read(found, body_lines=body_lines)
            try:
                await self._send_body(body, found, body_lines)
            finally:
                body.close()
        except MessageGone:
            self._dialogue.answer(replies.MESSAGE_GONE)
        except MessageUnreadable as unreadable:
            self._telling.unreadable(self._listing.uidl(found), str(unreadable))
            self._dialogue.answer(replies.MESSAGE_UNREADABLE)

    def _needs_utf8(self, index: Index) -> bool:
        """Tell whether this message may go only to a client that said UTF8 (RFC 6856 section 5)."""
        if self._dialogue.utf8 or not self._session.offers.utf8:
            return False
        return self._session.maildrop.is_internationalised(index)

    async def _send_body(self, body: Body, index: Index, body_lines: int | None) -> None:
        """Send `+OK`, the body and the terminator, the last two in one write.

        Some clients go astray when a terminator comes alone (seen with Outlook).

        Raises:
            MessageUnreadable: nothing was sent yet.
            Disconnected: the body broke off; without a terminator the client knows.
        """
        sent = Sent()
        stuffer = DotStuffer()
        piece = await body.next_piece()
        self._dialogue.answer(self._first_line(index, body_lines))
        wire = self._dialogue.wire
        held = b""
        try:
            while piece:
                sent.octets += len(piece)
                wire.write(held)
                await wire.drain()
                held = stuffer.feed(piece)
                piece = await self._next_piece(body, index)
            wire.write(held + stuffer.finish())
            sent.complete = True
        finally:  # what has left has left, however this ended
            sent.sha256 = body.sha256
            self._telling.sent(index, body_lines, sent)

    def _first_line(self, index: Index, body_lines: int | None) -> Ok:
        if body_lines is not None:
            return replies.TOP_FOLLOWS
        return octets_reply(self._listing.octets(index), self._dialogue.language)

    async def _next_piece(self, body: Body, index: Index) -> bytes:
        try:
            return await body.next_piece()
        except MessageUnreadable as unreadable:
            self._telling.unreadable(self._listing.uidl(index), str(unreadable))
            raise Disconnected("a message could not be read to its end") from unreadable

    async def _update(self) -> Reply:
        """Remove what is marked, let the lease go, and return the answer to QUIT."""
        maildrop = self._session.maildrop
        marked = self._marks.uidls()
        if not marked:
            await maildrop.close()
            return replies.BYE
        await self._telling.ready()
        try:
            removal = await maildrop.commit(marked)
        except MaildropUnavailable as unavailable:
            self._telling.not_removed(len(marked), str(unavailable))
            return replies.NOT_ALL_REMOVED
        finally:
            await maildrop.close()
        self._telling.removed(removal.removed)
        if removal.failed:
            self._telling.not_removed(len(removal.failed), "the store could not remove them")
            return replies.NOT_ALL_REMOVED
        return replies.BYE
