"""One end of the link between the supervisor and a worker: frames over a stream socket.

Responsible for the order of what is sent, for writing together what belongs to one turn of the
loop, and for ending a link on which something comes that cannot be understood. It must not know
what the messages mean.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable
from typing import cast

from mailkeep.server import worker_wire as wire


class LinkLost(Exception):
    """The other side has gone."""


class FrameLink(asyncio.Protocol):
    """One end.

    Args:
        on_frame: told each frame; raises `Malformed`.
    """

    def __init__(self, on_frame: Callable[[wire.Kind, bytes], None]) -> None:
        self._on_frame = on_frame
        self._loop = asyncio.get_running_loop()
        self._frames = wire.Frames()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[wire.Done | wire.TakenOver]] = {}
        self.is_congested = False
        """Whether the other side is behind with reading."""
        self.lost: asyncio.Future[None] = self._loop.create_future()

    async def attach(self, connection: socket.socket) -> None:
        """Begin to speak over a connected socket, which belongs to this link from now on."""
        connection.settimeout(0)
        await self._loop.create_unix_connection(lambda: self, sock=connection)

    def send(self, frame: bytes) -> None:
        """Send a frame, soon."""
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(frame)

    def say(self, message: wire.Down | wire.Up) -> None:
        """Send a message, soon."""
        self.send(wire.encode(message))

    def flush(self) -> None:
        """Send what is there, now."""
        if self._unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    async def ask(
        self, question: Callable[[int], wire.Down | wire.Up]
    ) -> wire.Done | wire.TakenOver:
        """Send what has an answer, and return that.

        Args:
            question: makes it, with its number.

        Raises:
            LinkLost: there will be none.
        """
        if self.lost.done():
            raise LinkLost
        number = next(self._numbers)
        answer: asyncio.Future[wire.Done | wire.TakenOver] = self._loop.create_future()
        self._asked[number] = answer
        self.say(question(number))
        try:
            return await answer
        finally:
            self._asked.pop(number, None)

    def answered(self, answer: wire.Done | wire.TakenOver) -> None:
        """Hand an answer to who waits for it; one that nobody waits for any more is dropped."""
        waiting = self._asked.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def close(self) -> None:
        """Send what is there, then end the link, and return when that is done."""
        self.flush()
        if self._transport is not None:
            self._transport.close()
            await self.lost

    def abort(self) -> None:
        """End the link now."""
        if self._transport is not None:
            self._transport.abort()

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only by its shape

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        try:
            for kind, body in self._frames.feed(data):
                self._on_frame(kind, body)
        except wire.Malformed as problem:
            self._loop.call_exception_handler({"message": "a link is ended", "exception": problem})
            self.abort()

    def pause_writing(self) -> None:
        """Note that the other side is behind."""
        self.is_congested = True

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self.is_congested = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's seam
        """Let nobody wait."""
        self.lost.set_result(None)
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(LinkLost())
