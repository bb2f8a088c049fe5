"""A connection and the protocol's server side, side by side: commands in, replies out.

What a client has asked for about texts lives here, because it lasts from before login to after it:
the language (LANG) and whether it takes internationalised messages (UTF8), RFC 6856.
"""

from mailkeep.pop3 import (
    NEED_DATA,
    Command,
    Event,
    HangUp,
    LocalProtocolError,
    NeedData,
    OkLines,
    Refused,
    Reply,
    SaslResponse,
    ServerSide,
)
from mailkeep.server import replies
from mailkeep.server.texts import DEFAULT_LANGUAGE, LANGUAGES, choose_language, translate
from mailkeep.server.wire import Disconnected, Wire
from mailkeep.values import Secret

_NO_COMMANDS = (Refused, HangUp, SaslResponse, NeedData)

COMMANDS_A_TURN = 64
"""Commands that one client may have answered before the others get their turn."""


class ClosedByUs(Exception):
    """The client was refused for good, and the text says why; it is still to be sent."""


class Dialogue:
    """One conversation under one state of encryption."""

    __slots__ = ("_turn", "core", "language", "utf8", "wire")

    def __init__(self, wire: Wire, core: ServerSide) -> None:
        self.wire = wire
        self.core = core
        self.language = DEFAULT_LANGUAGE
        self.utf8 = False
        """Whether the client takes internationalised messages as they are."""
        self._turn = 0

    async def next_command(self) -> Command:
        """Return the next legal command; lines that are none are answered here.

        Raises:
            Disconnected: the connection ended.
            ClosedByUs: it must be closed, and the client was told why if it is told at all.
        """
        while True:
            event = await self._next_event()
            if not isinstance(event, _NO_COMMANDS):
                return event
            self._judge(event)

    def next_at_hand(self) -> Command | Refused | None:
        """Return the next legal command that has arrived whole, or a line that was answered here.

        For who answers where octets arrive; None: the next has not come yet.

        Raises:
            Disconnected: the connection ended.
            ClosedByUs: see `next_command`.
        """
        self.wire.check_open()
        event = self.core.next_event()
        if event is NEED_DATA:
            return None
        return self._judge(event) if isinstance(event, _NO_COMMANDS) else event

    async def next_response(self) -> Secret | None:
        """Return the client's next answer in an AUTH exchange, None when the exchange is over.

        Raises:
            Disconnected: the connection ended.
            ClosedByUs: it must be closed.
        """
        match await self._next_event():
            case SaslResponse(response):
                return response
            case Refused() as refused:
                self._refuse(refused)
                return None
            case other:
                raise LocalProtocolError(f"{type(other).__name__} came inside of an exchange")

    def answer(self, reply: Reply, *body: bytes) -> None:
        """Send the one reply to the command that was returned, and what belongs behind it."""
        if self.language != DEFAULT_LANGUAGE:
            reply = translate(reply, self.language)
        self.wire.write(self.core.answer(reply), *body)

    def answer_lang(self, tag_untrusted: bytes | None) -> None:
        """Answer LANG: list the languages, or speak another one from its answer on (RFC 6856)."""
        if tag_untrusted is None:
            lines = tuple(f"{tag} {name}".encode() for tag, name in LANGUAGES)
            self.answer(OkLines(replies.LANGUAGES, lines))
            return
        language = choose_language(tag_untrusted)
        if language is None:
            self.answer(replies.UNKNOWN_LANGUAGE)
            return
        self.language = language
        self.answer(replies.LANGUAGE_CHANGED[language])

    def challenge(self, data: bytes) -> None:
        """Ask for the next answer in an AUTH exchange."""
        self.wire.write(self.core.challenge(data))

    def _judge(self, event: Refused | HangUp | SaslResponse | NeedData) -> Refused:
        """Answer a line that is no command."""
        if isinstance(event, Refused):
            self._refuse(event)
            return event
        if isinstance(event, HangUp):
            raise Disconnected("the client does not speak POP3")
        raise LocalProtocolError(f"{type(event).__name__} came instead of a command")

    def _refuse(self, refused: Refused) -> None:
        self.wire.write(translate(refused.reply, self.language).wire())
        if refused.close:
            raise ClosedByUs(refused.reply.text.decode())

    async def _next_event(self) -> Event:
        wire, core = self.wire, self.core
        while True:
            wire.check_open()
            await self._take_turns()
            event = core.next_event()
            if event is not NEED_DATA:
                return event
            core.receive(await wire.receive())

    async def _take_turns(self) -> None:
        self._turn += 1
        if self._turn % COMMANDS_A_TURN == 0:
            await self.wire.drain()
