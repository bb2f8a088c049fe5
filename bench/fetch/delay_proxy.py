"""A TCP proxy that is as far away as it is told: every octet comes half a round trip later.

It adds delay and nothing else: no loss, no limit on bandwidth, as much in flight as a long fat line
would hold (`IN_FLIGHT_LIMIT_OCTETS` each way, then the sender waits). A connection costs what a TCP
handshake costs: the server hears of it one and a half round trips after the client asked, and what
the client has sent by then arrives with it.

It must not know what passes through. It runs in a process of its own, so that its work is in
nobody's figures: `python -m bench.fetch.delay_proxy --to 995 --round-trip-ms 25`.

Known limits: the event loop's timers count whole milliseconds, so a delay is up to one millisecond
longer than asked, never shorter. An end of one direction ends both when it arrives, and a reset is
passed on as an end: a POP3 session has no half.
"""

import argparse
import asyncio
from collections import deque
from typing import cast

HOST = "127.0.0.1"

IN_FLIGHT_LIMIT_OCTETS = 64 << 20
"""At 100 ms this is more than 5 Gbit/s, and two of them fit into any machine that runs this."""

WRITE_BUFFER_OCTETS = 1 << 20
"""Handed to the kernel and not yet taken, before a line waits: four reads of asyncio's."""

_END = b""
"""In a line's queue: the sender will say no more."""


class DelayLine:
    """One direction of one connection."""

    def __init__(self, delay_s: float, limit_octets: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay_s = delay_s
        self._limit = limit_octets
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_octets = 0
        self._timer: asyncio.TimerHandle | None = None
        self._source: asyncio.Transport | None = None
        self._sink: asyncio.Transport | None = None
        self._sink_is_full = False

    def attach_source(self, source: asyncio.Transport) -> None:
        """Say who is to pause when too much is held."""
        self._source = source

    def attach_sink(self, sink: asyncio.Transport) -> None:
        """Say where octets go; those that are due by now go at once."""
        self._sink = sink
        self._release()

    def push(self, octets: bytes) -> None:
        """Take octets that have just arrived."""
        self._held.append((self._loop.time() + self._delay_s, octets))
        self._held_octets += len(octets)
        if self._held_octets > self._limit and self._source is not None:
            self._source.pause_reading()
        self._schedule()

    def end(self) -> None:
        """Pass on, in its turn, that no more comes."""
        self.push(_END)

    def sink_is_full(self, *, full: bool) -> None:
        """Hold back what is due until the receiver has taken what it got."""
        self._sink_is_full = full
        if not full:
            self._release()

    def close(self) -> None:
        """Forget all."""
        self._held.clear()
        self._sink = self._source = None
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._timer is None and self._held and self._sink is not None and not self._sink_is_full:
            self._timer = self._loop.call_at(self._held[0][0], self._release_due)

    def _release_due(self) -> None:
        self._timer = None
        self._release()

    def _release(self) -> None:
        now = self._loop.time()
        while self._sink is not None and not self._sink_is_full:
            if not self._held or self._held[0][0] > now:
                break
            self._pass_on(self._sink, self._held.popleft()[1])
        if self._source is not None and self._held_octets <= self._limit // 2:
            self._source.resume_reading()
        self._schedule()

    def _pass_on(self, sink: asyncio.Transport, octets: bytes) -> None:
        self._held_octets -= len(octets)
        if octets:
            sink.write(octets)
        else:
            sink.close()


class _Side(asyncio.Protocol):
    """One side of a connection: what it sends goes into one line, what it gets is the other's."""

    def __init__(self, outgoing: DelayLine, incoming: DelayLine) -> None:
        self._outgoing, self._incoming = outgoing, incoming

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_OCTETS)
        self._outgoing.attach_source(self.transport)
        self._incoming.attach_sink(self.transport)

    def data_received(self, data: bytes) -> None:
        self._outgoing.push(data)

    def pause_writing(self) -> None:
        self._incoming.sink_is_full(full=True)

    def resume_writing(self) -> None:
        self._incoming.sink_is_full(full=False)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # how does not matter
        self._incoming.close()
        self._outgoing.end()


class DelayProxy:
    """Listens on a port of its own and connects to another."""

    def __init__(
        self, target: int, round_trip_s: float, *, limit_octets: int = IN_FLIGHT_LIMIT_OCTETS
    ) -> None:
        """Make one that does not listen yet.

        Args:
            target: the server's port on this machine.
            round_trip_s: twice what every octet is late.
            limit_octets: what is held at most, each way.
        """
        self._target = target
        self._round_trip_s = round_trip_s
        self._limit = limit_octets
        self._connecting: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._accept, HOST, 0)

    def _accept(self) -> asyncio.Protocol:
        up = DelayLine(self._round_trip_s / 2, self._limit)
        down = DelayLine(self._round_trip_s / 2, self._limit)
        client = _Side(up, down)
        task = asyncio.get_running_loop().create_task(self._connect(client, up, down))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return client

    async def _connect(self, client: _Side, up: DelayLine, down: DelayLine) -> None:
        await asyncio.sleep(self._round_trip_s * 1.5)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Side(down, up), HOST, self._target)
        except OSError:
            client.transport.abort()


async def serve(target: int, round_trip_s: float) -> None:
    """Say on which port, and serve until the process is ended."""
    server = await DelayProxy(target, round_trip_s).listen()
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Run the proxy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=int, required=True, metavar="PORT")
    parser.add_argument("--round-trip-ms", type=float, required=True, metavar="MS")
    options = parser.parse_args()
    asyncio.run(serve(options.to, options.round_trip_ms / 1000))


if __name__ == "__main__":
    main()
