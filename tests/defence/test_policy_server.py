"""A real policy server over real HTTP: what is sent, and what happens when it misbehaves."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from mailkeep.defence import policy_server
from mailkeep.defence.policy_question import (
    PolicyAnswer,
    PolicyQuestion,
    PolicyReport,
    PolicyServerUnavailable,
)
from mailkeep.defence.policy_server import ANSWER_LIMIT_OCTETS, HttpPolicyServer
from mailkeep.values import Secret

QUESTION = PolicyQuestion("alice", ip_address("192.0.2.7"), "s", tls=True, seal=None)


class Site:
    """An HTTP server that answers with given octets and keeps what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.bodies: list[dict[str, object]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        self.heads.append(head)
        self.bodies.append(json.loads(await reader.readexactly(length)))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answer(body: bytes, status: str = "200 OK", fields: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\n".encode() + fields + b"\r\n" + body


YES = answer(b'{"status": 0}')


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/?command=allow"),
        ("/policy", "/policy?command=allow"),
        ("/?site=1", "/?site=1&command=allow"),
        ("/?site=1&", "/?site=1&command=allow"),
    ],
)
async def test_a_question_is_one_request(path: str, target: str) -> None:
    """The command is added to the URL's query; the key goes into a header."""
    site = Site(YES)
    async with listening(site.serve) as port:
        server = HttpPolicyServer(f"http://127.0.0.1:{port}{path}", key=Secret(b"hush\n"))
        assert await server.allow(QUESTION) == PolicyAnswer(is_rejected=False, wait_s=0)
    assert site.heads[0].startswith(f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")
    assert "\r\nX-API-Key: hush\r\n" in site.heads[0]
    assert "\r\nContent-Type: application/json\r\n" in site.heads[0]
    assert site.bodies[0]["login"] == "alice"


async def test_a_report_is_one_request_whatever_is_answered() -> None:
    """Its answer has no meaning."""
    site = Site(answer(b"thank you"))
    async with listening(site.serve) as port:
        server = HttpPolicyServer(f"http://127.0.0.1:{port}/")
        await server.report(QUESTION, PolicyReport(is_success=True, is_policy_reject=False))
    assert site.heads[0].startswith("POST /?command=report ")
    assert (site.bodies[0]["success"], site.bodies[0]["policy_reject"]) == (True, False)


async def test_an_answer_in_chunks_is_put_together() -> None:
    """HTTP/1.1 servers may send it so."""
    chunks = b'9\r\n{"status"\r\n5\r\n: -1}\r\n0\r\n\r\n'
    site = Site(answer(chunks, fields=b"Transfer-Encoding: chunked\r\n"))
    async with listening(site.serve) as port:
        found = await HttpPolicyServer(f"http://127.0.0.1:{port}/").allow(QUESTION)
    assert found.is_rejected


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"nonsense\r\n\r\n",
        answer(b'{"status": 0}', "500 Oops"),
        answer(b'{"status": 0}', "302 Found", b"Location: http://127.0.0.1/\r\n"),
        answer(b"", "204 No Content"),
        answer(b"{"),
        answer(b'{"status": 0}', fields=b"Content-Length: 99\r\n"),
        answer(b" " * ANSWER_LIMIT_OCTETS + b'{"status": 0}'),
    ],
)
async def test_what_is_no_answer_is_an_error_of_one_kind(octets: bytes) -> None:
    """Another status, half an answer, an endless one."""
    site = Site(octets)
    async with listening(site.serve) as port:
        with pytest.raises(PolicyServerUnavailable):
            await HttpPolicyServer(f"http://127.0.0.1:{port}/").allow(QUESTION)


async def test_a_server_that_is_not_there() -> None:
    """It is told with the reason."""
    async with listening(Site(YES).serve) as port:
        pass
    with pytest.raises(PolicyServerUnavailable, match=str(port)):
        await HttpPolicyServer(f"http://127.0.0.1:{port}/").allow(QUESTION)


async def test_two_seconds_are_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends an octet now and then has no longer."""
    assert policy_server.TIMEOUT_S == 2
    monkeypatch.setattr(policy_server, "TIMEOUT_S", 0.1)
    ended = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        try:
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            ended.set()
        finally:
            writer.close()

    async with listening(trickle) as port:
        with pytest.raises(PolicyServerUnavailable, match="no answer in"):
            await HttpPolicyServer(f"http://127.0.0.1:{port}/").allow(QUESTION)
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_hundred_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next waits for one of them, within its own two seconds."""
    monkeypatch.setattr(policy_server, "PARALLEL_LIMIT", 3)
    now, most = 0, 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0)
        now -= 1
        writer.write(YES)
        await writer.drain()
        writer.close()

    async with listening(count) as port:
        server = HttpPolicyServer(f"http://127.0.0.1:{port}/")
        await asyncio.gather(*(server.allow(QUESTION) for _ in range(20)))
    assert most <= 3


async def test_https_is_verified(certificates: Path, context: ssl.SSLContext) -> None:
    """With the authority that is named; without it nobody is believed."""
    site = Site(YES)
    async with listening(site.serve, context) as port:
        url = f"https://localhost:{port}/"
        trusting = HttpPolicyServer(url, authority=certificates / "ca.pem")
        assert not (await trusting.allow(QUESTION)).is_rejected
        with pytest.raises(PolicyServerUnavailable, match="certificate verify failed"):
            await HttpPolicyServer(url).allow(QUESTION)
    assert len(site.heads) == 1


@pytest.mark.parametrize("url", ["", "ftp://x/", "http://", "http://x/ y", "http://x/\u00e9", "x"])
def test_what_is_no_url_is_refused_at_the_start(url: str) -> None:
    """And not at the first login."""
    with pytest.raises(ValueError, match=r"URL|no"):
        HttpPolicyServer(url)
