"""Figures for Prometheus over HTTP/1.1: GET and HEAD of /metrics, and nothing else.

A listener of its own, apart from those that POP3 clients come through: it answers when their
connections are all taken. It knows no event and no metric; what it sends is made by whoever
started it. Each request has a connection of its own, 8 KiB and five seconds.

Known limits: no TLS and no password, so the listener belongs on loopback or on a network that only
Prometheus is in (`allow`). A request's body is not read.

Sources: RFC 9110 (semantics), RFC 9112 (message syntax).
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import cast

from mailkeep.server.listener import Listener

REQUEST_LIMIT_OCTETS = 8192
"""Of a request's head; RFC 9112 section 3 wants 8000 for its first line alone."""

EXCHANGE_S = 5.0
"""From the connection to the last octet of the answer; a scrape on a local network takes 10 ms."""

CONNECTIONS_LIMIT = 20
"""At once: a handful of Prometheus servers, and an operator who looks."""

FRESH_S = 1.0
"""How long figures are sent again instead of being made anew (some milliseconds of the loop's
time), so that nobody who may ask can keep the sessions waiting."""

_PATH = "/metrics"
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.[0-9]")
_HEAD_END = b"\r\n\r\n"


class Verdict(Enum):
    """What is said to a request: code and reason (RFC 9110 section 15)."""

    OK = "200 OK"
    BAD_REQUEST = "400 Bad Request"
    NOT_FOUND = "404 Not Found"
    METHOD_NOT_ALLOWED = "405 Method Not Allowed"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a request is answered with."""

    verdict: Verdict
    wants_body: bool = True


def judge_request(head: bytes) -> Judged:
    """Decide about a request.

    Args:
        head: its first line and its fields, up to the empty line.
    """
    line = _REQUEST_LINE.fullmatch(head.partition(b"\r\n")[0])
    if line is None:
        return Judged(Verdict.BAD_REQUEST)
    method, target = line[1], line[2].decode("ascii")
    wants_body = method != b"HEAD"
    if target.partition("?")[0] != _PATH:
        return Judged(Verdict.NOT_FOUND, wants_body)
    if method not in {b"GET", b"HEAD"}:
        return Judged(Verdict.METHOD_NOT_ALLOWED)
    return Judged(Verdict.OK, wants_body)


@dataclass(frozen=True, slots=True)
class Exposition:
    """Where the figures come from."""

    write: Callable[[], bytes]
    """Makes them; called on the loop, so it must not wait."""
    content_type: str


class MetricsListener:
    """Answers on one socket.

    Args:
        listener: one whose service is `metrics`.
        exposition: what is sent.
    """

    def __init__(self, listener: Listener, exposition: Exposition) -> None:
        self.listener = listener
        self._exposition = exposition
        self._server: asyncio.Server | None = None
        self._connections: set[_Exchange] = set()
        self._nobody_is_inside = asyncio.Event()
        self._made: tuple[float, bytes] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.exchange, sock=self.listener.socket)

    async def stop(self) -> None:
        """Close the socket, and the connections whatever they wait for."""
        if self._server is not None:
            self._server.close()
        self._nobody_is_inside.clear()
        if self._connections:
            for exchange in tuple(self._connections):
                exchange.abort()
            await self._nobody_is_inside.wait()

    def exchange(self) -> asyncio.Protocol:
        """Return what one new connection talks to."""
        return _Exchange(self)

    def begins(self, exchange: "_Exchange", host: str) -> bool:
        """Count a connection in, or tell that it may not be."""
        if len(self._connections) >= CONNECTIONS_LIMIT:
            return False
        if ip_address(host.partition("%")[0]) not in self.listener.settings.allow:
            return False
        self._connections.add(exchange)
        return True

    def ended(self, exchange: "_Exchange") -> None:
        """Count it out."""
        self._connections.discard(exchange)
        if not self._connections:
            self._nobody_is_inside.set()

    def answer(self, judged: Judged, now_s: float) -> bytes:
        """Return the whole answer to a request.

        Args:
            judged: what was decided.
            now_s: seconds that only go forward.
        """
        if judged.verdict is Verdict.OK:
            body, content_type = self._figures(now_s), self._exposition.content_type
        else:
            body = judged.verdict.value.encode() + b"\n"
            content_type = "text/plain; charset=utf-8"
        fields = [
            f"HTTP/1.1 {judged.verdict.value}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
        ]
        if judged.verdict is Verdict.METHOD_NOT_ALLOWED:
            fields.append("Allow: GET, HEAD")  # RFC 9110 section 15.5.6 demands it
        head = "\r\n".join(fields).encode() + _HEAD_END
        return head + body if judged.wants_body else head

    def _figures(self, now_s: float) -> bytes:
        if self._made is None or now_s - self._made[0] >= FRESH_S:
            self._made = (now_s, self._exposition.write())
        return self._made[1]


class _Exchange(asyncio.Protocol):
    """One connection: one request, one answer."""

    def __init__(self, owner: MetricsListener) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._arrived = b""
        self._is_answered = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in if it may be here."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only by its shape
        peer = transport.get_extra_info("peername")
        if not peer or not self._owner.begins(self, peer[0]):
            self.abort()
            return
        self._deadline = self._loop.call_later(EXCHANGE_S, self.abort)

    def data_received(self, data: bytes) -> None:
        """Answer when the head is there, or cannot be any more."""
        if self._is_answered:
            return
        self._arrived += data
        head, end, _ = self._arrived.partition(_HEAD_END)
        if len(head) > REQUEST_LIMIT_OCTETS:
            self._answer(Judged(Verdict.BAD_REQUEST))
        elif end:
            self._answer(judge_request(head))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's seam
        """Count it out."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._owner.ended(self)

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, judged: Judged) -> None:
        self._is_answered = True
        self._arrived = b""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._owner.answer(judged, self._loop.time()))
            self._transport.close()
