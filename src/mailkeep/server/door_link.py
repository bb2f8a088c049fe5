"""A worker's connection to the process that has the door: questions, and their answers by number.

Responsible for who waits for which answer, for finding out that the other side is as good as away,
and for letting nobody wait then. It must not know what an answer means for a login.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

from mailkeep.server import door_wire as wire
from mailkeep.server.control import Outgoing

PING_EVERY_S = 5.0
PONG_WITHIN_S = 5.0
"""A door that hangs is as good as away; its loop is never busy for a second."""

Answering: TypeAlias = "asyncio.Future[wire.Answer | None]"
"""None: the connection was lost before the answer came."""


class DoorLink(asyncio.Protocol):
    """One connection to the real door.

    Args:
        numbers: for its pings.
        on_lost: called once, before anybody who waits for an answer hears of it.
        on_taken_back: told what was not asked.
    """

    def __init__(
        self,
        numbers: Iterator[int],
        on_lost: Callable[["DoorLink"], None],
        on_taken_back: Callable[[wire.TakenBack], None],
    ) -> None:
        self._on_taken_back = on_taken_back
        self._numbers = numbers
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, Answering] = {}
        self._lines = wire.Lines(wire.ANSWER_LIMIT_OCTETS)
        self._outgoing: Outgoing | None = None
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_lost(self) -> bool:
        """Tell whether nothing will be answered any more."""
        return self.lost.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only by its shape
        self._outgoing = Outgoing(self._transport)

    def data_received(self, data: bytes) -> None:
        """Hand answers to those who wait for them; one that nobody waits for any more is dropped.

        The other side has heard, or will, that it was given up.
        """
        try:
            for line in self._lines.feed(data):
                answer = wire.decode_said(line)
                if isinstance(answer, wire.TakenBack):
                    self._on_taken_back(answer)
                    continue
                waiting = self._answers.pop(answer.number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except wire.Malformed:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's seam
        """Let nobody wait."""
        self.lost.set_result(None)
        self._on_lost(self)
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_result(None)
        self._answers.clear()

    def request(self, number: int, request: wire.Request) -> Answering:
        """Send what has an answer."""
        waiting: Answering = self._loop.create_future()
        if self.is_lost:
            waiting.set_result(None)
            return waiting
        self._answers[number] = waiting
        self._send(request)
        return waiting

    def give_up(self, number: int) -> None:
        """Take an attempt back, whether it has been let or not."""
        self._answers.pop(number, None)
        self._send(wire.GiveUp(number))

    async def is_answered(self) -> bool:
        """Tell whether the other side is alive; if it is not, end the connection."""
        number = next(self._numbers)
        pong = self.request(number, wire.Ping(number))
        await asyncio.wait({pong}, timeout=PONG_WITHIN_S)
        if not pong.done():
            self.abort()
        return pong.done() and isinstance(pong.result(), wire.Pong)

    async def watch(self) -> None:
        """Return when it is lost, or the other side is as good as away."""
        while await self.is_answered():
            await asyncio.wait({self.lost}, timeout=PING_EVERY_S)

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, request: wire.Request) -> None:
        if self._outgoing is not None:
            self._outgoing.send(wire.encode(request))
