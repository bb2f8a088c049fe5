"""A server on loopback in this process, and clients that can misbehave octet by octet."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from tests.server.parts import PASSWORD, QUICK, OnePassword, Recorder, make_meeting
from tests.tls.peer import MemoryClient

from mailkeep.maildrop import MaildropStore
from mailkeep.server import Listener, Server, open_listeners
from mailkeep.site import Endpoint, Limits, Listen, Networks, Service

DEADLINE_S = 30
"""A test that waits longer has failed."""

LOOPBACK = Endpoint("127.0.0.1", 0)
LOGIN = b"USER alice\r\nPASS %b\r\n" % PASSWORD

POP3S = Listen(service=Service.POP3S, address=LOOPBACK)
POP3 = Listen(service=Service.POP3, address=LOOPBACK)
CLEAR = Listen(
    service=Service.POP3, address=LOOPBACK, cleartext_from=Networks(("127.0.0.0/8", "::1"))
)

Serve = Callable[..., Coroutine[Any, Any, "Loopback"]]


class Loopback:
    """One server with one listener."""

    def __init__(
        self,
        context: ssl.SSLContext,
        trust: ssl.SSLContext,
        store: MaildropStore,
        *,
        listen: Listen = CLEAR,
        limits: Limits = QUICK,
        check: OnePassword | None = None,
        listeners: list[Listener] | None = None,
    ) -> None:
        self.sink = Recorder()
        self.trust = trust
        self.listeners = listeners or open_listeners([listen])
        self.endpoint = self.listeners[0].endpoint
        self.meeting = make_meeting(
            store, check=check, sink=self.sink, limits=limits, context=context
        )
        self.server = Server(self.listeners, self.meeting, self.sink)
        self.server.start()
        self._clients: list[Client] = []
        self._stopped = False

    async def connect(self, *, receive_buffer: int | None = None) -> "Client":
        """Return a client that has read nothing yet."""
        client = Client(self.endpoint, self.trust, receive_buffer)
        self._clients.append(client)
        await client.connect()
        return client

    async def greeted(self, *, receive_buffer: int | None = None) -> "Client":
        """Return a client that has read the greeting."""
        client = await self.connect(receive_buffer=receive_buffer)
        assert await client.read_line() == b"+OK POP3 ready\r\n"
        return client

    async def logged_in(self, *, receive_buffer: int | None = None) -> "Client":
        """Return a client in TRANSACTION."""
        client = await self.greeted(receive_buffer=receive_buffer)
        await client.send(LOGIN)
        await client.read_line()
        assert (await client.read_line()).startswith(b"+OK ")
        return client

    async def sessions_end(self) -> None:
        """Wait until every session that has begun is over."""
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*self.server._sessions)

    async def stop(self) -> None:
        """Stop the server in order."""
        self._stopped = True
        await self.server.stop()

    async def close(self) -> None:
        """End everything."""
        for client in self._clients:
            client.close()
        if not self._stopped:
            await self.stop()


class Client:
    """One socket, in clear until `start_tls`."""

    def __init__(
        self, endpoint: Endpoint, trust: ssl.SSLContext, receive_buffer: int | None
    ) -> None:
        self._endpoint = endpoint
        self._trust = trust
        self._tls: MemoryClient | None = None
        self._unread = bytearray()
        self._loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)  # its only form
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.was_reset = False
        """Whether the connection ended with RST and not with FIN."""

    async def connect(self) -> None:
        await self._loop.sock_connect(self.socket, (self._endpoint.host, self._endpoint.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def start_tls(self) -> None:
        """Do the handshake as a client that verifies."""
        self._tls = MemoryClient(self._trust, "localhost")
        self._tls.advance()
        while not self._tls.established:
            await self.send_raw(self._tls.output())
            self._tls.feed(await self._receive())
        await self.send_raw(self._tls.output())

    async def send(self, octets: bytes) -> None:
        """Send, through TLS if there is any."""
        await self.send_raw(octets if self._tls is None else self._tls.send(octets))

    async def send_raw(self, octets: bytes) -> None:
        """Send as it is."""
        async with asyncio.timeout(DEADLINE_S):
            await self._loop.sock_sendall(self.socket, octets)

    async def read_line(self) -> bytes:
        """Return a line with its end."""
        return await self.read_through(b"\r\n")

    async def read_through(self, end: bytes) -> bytes:
        """Return what comes up to and with `end`."""
        at = searched = 0
        while (at := self._unread.find(end, max(0, searched - len(end)))) < 0:
            searched = len(self._unread)
            assert await self._read_more(), f"it ended with {bytes(self._unread)[-200:]!r}"
        at += len(end)
        read = bytes(self._unread[:at])
        del self._unread[:at]
        return read

    async def read_to_end(self) -> bytes:
        """Return all that comes until the server closes."""
        while await self._read_more():
            pass
        read = bytes(self._unread)
        self._unread.clear()
        return read

    async def ask(self, command: bytes) -> bytes:
        """Send a command and return its first line."""
        await self.send(command + b"\r\n")
        return await self.read_line()

    @property
    def saw_close_notify(self) -> bool:
        """Whether TLS was ended in order."""
        return self._tls is not None and self._tls.closed_by_server

    def finish(self) -> None:
        """Send FIN and no close_notify."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    async def _read_more(self) -> bool:
        received = await self._receive()
        if self._tls is None:
            self._unread += received
        elif received:
            self._tls.plaintext = b""
            self._tls.feed(received)
            self._unread += self._tls.plaintext
        return bool(received)

    async def _receive(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionResetError):
                return await self._loop.sock_recv(self.socket, 1 << 18)
        self.was_reset = True
        return b""
