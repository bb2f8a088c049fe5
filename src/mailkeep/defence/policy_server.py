"""Asking a policy server over HTTP.

One connection a question, at most a hundred at a time, two seconds for all of it, as Dovecot has
it. The exchange is asyncio's; only the answer's form is read by `http.client`.
"""

import asyncio
import http.client
import io
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from mailkeep.defence.policy_question import (
    Command,
    PolicyAnswer,
    PolicyQuestion,
    PolicyReport,
    PolicyServerUnavailable,
    question_octets,
    read_answer,
)
from mailkeep.values import Secret

TIMEOUT_S = 2.0
PARALLEL_LIMIT = 100
"""Both Dovecot's."""

ANSWER_LIMIT_OCTETS = 64 * 1024
"""An answer has a number and a sentence."""


class PolicyServer(Protocol):
    """A server with an opinion."""

    async def allow(self, question: PolicyQuestion) -> PolicyAnswer:
        """Ask whether a guess may be looked at.

        Raises:
            PolicyServerUnavailable: it does not say.
        """

    async def report(self, question: PolicyQuestion, report: PolicyReport) -> None:
        """Tell what came of a login.

        Raises:
            PolicyServerUnavailable: it does not listen.
        """


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    path: str
    """With the query, up to the command."""
    tls: ssl.SSLContext | None = field(repr=False)


class HttpPolicyServer:
    """A policy server at a URL.

    Args:
        url: `http` or `https`; `command=…` is added to its query.
        key: sent as `X-API-Key`.
        authority: a file of authorities for `https`; the system's unless given.

    Raises:
        ValueError: the URL is none of these.
    """

    def __init__(
        self, url: str, *, key: Secret | None = None, authority: Path | None = None
    ) -> None:
        self._target = _target_of(url, authority)
        self._key = key
        self._places = asyncio.Semaphore(PARALLEL_LIMIT)

    async def allow(self, question: PolicyQuestion) -> PolicyAnswer:
        """Ask whether a guess may be looked at."""
        return read_answer(await self._post(Command.ALLOW, question_octets(question)))

    async def report(self, question: PolicyQuestion, report: PolicyReport) -> None:
        """Tell what came of a login; what it answers is of no interest."""
        await self._post(Command.REPORT, question_octets(question, report))

    async def _post(self, command: Command, body: bytes) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_S), self._places:
                octets = await _exchange(self._target, self._request(command, body))
        except TimeoutError as cause:
            raise PolicyServerUnavailable(f"no answer in {TIMEOUT_S:g} s") from cause
        except OSError as cause:
            raise PolicyServerUnavailable(str(cause)) from cause
        return _body_of(octets)

    def _request(self, command: Command, body: bytes) -> bytes:
        host = f"[{self._target.host}]" if ":" in self._target.host else self._target.host
        lines = [
            f"POST {self._target.path}command={command.value} HTTP/1.1",
            f"Host: {host}:{self._target.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        head = "\r\n".join(lines).encode() + b"\r\n"
        if self._key is not None:
            head += b"X-API-Key: " + self._key.reveal().strip() + b"\r\n"
        return head + b"\r\n" + body


def _target_of(url: str, authority: Path | None) -> _Target:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f'"{url}" is not an http or https URL')
    if not url.isascii() or any(character <= " " for character in url):
        raise ValueError(f'"{url}" has a character that no URL has')
    is_secure = parts.scheme == "https"
    query = parts.query + ("&" if parts.query and not parts.query.endswith("&") else "")
    return _Target(
        host=parts.hostname,
        port=parts.port or (443 if is_secure else 80),
        path=f"{parts.path or '/'}?{query}",
        tls=ssl.create_default_context(cafile=authority) if is_secure else None,
    )


async def _exchange(target: _Target, request: bytes) -> bytes:
    """Send a request and return everything up to the end of the connection."""
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls)
    try:
        writer.write(request)
        await writer.drain()
        received = bytearray()
        while piece := await reader.read(ANSWER_LIMIT_OCTETS):
            received += piece
            if len(received) > ANSWER_LIMIT_OCTETS:
                raise PolicyServerUnavailable("its answer is too long")
        return bytes(received)
    finally:
        writer.transport.abort()


class _Received:
    """What `http.client` takes for a socket: something that was received."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, mode: str) -> io.BytesIO:
        del mode
        return io.BytesIO(self._octets)


def _body_of(octets: bytes) -> bytes:
    response = http.client.HTTPResponse(_Received(octets), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError) as cause:
        raise PolicyServerUnavailable("its answer is not HTTP") from cause
    if response.status != http.client.OK:
        raise PolicyServerUnavailable(f"it answers {response.status}")
    return body
