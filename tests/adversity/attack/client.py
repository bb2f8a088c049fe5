"""A connection of an attacker or an owner, from an address of its own, with TLS or STLS.

An attacker verifies nothing, and that leaves more of his core for guesses.
"""

import asyncio
import ssl
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self

PATIENCE_S = 40.0
"""For one answer: longer than any delay, and than any owner waits."""

_PROXY_START = b"\r\n\r\n\0\r\nQUIT\n"
_PROXIED_TCP6 = b"\x21\x21\0\x24"


class TurnedAway(Exception):
    """The server closed, or never answered."""


@dataclass(frozen=True, slots=True)
class Where:
    """How to reach the server."""

    host: str
    port: int
    source: str
    """The address that the socket is bound to."""
    stls: bool = False
    proxied_from: str | None = None
    """An IPv6 address that a PROXY header tells."""


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, where: Where, context: ssl.SSLContext) -> Self:
        """Return a connection under TLS that was greeted.

        Raises:
            TurnedAway: there is none.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await cls._connect(where, context)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as cause:
            raise TurnedAway from cause

    @classmethod
    async def _connect(cls, where: Where, context: ssl.SSLContext) -> Self:
        later = where.stls or where.proxied_from
        reader, writer = await asyncio.open_connection(
            where.host,
            where.port,
            local_addr=(where.source, 0),
            ssl=None if later else context,
            server_hostname=None if later else "localhost",
        )
        client = cls(reader, writer)
        try:
            await client._begin(where, context)
        except BaseException:
            client.drop()
            raise
        return client

    async def _begin(self, where: Where, context: ssl.SSLContext) -> None:
        if where.proxied_from:
            self._writer.write(_header(where.proxied_from))
        if where.stls:
            await self._reader.readuntil(b"\r\n")
            self._writer.write(b"STLS\r\n")
            await self._reader.readuntil(b"\r\n")
        if where.stls or where.proxied_from:
            await self._writer.start_tls(context, server_hostname="localhost")
        if not where.stls:  # it has greeted already
            await self._reader.readuntil(b"\r\n")

    async def ask(self, command: str) -> bytes:
        """Send a command and return the first line of its answer.

        Raises:
            TurnedAway: none came.
        """
        try:
            self._writer.write(command.encode() + b"\r\n")
            async with asyncio.timeout(PATIENCE_S):
                return await self._reader.readuntil(b"\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as cause:
            raise TurnedAway from cause

    def drop(self) -> None:
        """Hang up at once."""
        self._writer.transport.abort()


def careless_context() -> ssl.SSLContext:
    """Return a client's context that believes every certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _header(address: str) -> bytes:
    """Return a header of version 2 (proxy-protocol.txt, section 2.2)."""
    addresses = IPv6Address(address).packed + IPv6Address("2001:db8::1").packed
    return _PROXY_START + _PROXIED_TCP6 + addresses + b"\x9c\x40\x03\xe3"
