"""TRANSACTION and UPDATE (RFC 1939 sections 5 and 6): STAT LIST RETR DELE NOOP RSET TOP UIDL QUIT.

With LANG and UTF8 (RFC 6856), which Outlook says here although it belongs before login.

Nothing is removed before QUIT arrived whole; then one commit, then the lease is let go, then the
answer. A session that ends in any other way removes nothing.
"""

import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from mailkeep.maildrop import (
    Body,
    Maildrop,
    MaildropUnavailable,
    MessageGone,
    MessageUnreadable,
)
from mailkeep.pop3 import (
    TERMINATOR,
    CapabilityOffers,
    Command,
    DotStuffer,
    Err,
    LocalProtocolError,
    Ok,
    OkLines,
    Refused,
    Reply,
    commands,
    stuff,
)
from mailkeep.server import replies
from mailkeep.server.after_login import listings
from mailkeep.server.after_login.begun import Begun, begin
from mailkeep.server.after_login.marks import Marks
from mailkeep.server.after_login.telling import Sent, Telling
from mailkeep.server.dialogue import COMMANDS_A_TURN, Dialogue
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


TURN_OCTETS = 65_536
"""Of answers that one client may have at once before the others get their turn."""

_VERBS: Mapping[type[Command], str] = {kind: kind.__name__.upper() for kind in get_args(Command)}


async def serve_maildrop(dialogue: Dialogue, session: Session) -> None:
    """Talk until QUIT was answered.

    Raises:
        Disconnected: the connection ended; nothing was removed.
        ClosedByUs: it must be closed; nothing was removed.
    """
    program = _Program(dialogue, session)
    try:
        while not program.done:
            if program.hear(b""):
                await dialogue.wire.attend(program.hear)
            else:
                await program.catch_up()
    finally:
        program.give_up()


class _Program:
    """One session on one maildrop.

    Commands are answered by `hear`, where their octets arrive. What has to wait (for a disk, for a
    client that is behind, for the others' turn) is done by `catch_up`, in the session's task.
    """

    __slots__ = (
        "_began_s",
        "_count",
        "_dialogue",
        "_has_stopped",
        "_left_octets",
        "_listing",
        "_marks",
        "_may_need_utf8",
        "_owes_time",
        "_session",
        "_telling",
        "_under_way",
        "_verb",
        "done",
    )

    def __init__(self, dialogue: Dialogue, session: Session) -> None:
        self._dialogue = dialogue
        self._session = session
        self._telling = session.telling
        self._listing = session.maildrop.listing
        self._count = len(self._listing)
        self._may_need_utf8 = session.offers.utf8 and not dialogue.utf8
        """Whether messages are kept from this client, for it has not said UTF8 before its login."""
        self._marks = Marks(self._listing)
        self._under_way: Begun | None = None
        self._verb = ""
        self._began_s = 0.0
        self._left_octets = 0
        self._has_stopped = False
        self._owes_time = True
        self.done = False

    def hear(self, octets: bytes) -> bool:
        """Answer what has arrived; False when somebody must `catch_up` before more can be heard.

        Raises:
            Disconnected, ClosedByUs: see `serve_maildrop`.
        """
        if octets:
            self._dialogue.core.receive(octets)
        if not self._has_stopped:
            self._left_octets = TURN_OCTETS
            self._has_stopped = not self._answer_all()
            if self._has_stopped:
                self._dialogue.wire.lift_deadline()
        return not self._has_stopped

    async def catch_up(self) -> None:
        """End the command that is under way, or wait for the client and for the others' turn.

        Raises:
            Disconnected: the connection ended.
        """
        wire = self._dialogue.wire
        wire.flush()
        if self._under_way is None:
            await wire.drain()
        else:
            await self._under_way
            self._under_way = None
            self._note_command()
        self._has_stopped = False

    def give_up(self) -> None:
        """Let go of what was begun, if the task has not come to it."""
        if self._under_way is not None:
            self._under_way.give_up()

    def _answer_all(self) -> bool:
        """Answer one command after the other; False if it was not to the end."""
        dialogue = self._dialogue
        self._began_s = time.perf_counter()
        for _ in range(COMMANDS_A_TURN):
            command = dialogue.next_at_hand()
            if command is None:
                self._wait_for_the_next()
                return True
            self._owes_time = True
            if not isinstance(command, Refused) and not self._obey(command):
                return False
            if dialogue.core.is_all_read:
                self._wait_for_the_next()
                return True
            if self._left_octets <= 0 or dialogue.wire.is_behind:
                return False
        return False

    def _wait_for_the_next(self) -> None:
        """Give the client its time, unless it has said only half a command since it was given."""
        if self._owes_time:
            self._owes_time = False
            self._dialogue.wire.expect_within(self._session.idle_s, "the next command")

    def _obey(self, command: Command) -> bool:
        """Answer one command; False if that takes time, or if it was the last."""
        self._verb = _VERBS[type(command)]
        match command:
            case commands.Retr(number):
                if not self._send_at_hand(number):
                    return self._begin(self._send_message(number, None))
            case commands.Dele(number):
                self._dialogue.answer(self._mark(number))
            case commands.Top(number, body_lines):
                return self._begin(self._send_message(number, body_lines))
            case commands.List(None):
                return self._begin(self._list_all(listings.SCAN))
            case commands.Uidl(None):
                return self._begin(self._list_all(listings.UNIQUE_IDS))
            case commands.Quit():
                return self._begin(self._quit())
            case commands.Lang(tag_untrusted):
                self._dialogue.answer_lang(tag_untrusted)
            case _:
                self._dialogue.answer(self._reply_to(command))
        self._note_command()
        return True

    def _begin(self, answer: Coroutine[Any, None, None]) -> bool:
        self._under_way = begin(answer)
        if self._under_way is not None:
            return False
        self._note_command()
        return not self.done

    def _note_command(self) -> None:
        began_s, self._began_s = self._began_s, time.perf_counter()
        self._session.on_command(self._verb, self._began_s - began_s)

    def _reply_to(self, command: Command) -> Reply:  # noqa: PLR0911  # one row a command
        """Return the answer to a command that needs no I/O."""
        match command:
            case commands.Noop():
                return replies.NOTHING_DONE
            case commands.Stat():
                return Ok(listings.drop_listing(self._marks))
            case commands.List(int() as number):
                return self._list_one(MessageNumber(number), listings.SCAN)
            case commands.Uidl(int() as number):
                return self._list_one(MessageNumber(number), listings.UNIQUE_IDS)
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
        if not 0 <= index < self._count:
            return replies.NO_SUCH_MESSAGE
        return replies.MESSAGE_DELETED if index in self._marks else index

    def _mark(self, number: MessageNumber) -> Reply:
        found = self._find(number)
        if isinstance(found, Err):
            return found
        if not self._session.may_delete:
            return replies.MAY_NOT_DELETE
        uidl = self._listing.uidl(found)
        self._marks.mark(found, uidl)
        self._telling.marked(uidl)
        return replies.MARKED

    def _list_one(self, number: MessageNumber, lines: listings.Lines) -> Reply:
        found = self._find(number)
        return found if isinstance(found, Err) else Ok(lines.line(self._listing, found))

    async def _list_all(self, lines: listings.Lines) -> None:
        count = self._marks.remaining_count
        self._dialogue.answer(messages_reply(count, self._dialogue.language))
        for piece in lines.pieces(self._listing, self._marks):
            await self._take_turns()
            self._dialogue.wire.write(piece)
            self._left_octets -= len(piece)

    async def _take_turns(self) -> None:
        """Wait for the client and for the others, once in so many octets."""
        if self._left_octets <= 0:
            self._left_octets = TURN_OCTETS
            await self._dialogue.wire.drain()

    def _send_at_hand(self, number: MessageNumber) -> bool:
        """Answer RETR, if nothing of it has to be waited for."""
        found = self._find(number)
        if isinstance(found, Err) or not self._telling.has_room():
            return False
        if self._may_need_utf8 and self._needs_utf8(found):
            return False
        message = self._session.maildrop.at_hand(found)
        if message is None:
            return False
        octets = message.octets
        body = stuff(octets, message.dots)
        self._dialogue.answer(self._first_line(found, None), body, TERMINATOR)
        self._left_octets -= len(octets)
        self._telling.sent(found, None, Sent(len(octets), complete=True, sha256=message.sha256))
        return True

    async def _send_message(self, number: MessageNumber, body_lines: int | None) -> None:
        """Answer RETR or TOP. Nothing is promised before the first octets are at hand."""
        found = self._find(number)
        if isinstance(found, Err):
            self._dialogue.answer(found)
            return
        if self._may_need_utf8 and self._needs_utf8(found):
            self._dialogue.answer(replies.UTF8_NEEDED)
            return
        if not self._telling.has_room():
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
        return self._session.maildrop.is_internationalised(index)

    async def _send_body(self, body: Body, index: Index, body_lines: int | None) -> None:
        """Send `+OK`, the body and the terminator, the last two in one write.

        Some clients go astray when a terminator comes alone (seen with Outlook).

        Raises:
            MessageUnreadable: nothing was sent yet.
            Disconnected: the body broke off; without a terminator the client knows.
        """
        sent = Sent()
        piece = await body.next_piece()
        stuffer = DotStuffer(is_dot_free=body.is_dot_free)
        self._dialogue.answer(self._first_line(index, body_lines))
        wire = self._dialogue.wire
        try:
            while following := await self._next_piece(body, index):
                wire.write(stuffer.feed(piece))
                sent.octets += len(piece)
                await wire.drain()
                piece = following
            wire.write(stuffer.feed(piece), stuffer.finish())
            sent.octets += len(piece)
            sent.complete = True
        finally:  # what has left has left, however this ended
            self._left_octets -= sent.octets
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

    async def _quit(self) -> None:
        self._dialogue.answer(await self._update())
        self.done = True

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
        await self._telling.removed(removal.removed)
        if removal.failed:
            self._telling.not_removed(len(removal.failed), "the store could not remove them")
            return replies.NOT_ALL_REMOVED
        return replies.BYE
