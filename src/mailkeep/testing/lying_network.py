"""A network that cuts: a TCP proxy on loopback that carries so many octets and no more.

For use before any real server, in a thread of its own. It must not know what it carries: with TLS
it cuts in the middle of records.

Known limits: what is counted is what the proxy handed on; loopback and IPv4 only.
"""

import asyncio
import contextlib
import functools
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

from mailkeep.testing.odd_server.running import in_a_thread

_RECEIVE_OCTETS = 1 << 16


class Ending(Enum):
    """What happens when enough octets were carried."""

    FIN = "fin"
    """Both sides see the end, as if the other had gone."""
    RESET = "reset"
    """Both sides see RST."""
    SILENCE = "silence"
    """Nothing arrives any more, and nobody is told, until a side hangs up."""


@dataclass(slots=True)
class Carried:
    """What one connection has carried so far.

    Attributes:
        server_octets: from the server to the client.
        client_octets: from the client to the server.
        is_cut: whether it was ended by the proxy.
    """

    server_octets: int = 0
    client_octets: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """When to cut; see `cutting_proxy`."""

    server_octets: int | None = None
    client_octets: int | None = None
    ending: Ending = Ending.FIN
    times: int | None = None


class CuttingProxy:
    """The proxy, while it runs.

    Attributes:
        limits: for connections to come; may be set between them.
        connections: what each has carried, in their order.
    """

    def __init__(self, target: tuple[str, int], limits: Limits) -> None:
        self.limits = limits
        self.connections: list[Carried] = []
        self._target = target
        self._listening = socket.socket()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def host(self) -> str:
        """Where it listens: loopback."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    async def __aenter__(self) -> Self:
        self._listening.setblocking(False)  # noqa: FBT003  # its only form
        self._listening.bind((self.host, 0))
        self._listening.listen()
        asyncio.get_running_loop().add_reader(self._listening, self._accept)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        if self._tasks:
            await _cancel(self._tasks)

    def _accept(self) -> None:
        try:
            client, _ = self._listening.accept()
        except OSError:  # gone again
            return
        limits = self.limits
        if limits.times is not None and len(self.connections) >= limits.times:
            limits = Limits()
        connection = _Connection(client, limits)
        self.connections.append(connection.carried)
        task = asyncio.create_task(connection.run(self._target))
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._end_connection, connection))

    def _end_connection(self, connection: "_Connection", task: asyncio.Task[None]) -> None:
        connection.close()
        self._tasks.discard(task)


class _Connection:
    def __init__(self, client: socket.socket, limits: Limits) -> None:
        self.carried = Carried()
        self._client = client
        self._server = socket.socket()
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        for side in (self._client, self._server):
            side.setblocking(False)  # noqa: FBT003  # its only form

    async def run(self, target: tuple[str, int]) -> None:
        """Carry both ways until both have ended or enough was carried, and then cut."""
        with contextlib.suppress(OSError):
            await self._loop.sock_connect(self._server, target)
            for side in (self._client, self._server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._carry()
            if self.carried.is_cut:
                await self._cut()

    def close(self) -> None:
        """Let both sides go."""
        self._client.close()
        self._server.close()

    async def _carry(self) -> None:
        ways = {asyncio.create_task(self._to_client()), asyncio.create_task(self._to_server())}
        pending = ways
        try:
            while pending and not self.carried.is_cut:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for way in done:
                    way.result()  # a side that broke ends both
        finally:
            await _cancel(ways)

    async def _to_client(self) -> None:
        limit = self._limits.server_octets
        while octets := await self._read(self._server, limit, self.carried.server_octets):
            await self._loop.sock_sendall(self._client, octets)
            self.carried.server_octets += len(octets)
        self._end_way(self._client, limit, self.carried.server_octets)

    async def _to_server(self) -> None:
        limit = self._limits.client_octets
        while octets := await self._read(self._client, limit, self.carried.client_octets):
            await self._loop.sock_sendall(self._server, octets)
            self.carried.client_octets += len(octets)
        self._end_way(self._server, limit, self.carried.client_octets)

    async def _read(self, side: socket.socket, limit: int | None, carried: int) -> bytes:
        """Return what may be carried, nothing at the end or when that is enough."""
        room = _RECEIVE_OCTETS if limit is None else min(limit - carried, _RECEIVE_OCTETS)
        return await self._loop.sock_recv(side, room) if room > 0 else b""

    def _end_way(self, side: socket.socket, limit: int | None, carried: int) -> None:
        if limit is not None and carried >= limit:
            self.carried.is_cut = True
        else:
            side.shutdown(socket.SHUT_WR)

    async def _cut(self) -> None:
        sides, ending = (self._client, self._server), self._limits.ending
        if ending is Ending.RESET:
            for side in sides:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if ending is Ending.FIN:
            for side in sides:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_WR)
        # What is not read would turn the end into RST; and in silence an end must be seen.
        drains = [asyncio.create_task(self._drain(side)) for side in sides]
        how = asyncio.FIRST_COMPLETED if ending is Ending.SILENCE else asyncio.ALL_COMPLETED
        try:
            await asyncio.wait(drains, return_when=how)
        finally:
            await _cancel(drains)

    async def _drain(self, side: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while await self._loop.sock_recv(side, _RECEIVE_OCTETS):
                pass


@contextlib.contextmanager
def cutting_proxy(
    target: tuple[str, int],
    *,
    after_server_octets: int | None = None,
    after_client_octets: int | None = None,
    ending: Ending = Ending.FIN,
    times: int | None = None,
) -> Iterator[CuttingProxy]:
    """Run a proxy in a thread while the block lasts.

    Args:
        target: host and port of the server.
        after_server_octets: carry exactly so many octets from the server and then cut both ways;
            None for all.
        after_client_octets: the same for what the client says.
        ending: how it is cut.
        times: only so many of the first connections; None for all.
    """
    limits = Limits(after_server_octets, after_client_octets, ending, times)
    proxy = CuttingProxy(target, limits)
    with in_a_thread(proxy):
        yield proxy


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
