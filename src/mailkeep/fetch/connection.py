"""One connection to a server: octets in and out, TLS from the first one or from STLS on.

It owns every octet between socket and protocol, so that nothing from before TLS can be read after
it, and it holds the deadlines. It must not know POP3.

Known limit: addresses are tried one after the other with a head start each (RFC 8305), as asyncio
does it.
"""

import asyncio
import os
import re
import ssl

from mailkeep.fetch.endings import NothingCame
from mailkeep.fetch.failures import NetworkFailed, TlsRefused
from mailkeep.tls import CertificateRefused, ClientChannel, TlsError

_WAITING_LIMIT_OCTETS = 1 << 20
"""What may wait to be read before the server is made to wait."""

_HEAD_START_S = 0.25
"""RFC 8305 section 8: the connection attempt delay."""

_RATE_WINDOW_S = 120.0
_RATE_LIMIT_OCTETS = 12_000
"""Inside a body a server must send a hundred octets a second over two minutes: a slower one (S-20)
would take a day for a message of 10 MB."""


class Connection(asyncio.Protocol):
    """An open connection. Make one with `open_connection`."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._channel: ClientChannel | None = None
        self._waiting: list[bytes] = []
        self._waiting_octets = 0
        self._is_paused = False
        self._wake: asyncio.Future[None] | None = None
        self._end: Exception | None = None
        self._window_start = self._loop.time()
        self._window_octets = 0

    @property
    def channel(self) -> ClientChannel | None:
        """TLS, once it was started."""
        return self._channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket (asyncio calls this)."""
        if isinstance(transport, asyncio.Transport):  # a stream of octets always is one
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what arrived (asyncio calls this)."""
        if self._channel is not None:
            data = self._decrypt(self._channel, data)
        if data:
            self._waiting.append(data)
            self._waiting_octets += len(data)
            self._window_octets += len(data)
            if self._waiting_octets > _WAITING_LIMIT_OCTETS and not self._is_paused:
                self._is_paused = True
                self._open_transport().pause_reading()
        self._wake_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is over (asyncio calls this)."""
        if self._end is None:
            self._end = NetworkFailed(_why_lost(exc))
        self._wake_up()

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Do the handshake; what the server sends from here on is believed only through TLS.

        Raises:
            TlsRefused: the certificate or the handshake; nothing of ours was sent in clear.
            NetworkFailed: the connection broke.
        """
        if self._waiting:
            raise TlsRefused("the server said something before TLS that nothing asked for")
        channel = self._channel = ClientChannel(context, server_name)
        self._open_transport().write(channel.begin())
        while not channel.established:
            await self._wait("the TLS handshake")

    def write(self, octets: bytes) -> None:
        """Send octets, through TLS if there is any.

        Raises:
            NetworkFailed: the connection is over.
        """
        if self._end is not None:
            raise self._end
        if self._channel is not None:
            octets = self._channel.send(octets)
        self._open_transport().write(octets)

    async def read(self, what: str) -> bytes:
        """Return what has arrived, as soon as there is something.

        Args:
            what: what is waited for, for the error.

        Raises:
            NetworkFailed: nothing came in time, or the connection is over.
            TlsRefused: TLS broke.
        """
        while not self._waiting:
            await self._wait(what)
        return self.take_waiting()

    def take_waiting(self) -> bytes:
        """Return what has arrived so far, which may be nothing."""
        octets = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_octets = 0
        if self._is_paused:
            self._is_paused = False
            self._open_transport().resume_reading()
        return octets

    def begin_body(self) -> None:
        """Start the count of the slowest rate at which a body may come."""
        self._window_start = self._loop.time()
        self._window_octets = 0

    def check_rate(self) -> None:
        """See that a body comes fast enough.

        Raises:
            NetworkFailed: it does not.
        """
        if self._loop.time() - self._window_start < _RATE_WINDOW_S:
            return
        if self._window_octets < _RATE_LIMIT_OCTETS:
            raise NetworkFailed(
                f"the server sent {self._window_octets} octets in {_RATE_WINDOW_S:.0f} s"
            )
        self.begin_body()

    def close(self) -> None:
        """End it, with TLS's goodbye if there is any. Safe to call twice."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._channel is not None:
            self._transport.write(self._channel.close())
        self._transport.close()

    def _decrypt(self, channel: ClientChannel, octets: bytes) -> bytes:
        plaintext = b""
        try:
            plaintext = channel.receive(octets)
        except CertificateRefused as cause:
            self._fail(TlsRefused(str(cause), hint=cause.hint), cause)
        except TlsError as cause:
            self._fail(TlsRefused(f"TLS failed: {cause}"), cause)
        else:
            if channel.peer_closed and self._end is None:
                self._end = NetworkFailed("the server closed the connection")
        if output := channel.output():
            self._open_transport().write(output)
        return plaintext

    def _fail(self, failure: Exception, cause: Exception) -> None:
        failure.__cause__ = cause
        self._end = failure

    async def _wait(self, what: str) -> None:
        if self._end is not None:
            raise self._end
        self._wake = self._loop.create_future()
        timer = self._loop.call_later(self._timeout_s, self._time_out, what)
        try:
            await self._wake
        finally:
            timer.cancel()
            self._wake = None

    def _time_out(self, what: str) -> None:
        if self._end is None:
            self._end = NothingCame(f"{what} did not come within {self._timeout_s:g} s")
        self._wake_up()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise NetworkFailed("there is no connection")
        return self._transport


async def open_connection(host: str, port: int, *, timeout_s: float) -> Connection:
    """Connect to a server.

    Raises:
        NetworkFailed: no address of it answers in time.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: Connection(timeout_s=timeout_s),
                host,
                port,
                happy_eyeballs_delay=_HEAD_START_S,
            )
    except TimeoutError as cause:
        raise NetworkFailed(f"{host}:{port} does not answer within {timeout_s:g} s") from cause
    except OSError as cause:
        raise NetworkFailed(f"cannot connect to {host}:{port}: {_reason(cause)}") from cause
    return connection


def _reason(failure: OSError) -> str:
    """Return why, in the system's words: asyncio puts its own calls and all addresses into it."""
    numbers = dict.fromkeys(re.findall(r"\[Errno ([0-9]+)\]", str(failure)))
    said = " and ".join(os.strerror(int(number)) for number in numbers)
    return said or failure.strerror or str(failure)


def _why_lost(cause: Exception | None) -> str:
    if isinstance(cause, OSError):
        return f"the connection broke: {_reason(cause)}"
    return "the server closed the connection"
