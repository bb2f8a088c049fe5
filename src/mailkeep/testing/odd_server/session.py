"""One client at the odd server: what it said, and the answers to it.

Responsible for the order of things: a reader that takes lines as they arrive, and answers that go
out one by one. What an answer is, `transaction` and `authorization` say; what is odd, the oddities.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mailkeep.testing.odd_server.answers import GREETING, Action, Answer, Heard, Pause, ok
from mailkeep.testing.odd_server.authorization import Authorization
from mailkeep.testing.odd_server.oddity import Entry, Oddity
from mailkeep.testing.odd_server.transaction import Transaction
from mailkeep.testing.odd_server.wire import ClientGone, HandshakeFailed, Wire

if TYPE_CHECKING:
    from mailkeep.testing.odd_server.server import OddServer


class _HangUp(Exception):
    """A step ends the connection."""

    def __init__(self, how: Action) -> None:
        super().__init__(how)
        self.how = how


class OddSession:
    """A connection, while it lasts and afterwards.

    Attributes:
        number: of the connection, from 1.
        login: which successful login of the server's life this is, from 1; 0 before.
        commands: every line that arrived, in order.
        command: the one that is being answered, or the greeting.
        entries: what the session shows.
        behind_stls: octets that came together with STLS and before TLS; a good client sends none.
        tls_error: why the handshake failed or TLS broke, in OpenSSL's words: the client's alert.
        is_over: whether nothing more will be said or heard.
    """

    def __init__(self, number: int, server: "OddServer", wire: Wire) -> None:
        self.number = number
        self.login = 0
        self.commands: list[Heard] = []
        self.command = Heard(GREETING, tls=False, early=False)
        self.entries: list[Entry] = []
        self.behind_stls = b""
        self.is_over = False
        self.is_ending = False
        self.starts_tls = False
        self.server = server
        self._wire = wire
        self._authorization = Authorization(self)
        self._transaction = Transaction(self)
        self._queue: asyncio.Queue[Heard | None] = asyncio.Queue()
        self._is_answering = True
        self._may_listen = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_alone = asyncio.Event()

    @property
    def lines(self) -> list[bytes]:
        """Every line that arrived, in order."""
        return [command.line for command in self.commands]

    @property
    def words(self) -> list[bytes]:
        """The words of every command that arrived, in upper case, without SASL's responses."""
        return [command.word for command in self.commands if not command.is_response]

    @property
    def oddities(self) -> Sequence[Oddity]:
        """The server's."""
        return self.server.oddities

    @property
    def is_tls(self) -> bool:
        """Whether TLS is up."""
        return self._wire.is_tls

    @property
    def tls_error(self) -> str | None:
        """See above."""
        return self._wire.tls_error

    @property
    def said_goodbye(self) -> bool:
        """Whether the client ended TLS with close_notify."""
        return self._wire.said_goodbye

    @property
    def was_reset(self) -> bool:
        """Whether the client ended the connection with RST."""
        return self._wire.was_reset

    @property
    def has_waiting(self) -> bool:
        """Whether the client has sent more commands already."""
        return not self._queue.empty()

    @property
    def retrieved(self) -> list[Entry]:
        """What RETR was said +OK for."""
        return self._transaction.retrieved

    def begin_transaction(self) -> Answer:
        """Let the client in, if the oddities do."""
        for oddity in self.oddities:
            if (refusal := oddity.login(self)) is not None:
                return Answer(refusal)
        self.login = self.server.next_login()
        messages = self.server.mailbox.messages
        self.entries = [Entry(message, message.uidl, message.announced) for message in messages]
        for oddity in self.oddities:
            self.entries = oddity.listing(self, self.entries)
        return ok(b"%d messages" % len(self.entries))

    def odd_lines(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the oddities make of the lines of CAPA, LIST or UIDL."""
        for oddity in self.oddities:
            lines = oddity.lines(self, lines)
        return lines

    async def run(self) -> None:
        """Serve the client until both sides have ended."""
        listening = asyncio.create_task(self._listen())
        how = Action.CUT
        try:
            how = await self._serve_to_the_end()
            self._is_idle.set()  # nothing more is answered: who waits for that may listen again
            if how is not Action.RESET:
                await self._wire.finish(how)
                await self._until_alone()
        finally:
            listening.cancel()
            try:
                await asyncio.wait([listening])
            finally:
                self._wire.close(how)
                self.is_over = True
        if not listening.cancelled():
            listening.result()

    async def _serve_to_the_end(self) -> Action:
        try:
            await self._serve()
        except _HangUp as asked:
            return asked.how
        except (ClientGone, HandshakeFailed):
            return Action.CUT
        return Action.CLOSE

    async def _serve(self) -> None:
        if self.server.settings.is_tls_first:
            await self._start_tls()
        self._may_listen.set()
        await self._play(self._changed(self.server.settings.greeting))
        while not self.is_ending:
            self.command = await self._next_command()
            await self._play(self._changed(self._answer()))
            if self.starts_tls:
                await self._start_tls()
            if self.command.word == b"STLS":
                self._may_listen.set()

    async def _until_alone(self) -> None:
        """Wait until the client has hung up; where nobody listens, throw away what it says."""
        if not self._may_listen.is_set():
            await self._wire.drain()
            self._is_alone.set()
        await self._is_alone.wait()

    async def _next_command(self) -> Heard:
        self._is_answering = False
        if self._queue.empty():
            self._is_idle.set()
        waits = [oddity.idle_s for oddity in self.oddities if oddity.idle_s is not None]
        try:
            async with asyncio.timeout(min(waits, default=None)):
                command = await self._queue.get()
        except TimeoutError as cause:
            raise _HangUp(Action.CLOSE) from cause
        if command is None:
            raise ClientGone
        self._is_answering = True
        return command

    def _answer(self) -> Answer:
        if self._authorization.is_exchanging:
            self.command.is_response = True
            return self._authorization.respond(self.command.line)
        for oddity in self.oddities:
            if (instead := oddity.instead(self)) is not None:
                return instead
        state = self._transaction if self.login else self._authorization
        return state.answer(self.command)

    def _changed(self, answer: Answer) -> Answer:
        for oddity in self.oddities:
            answer = oddity.answer(self, answer)
        return answer

    async def _play(self, answer: Answer) -> None:
        for step in answer.steps():
            await asyncio.sleep(0)  # an endless answer to a fast client must not stop the loop
            match step:
                case bytes():
                    await self._wire.send(step)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Action.HUSH:
                    await self._until_alone()
                    raise ClientGone
                case _:
                    raise _HangUp(step)

    async def _start_tls(self) -> None:
        self.starts_tls = False
        for oddity in self.oddities:
            if (instead := oddity.tls(self)) is not None:
                await self._play(instead)
                raise HandshakeFailed
        context = self.server.context
        if context is None:
            raise HandshakeFailed
        await self._wire.handshake(context)

    async def _listen(self) -> None:
        try:
            await self._may_listen.wait()
            unread = bytearray()
            while octets := await self._wire.receive():
                unread += octets
                await self._take_lines(unread)
                if not self.server.settings.hears_while_answering:
                    await self._is_idle.wait()
        finally:
            self._is_alone.set()
            self._queue.put_nowait(None)

    async def _take_lines(self, unread: bytearray) -> None:
        while (end := unread.find(b"\n")) >= 0:
            line = bytes(unread[:end]).removesuffix(b"\r")
            del unread[: end + 1]
            heard = Heard(line, self._wire.is_tls, self._is_answering or self.has_waiting)
            self.commands.append(heard)
            for oddity in self.oddities:
                oddity.heard(self, heard)
            self._is_idle.clear()
            self._queue.put_nowait(heard)
            if heard.word == b"STLS" and not self._wire.is_tls:
                await self._let_tls_start(unread)

    async def _let_tls_start(self, unread: bytearray) -> None:
        """Read nothing more until STLS is answered: what follows belongs to a handshake."""
        self._may_listen.clear()
        await self._may_listen.wait()
        if self._wire.is_tls:
            self.behind_stls = bytes(unread)
            unread.clear()
