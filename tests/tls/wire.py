"""A channel on a real socket, with no more than real clients need to meet it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.harness.programs import find_program

from mailkeep.tls import TlsChannel, TlsError


class Wire(asyncio.Protocol):
    """Greets when the handshake is over and answers what was asked."""

    def __init__(self, context: ssl.SSLContext, answer: Callable[[bytes], bytes]) -> None:
        self.channel = TlsChannel(context)
        self.failure: TlsError | None = None
        self._answer = answer
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        was_established = self.channel.established
        try:
            asked = self.channel.receive(data)
        except TlsError as failure:
            self.failure = failure
            self.transport.write(self.channel.output())
            self.transport.close()
            return
        self.transport.write(self.channel.output())
        if self.channel.established and not was_established:
            self.transport.write(self.channel.send(b"+OK ready\r\n"))
        if asked:
            self.transport.write(self.channel.send(self._answer(asked)))

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


@asynccontextmanager
async def serving(
    context: ssl.SSLContext, answer: Callable[[bytes], bytes] = lambda _: b"+OK\r\n"
) -> AsyncIterator[tuple[int, list[Wire]]]:
    """Serve on loopback; yields the port and the connections, and waits for their end."""
    wires: list[Wire] = []

    def accept() -> Wire:
        wires.append(Wire(context, answer))
        return wires[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], wires
    finally:
        server.close()
        for wire in wires:
            wire.transport.close()
            await asyncio.wait_for(wire.lost, 10)
        await server.wait_closed()


async def run_client(
    program: str, *arguments: str, behind: bytes = b"", typed: bytes = b""
) -> tuple[int | None, bytes]:
    """Run a real client to its end; return its exit code and what it said.

    Args:
        program: its name.
        arguments: its arguments.
        behind: what it must have said before anything is typed.
        typed: what it is then given to read.
    """
    client = await asyncio.create_subprocess_exec(
        find_program(program),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        assert client.stdout
        first = await client.stdout.readuntil(behind) if behind else b""
        rest, _ = await client.communicate(typed)
    return client.returncode, first + rest
