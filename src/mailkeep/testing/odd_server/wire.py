"""One connection as octets: a socket, and TLS over it by hand.

By hand, because the odd server must do what no transport offers: end without close_notify, send
clear text right before a handshake, reset. It must not know POP3.
"""

import asyncio
import contextlib
import socket
import ssl
import struct

from mailkeep.testing.odd_server.answers import Action

_GONE = (BrokenPipeError, ConnectionResetError)
_RECEIVE_OCTETS = 1 << 16


class ClientGone(Exception):
    """Nobody is there any more to send to."""


class HandshakeFailed(Exception):
    """There is no TLS, and nothing else is to be said."""


class Wire:
    """A connection, in the clear until `handshake`.

    Attributes:
        tls_error: what the client's alert or its broken record was, in OpenSSL's words.
        was_reset: whether the client ended it with RST.
        said_goodbye: whether the client ended TLS in order.
    """

    def __init__(self, connection: socket.socket, *, receive_octets: int | None = None) -> None:
        self._socket = connection
        self._receive_octets = receive_octets or _RECEIVE_OCTETS
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.tls_error: str | None = None
        self.was_reset = False
        self.said_goodbye = False

    @property
    def is_tls(self) -> bool:
        """Whether TLS is up."""
        return self._tls is not None

    async def handshake(self, context: ssl.SSLContext) -> None:
        """Take part in a handshake as the server.

        Raises:
            HandshakeFailed: it failed; `tls_error` says how.
        """
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while not self._is_established(tls):
            await self._flush()
            if not (octets := await self._receive_raw()):
                self.tls_error = self.tls_error or "the client hung up"
                raise HandshakeFailed
            self._incoming.write(octets)
        await self._flush()
        self._tls = tls

    async def receive(self) -> bytes:
        """Return what the client sent, nothing when it has ended."""
        while True:
            if self._tls is not None and (plaintext := self._read(self._tls)) is not None:
                return plaintext
            octets = await self._receive_raw()
            if self._tls is None or not octets:
                return octets
            self._incoming.write(octets)

    async def send(self, octets: bytes) -> None:
        """Send a piece; in the clear it is one segment where it fits, in TLS its own records.

        Raises:
            ClientGone: it cannot be sent.
        """
        async with self._sending:
            if self._tls is not None:
                rest = memoryview(octets)
                while rest:
                    rest = rest[self._tls.write(rest) :]
                octets = self._outgoing.read()
            await self._send_raw(octets)

    async def finish(self, how: Action) -> None:
        """End our side, with close_notify or without; the client can still be heard."""
        with contextlib.suppress(ClientGone, OSError):
            if how is Action.CLOSE and self._tls is not None:
                with contextlib.suppress(ssl.SSLError):  # it waits for the client's own goodbye
                    self._tls.unwrap()
            await self._flush()
            self._socket.shutdown(socket.SHUT_WR)

    async def drain(self) -> None:
        """Wait until the client ends its side, whatever it says."""
        while await self._receive_raw():
            pass

    def close(self, how: Action) -> None:
        """Let the socket go, with RST where that is asked for."""
        if how is Action.RESET:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _is_established(self, tls: ssl.SSLObject) -> bool:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as cause:
            self.tls_error = cause.reason or str(cause)
            raise HandshakeFailed from cause
        return True

    def _read(self, tls: ssl.SSLObject) -> bytes | None:
        """Return plaintext, nothing at the end of TLS, None when more octets are needed."""
        try:
            plaintext = tls.read(_RECEIVE_OCTETS)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            plaintext = b""
        except ssl.SSLError as cause:
            self.tls_error = cause.reason or str(cause)
            return b""
        self.said_goodbye = not plaintext
        return plaintext

    async def _flush(self) -> None:
        async with self._sending:
            if self._outgoing.pending:
                with contextlib.suppress(ClientGone):  # the next receive tells
                    await self._send_raw(self._outgoing.read())

    async def _send_raw(self, octets: bytes) -> None:
        try:
            await self._loop.sock_sendall(self._socket, octets)
        except _GONE as cause:
            raise ClientGone from cause

    async def _receive_raw(self) -> bytes:
        try:
            return await self._loop.sock_recv(self._socket, self._receive_octets)
        except _GONE:
            self.was_reset = True
            return b""
