"""A connection from a proxy, until its header has told who the client is.

The header is the first thing on the wire, before TLS and before the greeting; then the socket goes
over to a `Connection`, with what came behind the header. It must not know what is decided about
the client.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from mailkeep.server.connection import Connection
from mailkeep.server.proxy_header import BadProxyHeader, ProxyHeader, ProxyHeaderReader
from mailkeep.server.small_reads import SmallReads
from mailkeep.site import Endpoint

HEADER_WITHIN_S = 3.0
"""A proxy sends its header at once, and a lost segment is sent again within this time
(`proxy-protocol.txt`, section 2)."""

NO_HEADER = "no PROXY header"
"""The reason for the log; whatever else was there is nobody's to read."""

Enter = Callable[[Endpoint | None], Connection | None]
"""Told who the client is, None for the proxy itself; returns its connection if it may come in."""


class Proxied(SmallReads):
    """A proxy's connection at its very start."""

    __slots__ = (
        "_begun",
        "_enter",
        "_on_end",
        "_over",
        "_reader",
        "_refused",
        "_timer",
        "_transport",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        enter: Enter,
        refused: Callable[[str], None],
        on_end: Callable[["Proxied"], None],
    ) -> None:
        """Wait for the transport.

        Args:
            loop: where it lives.
            enter: asked when the header is there.
            refused: told why there is no header that is understood.
            on_end: told when this is over, one way or the other.
        """
        self._enter = enter
        self._refused = refused
        self._on_end = on_end
        self._reader = ProxyHeaderReader()
        self._transport: asyncio.Transport
        self._begun = False
        self._over = False
        self._timer = loop.call_later(HEADER_WITHIN_S, self._give_up, NO_HEADER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the time was over before."""
        self._begun = True
        self._transport = cast("asyncio.Transport", transport)
        if self._over:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take octets of the header, and hand the rest over."""
        if self._over:
            return
        try:
            header = self._reader.feed(data)
        except BadProxyHeader as bad:
            self._give_up(f"{NO_HEADER}: {bad}")
            return
        if header is not None:
            self._hand_over(header)

    def eof_received(self) -> None:
        """Let the transport close."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the proxy has gone."""
        del exc
        self._give_up(NO_HEADER)

    def close(self) -> None:
        """Close at once and tell nobody: the server ends."""
        self._end()
        if self._begun:
            self._transport.abort()

    def _hand_over(self, header: ProxyHeader) -> None:
        """Give the socket to the client's connection, if it may come in."""
        self._end()
        connection = self._enter(header.client)
        if connection is None:
            self._transport.abort()
            return
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        if header.rest:
            connection.data_received(header.rest)

    def _give_up(self, reason: str) -> None:
        if not self._over:
            self._refused(reason)
            self.close()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._timer.cancel()
            self._on_end(self)
