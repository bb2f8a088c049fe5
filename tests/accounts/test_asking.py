"""Questions to a provider, against a real server: verified, bounded, and over in time."""

import asyncio
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.accounts.made_tokens import (
    AUDIENCE,
    ISSUER,
    PUBLISHED,
    RULES,
    Provider,
    check,
    said,
    signed,
)

from mailkeep.accounts import asking
from mailkeep.accounts.asking import Answered, Asker, AskingFailed, HttpsTransport, Question
from mailkeep.accounts.introspection import IntrospectionCheck
from mailkeep.accounts.key_sets import UrlKeys
from mailkeep.tls import server_context
from mailkeep.tls.authority import create_authority, issue
from mailkeep.values import Secret


@dataclass
class Endpoint:
    """An https server's answers and what it was asked.

    Attributes:
        routes: by path; a pause is held until the server ends.
    """

    url: str = ""
    routes: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    drips: bool = False
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, now = tmp_path_factory.mktemp("asking") / "tls", datetime.now(UTC)
    create_authority(folder, "id.example.net", now)
    issue(folder, "id.example.net", now)
    return folder


def serve(endpoint: Endpoint, context: ssl.SSLContext, address: str) -> Iterator[Endpoint]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            endpoint.asked.append((self.command, self.path, dict(self.headers), body))
            status, headers, content = endpoint.routes[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if endpoint.drips:
                while not endpoint.over.wait(0.02):
                    self.wfile.write(b" ")
                    self.wfile.flush()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, *_: object) -> None:
            pass  # a client that does not trust the certificate, or had enough, goes away

    with Server((address, 0), Handler) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        endpoint.url = f"https://{address}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.over.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def context(authority: Path) -> ssl.SSLContext:
    made = server_context(
        authority / "server.pem", authority / "server.key", ssl.TLSVersion.TLSv1_2
    )
    made.set_alpn_protocols(["http/1.1"])
    return made


@pytest.fixture
def endpoint(context: ssl.SSLContext) -> Iterator[Endpoint]:
    yield from serve(Endpoint(), context, "127.0.0.1")


@pytest.fixture
def misnamed(context: ssl.SSLContext) -> Iterator[Endpoint]:
    """One at an address that its certificate does not name."""
    yield from serve(Endpoint(), context, "127.0.0.2")


@pytest.fixture
def transport(authority: Path) -> HttpsTransport:
    return HttpsTransport(ca=authority / "ca.pem", timeout_s=5)


def failure(transport: HttpsTransport, question: Question) -> str:
    with pytest.raises(AskingFailed) as caught:
        transport.ask(question)
    return str(caught.value)


async def test_keys_come_over_https(endpoint: Endpoint, transport: HttpsTransport) -> None:
    """The whole way, with a redirect as providers have after a move."""
    endpoint.routes["/keys?v=1"] = (301, {"Location": "/moved"}, b"")
    endpoint.routes["/moved"] = (200, {}, PUBLISHED)
    keys = UrlKeys(f"{endpoint.url}/keys?v=1", transport)
    try:
        assert await check(keys).name_of(signed()) == "alice@example.com"
    finally:
        keys.close()
    assert [(command, path) for command, path, _, _ in endpoint.asked] == [
        ("GET", "/keys?v=1"),
        ("GET", "/moved"),
    ]


async def test_a_token_is_asked_about_over_https(
    endpoint: Endpoint, transport: HttpsTransport
) -> None:
    """The whole way of introspection."""
    endpoint.routes["/introspect"] = (200, {}, said(iss=ISSUER, aud=[AUDIENCE]).body)
    checker = IntrospectionCheck(
        f"{endpoint.url}/introspect",
        RULES,
        transport,
        client_id="mailkeep",
        client_secret=Secret(b"secret"),
    )
    try:
        assert await checker.name_of(Secret(b"opaque")) == "alice@example.com"
    finally:
        checker.close()
    ((command, path, headers, body),) = endpoint.asked
    assert (command, path) == ("POST", "/introspect")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["Authorization"].startswith("Basic ")
    assert body == b"token=opaque&token_type_hint=access_token"


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1/keys", "file:///etc/passwd", "//u@h/", "https://a b/"]
)
def test_a_redirect_leads_to_https_only(
    endpoint: Endpoint, transport: HttpsTransport, location: str
) -> None:
    """In clear text anybody on the way could put a key of his own into the set."""
    endpoint.routes["/keys"] = (302, {"Location": location}, b"")
    assert "only https" in failure(transport, Question(f"{endpoint.url}/keys"))


def test_redirects_come_to_an_end(endpoint: Endpoint, transport: HttpsTransport) -> None:
    """A circle is left."""
    endpoint.routes["/keys"] = (307, {"Location": "/keys"}, b"")
    assert "next" in failure(transport, Question(f"{endpoint.url}/keys"))
    assert len(endpoint.asked) == asking.REDIRECTS_LIMIT + 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_form_is_sent_to_nobody_else(
    endpoint: Endpoint, transport: HttpsTransport, status: int
) -> None:
    """It holds a token and proves who we are."""
    endpoint.routes["/introspect"] = (status, {"Location": "/elsewhere"}, b"")
    question = Question(f"{endpoint.url}/introspect", form=Secret(b"token=x"))
    assert transport.ask(question).status == status
    assert len(endpoint.asked) == 1


def test_a_certificate_that_does_not_verify_ends_it(
    endpoint: Endpoint, misnamed: Endpoint, transport: HttpsTransport
) -> None:
    """An unknown authority, or another name: nothing is sent."""
    question = Question(f"{endpoint.url}/", form=Secret(b"token=x"))
    assert "certificate verify failed" in failure(HttpsTransport(), question)
    question = Question(f"{misnamed.url}/", form=Secret(b"token=x"))
    assert "certificate verify failed" in failure(transport, question)
    assert not endpoint.asked
    assert not misnamed.asked


def test_an_answer_is_bounded(endpoint: Endpoint, transport: HttpsTransport) -> None:
    """A provider, or somebody in its place, cannot fill the memory."""
    endpoint.routes["/"] = (200, {}, b"x" * (asking.ANSWER_LIMIT_OCTETS + 1))
    assert "more than" in failure(transport, Question(endpoint.url))
    endpoint.routes["/"] = (200, {}, b"x" * asking.ANSWER_LIMIT_OCTETS)
    assert len(transport.ask(Question(endpoint.url)).body) == asking.ANSWER_LIMIT_OCTETS


def test_an_answer_that_drips_is_cut(endpoint: Endpoint, authority: Path) -> None:
    """An octet now and then keeps a socket's own timeout from ever being over."""
    endpoint.routes["/"] = (200, {}, b"{}")
    endpoint.drips = True
    begun = time.monotonic()
    quick = HttpsTransport(ca=authority / "ca.pem", timeout_s=0.3)
    assert "in time" in failure(quick, Question(endpoint.url))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "https://u:p@127.0.0.1/", "https://127.0.0.1:99999/", "https:///x", "x"],
)
def test_only_https_urls_are_asked(transport: HttpsTransport, url: str) -> None:
    """Whatever a setting says."""
    assert failure(transport, Question(url))


def test_nobody_there_is_a_failure(transport: HttpsTransport) -> None:
    """Told with the host and never with what would have been sent."""
    found = failure(transport, Question("https://127.0.0.1:1/", form=Secret(b"token=hunter2")))
    assert "127.0.0.1" in found
    assert "hunter2" not in found


def test_a_transport_is_used_by_several_threads(
    endpoint: Endpoint, transport: HttpsTransport
) -> None:
    """One is shared by all logins."""
    endpoint.routes["/"] = (200, {}, b"{}")
    ask: Callable[[int], Answered] = lambda _: transport.ask(Question(endpoint.url))  # noqa: E731
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(ask, range(12)))
    assert [answered.status for answered in found] == [200] * 12


async def test_no_more_than_so_many_questions_are_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who asks beyond them is told at once; when one is answered there is room again."""
    monkeypatch.setattr(asking, "ASKING_LIMIT", 6)
    monkeypatch.setattr(asking, "ASKING_S", 30)
    gate = threading.Event()

    class Held(Provider):
        def ask(self, question: Question) -> Answered:
            gate.wait(10)
            return super().ask(question)

    held = Held(said())
    asker = Asker(held)
    try:
        inside = [asyncio.create_task(asker.ask(Question("https://x/"))) for _ in range(6)]
        await asyncio.sleep(0)
        with pytest.raises(AskingFailed, match="6 questions"):
            await asker.ask(Question("https://x/"))
        left = inside.pop()
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        inside.append(asyncio.create_task(asker.ask(Question("https://x/"))))
        gate.set()
        assert await asyncio.gather(*inside) == [said()] * 6
        assert await asker.ask(Question("https://x/")) == said()
    finally:
        gate.set()
        asker.close()
        asker.close()


async def test_a_question_that_fails_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is away for an hour must not shut tokens out for good."""
    monkeypatch.setattr(asking, "ASKING_LIMIT", 1)
    asker = Asker(Provider(AskingFailed("away")))
    try:
        for _ in range(3):
            with pytest.raises(AskingFailed, match="away"):
                await asker.ask(Question("https://x/"))
    finally:
        asker.close()
