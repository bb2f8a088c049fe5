"""A client and its connection without a socket: what the kernel would do, done by hand.

It must not know POP3. A client reads everything at once unless it is told to stop.
"""

import asyncio
from typing import cast

from mailkeep.server.small_reads import SmallReads


class FakeTransport(asyncio.Transport):
    """The server's end of a connection whose other end is the test."""

    def __init__(self, protocol: SmallReads) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._incoming: list[bytes] = []
        self._incoming_ended = False
        self._outgoing = bytearray()
        self._high = 64 * 1024
        self._client_reads = True
        self._closing = False
        self._write_eof = False
        self.reading = True
        self.writing_paused = False
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """How it ended: `closed` in order, or `aborted`."""
        self.received = bytearray()
        """All that the client has read."""
        self.writes: list[bytes] = []
        """Each `write` of the server, as it came."""
        self.most_waiting = 0
        """The most octets that ever waited for the client."""
        protocol.connection_made(self)

    # The client's side.

    def send(self, octets: bytes) -> None:
        """Send a segment; it waits in the kernel while the server does not read."""
        self._incoming.append(octets)
        self._deliver()

    def finish(self) -> None:
        """Send FIN behind everything sent."""
        self._incoming_ended = True
        self._deliver()

    def reset(self) -> None:
        """Send RST: both directions are gone at once."""
        self._end("aborted", ConnectionResetError(104, "Connection reset by peer"))

    def stop_reading(self) -> None:
        """Take nothing any more."""
        self._client_reads = False

    def take(self, octets: int) -> None:
        """Read so much of what waits."""
        self.received += self._outgoing[:octets]
        del self._outgoing[:octets]
        if self.writing_paused and len(self._outgoing) <= self._high // 4:
            self.writing_paused = False
            self._protocol.resume_writing()
        self._close_if_done()

    def resume_reading_everything(self) -> None:
        """Catch up."""
        self._client_reads = True
        self.take(len(self._outgoing))

    # What the server's protocol calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.lost.done() or self._write_eof:
            return
        octets = bytes(data)
        self.writes.append(octets)
        self._outgoing += octets
        if self._client_reads:
            self.take(len(self._outgoing))
        self.most_waiting = max(self.most_waiting, len(self._outgoing))
        if not self.writing_paused and len(self._outgoing) > self._high:
            self.writing_paused = True
            self._protocol.pause_writing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("SmallReads", protocol)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del low
        self._high = cast("int", high)

    def get_write_buffer_size(self) -> int:
        return len(self._outgoing)

    def pause_reading(self) -> None:
        assert self.reading, "paused twice"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading, "resumed twice"
        self.reading = True
        self._loop.call_soon(self._deliver)

    def write_eof(self) -> None:
        self._write_eof = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self._close_if_done()

    def abort(self) -> None:
        self._outgoing.clear()
        self._end("aborted", None)

    # How it is done.

    def _deliver(self) -> None:
        while self._incoming and self.reading and not self._closing and not self.lost.done():
            octets = self._incoming.pop(0)
            buffer = self._protocol.get_buffer(len(octets))
            taken = min(len(octets), len(buffer))
            buffer[:taken] = octets[:taken]
            if octets[taken:]:
                self._incoming.insert(0, octets[taken:])
            self._protocol.buffer_updated(taken)
        if self._incoming_ended and not self._incoming and self.reading and not self._closing:
            self._incoming_ended = False
            if not self._protocol.eof_received():
                self.close()

    def _close_if_done(self) -> None:
        if self._closing and not self._outgoing:
            self._end("closed", None)

    def _end(self, how: str, error: Exception | None) -> None:
        if not self.lost.done():
            self._closing = True
            self.lost.set_result(how)
            self._loop.call_soon(self._protocol.connection_lost, error)
