"""Questions to an OAuth provider over HTTPS: bounded, in threads of their own, and over in time.

It knows neither keys nor tokens: a question goes out, a status and some octets come back.

Known limits: no proxies. A look-up of a name has no deadline of its own; whoever asked goes on
without the answer, and the thread is free again when the look-up ends.
"""

import asyncio
import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import urljoin, urlsplit

from mailkeep.values import Secret

ANSWER_LIMIT_OCTETS = 1 << 18
"""A key set with certificate chains has some 20 kB."""
ASKING_S = 2.0
"""For all of a question to a provider; a client waits for its login meanwhile."""
ASKING_THREADS = 4
"""At 50 ms a question that is 80 logins a second, and a provider that hangs holds no more."""
ASKING_LIMIT = 40
"""Questions of one asker that run or wait: at 50 ms each the last has its answer after half a
second. Whoever has no account can send tokens, too: beyond it nobody is asked, so that strangers
neither fill the memory nor make a long queue in which everybody's time runs out."""
REDIRECTS_LIMIT = 3
"""A key set that was moved is behind one."""

_MOVED = frozenset({301, 302, 303, 307, 308})
"""RFC 9110 section 15.4."""

_URL = re.compile(r"[!-~]+")
"""RFC 3986 has no other characters; a space or a line break would end the request's first line."""


class AskingFailed(Exception):
    """A provider gave no answer that can be used."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request to a provider: a GET, or a POST if there is a form."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Secret | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a provider answered."""

    status: int
    body: bytes = field(repr=False)


class Transport(Protocol):
    """A way to ask providers. It blocks, and is called in a thread."""

    def ask(self, question: Question) -> Answered:
        """Return the answer.

        Raises:
            AskingFailed: there is none, or it is too long or too late.
        """


class HttpsTransport:
    """Asks over HTTPS with certificates that verify; see `Transport`.

    Only a GET follows redirects, and to https only.
    """

    def __init__(self, *, ca: Path | None = None, timeout_s: float = ASKING_S) -> None:
        """Make ready.

        Args:
            ca: a PEM file of authorities beside the system's.
            timeout_s: for one question in all.

        Raises:
            OSError: the file cannot be read, or holds no authorities.
        """
        self._context = ssl.create_default_context()
        if ca is not None:
            self._context.load_verify_locations(cafile=ca)
        self._timeout_s = timeout_s

    def ask(self, question: Question) -> Answered:
        """Return the answer; see `Transport`."""
        url = question.url
        ends_s = time.monotonic() + self._timeout_s
        for _ in range(REDIRECTS_LIMIT + 1):
            answered, location = self._exchange(url, question, ends_s)
            if location is None:
                return answered
            url = urljoin(url, location)
        raise AskingFailed("it sends from one place to the next")

    def _exchange(self, url: str, question: Question, ends_s: float) -> tuple[Answered, str | None]:
        """Return an answer, and where it sends to if it does."""
        host, port, target = _take_apart(url)
        left_s = max(ends_s - time.monotonic(), 0.001)
        connection = http.client.HTTPSConnection(host, port, timeout=left_s, context=self._context)
        outcome = _attempt(connection, target, question, ends_s)
        if isinstance(outcome, str):
            # Only now: an error takes along the frames that it rises through, and the form in them.
            raise AskingFailed(f"{host}: {outcome}")
        response, body = outcome
        if len(body) > ANSWER_LIMIT_OCTETS:
            raise AskingFailed(f"{host}: the answer has more than {ANSWER_LIMIT_OCTETS} octets")
        is_moved = response.status in _MOVED and question.form is None
        return Answered(response.status, body), response.headers["Location"] if is_moved else None


def _attempt(
    connection: http.client.HTTPSConnection, target: str, question: Question, ends_s: float
) -> tuple[http.client.HTTPResponse, bytes] | str:
    """Return the response and its body, or why there is none."""
    try:
        connection.connect()
        with _Deadline(connection.sock, ends_s) as deadline:
            outcome = _talk(connection, target, question)
    except (OSError, ValueError) as cause:
        return str(cause) or type(cause).__name__
    finally:
        connection.close()
    return "no whole answer in time" if deadline.is_over else outcome


def _talk(
    connection: http.client.HTTPSConnection, target: str, question: Question
) -> tuple[http.client.HTTPResponse, bytes] | str:
    try:
        with _request(connection, target, question) as response:
            return response, response.read(ANSWER_LIMIT_OCTETS + 1)
    except (OSError, ValueError) as cause:
        return str(cause) or type(cause).__name__
    except http.client.HTTPException as cause:
        return f"the answer is no HTTP ({type(cause).__name__})"


def _request(
    connection: http.client.HTTPSConnection, target: str, question: Question
) -> http.client.HTTPResponse:
    headers = {"Accept": "application/json", "Connection": "close", **question.headers}
    if question.form is None:
        connection.request("GET", target, headers=headers)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST", target, question.form.reveal(), headers)
    return connection.getresponse()


def _take_apart(url: str) -> tuple[str, int, str]:
    """Return host, port and target of an https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError as cause:
        raise AskingFailed("it is asked at something that is no URL") from cause
    is_safe = _URL.fullmatch(url) is not None and parts.username is None
    if parts.scheme != "https" or not parts.hostname or not is_safe:
        raise AskingFailed("only https URLs without a user are asked")
    return parts.hostname, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class _Deadline:
    """Cuts a connection when its time is over, however often an octet comes."""

    def __init__(self, connected: socket.socket, ends_s: float) -> None:
        self._connected = connected
        self._timer = threading.Timer(max(ends_s - time.monotonic(), 0), self._cut)
        self._timer.daemon = True
        self.is_over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def _cut(self) -> None:
        self.is_over = True
        with contextlib.suppress(OSError):
            # The plain socket's: that of TLS would take the reader's state away meanwhile.
            socket.socket.shutdown(self._connected, socket.SHUT_RDWR)


class Asker:
    """Asks in threads of its own, so that a provider that hangs holds up nothing else.

    It belongs to one event loop.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._threads = ThreadPoolExecutor(ASKING_THREADS, thread_name_prefix="asking")
        self._under_way = 0

    async def ask(self, question: Question) -> Answered:
        """Return the answer.

        Raises:
            AskingFailed: there is none in time, or at once when too many are asked already.
        """
        if self._under_way >= ASKING_LIMIT:
            raise AskingFailed(f"{ASKING_LIMIT} questions are under way")
        self._under_way += 1
        try:
            asked = self._threads.submit(self._transport.ask, question)
            # A look-up of the name, or the wait for a thread, has no deadline of its own.
            return await asyncio.wait_for(asyncio.wrap_future(asked), ASKING_S)
        except TimeoutError:
            raise AskingFailed(f"no answer in {ASKING_S:g} s") from None
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Ask no more. Safe to call twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)
