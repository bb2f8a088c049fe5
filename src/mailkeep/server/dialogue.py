"""A connection and the protocol's server side, side by side: commands in, replies out."""

from mailkeep.pop3 import (
    Command,
    HangUp,
    LocalProtocolError,
    NeedData,
    Refused,
    Reply,
    SaslResponse,
    ServerSide,
)
from mailkeep.server.wire import Disconnected, Wire
from mailkeep.values import Secret

COMMANDS_A_TURN = 64
"""Commands that one client may have answered before the others get their turn."""


class ClosedByUs(Exception):
    """The client was refused for good, and the text says why; it is still to be sent."""


class Dialogue:
    """One conversation under one state of encryption."""

    __slots__ = ("_turn", "core", "wire")

    def __init__(self, wire: Wire, core: ServerSide) -> None:
        self.wire = wire
        self.core = core
        self._turn = 0

    async def next_command(self) -> Command:
        """Return the next legal command; lines that are none are answered here.

        Raises:
            Disconnected: the connection ended.
            ClosedByUs: it must be closed, and the client was told why if it is told at all.
        """
        while True:
            match await self._next_event():
                case Refused() as refused:
                    self._refuse(refused)
                case SaslResponse():
                    raise LocalProtocolError("an answer came outside of an exchange")
                case command:
                    return command

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
            case _:
                raise LocalProtocolError("a command came inside of an exchange")

    def answer(self, reply: Reply) -> None:
        """Send the one reply to the command that `next_command` returned."""
        self.wire.write(self.core.answer(reply))

    def challenge(self, data: bytes) -> None:
        """Ask for the next answer in an AUTH exchange."""
        self.wire.write(self.core.challenge(data))

    def _refuse(self, refused: Refused) -> None:
        self.wire.write(refused.reply.wire())
        if refused.close:
            raise ClosedByUs(refused.reply.text.decode())

    async def _next_event(self) -> Command | SaslResponse | Refused:
        while True:
            self.wire.check_open()
            await self._take_turns()
            match self.core.next_event():
                case NeedData():
                    self.core.receive(await self.wire.receive())
                case HangUp():
                    raise Disconnected("the client does not speak POP3")
                case event:
                    return event

    async def _take_turns(self) -> None:
        self._turn += 1
        if self._turn % COMMANDS_A_TURN == 0:
            await self.wire.drain()
