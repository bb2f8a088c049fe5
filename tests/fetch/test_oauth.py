"""A token endpoint is asked as RFC 6749 section 6 says, over real HTTP and real TLS."""

import http.server
import json
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from mailkeep.fetch.account import parse_url
from mailkeep.fetch.failures import FetchFailed, NetworkFailed, TokenNeeded, WrongSettings
from mailkeep.fetch.oauth import (
    ANSWER_LIMIT_OCTETS,
    AccessToken,
    OAuthClient,
    check_endpoint,
    refresh_access_token,
)
from mailkeep.fetch.secret_sources import (
    OAuthRefresh,
    SecretCommand,
    SecretFile,
    read_access_token,
    read_secret,
)
from mailkeep.tls import server_context
from mailkeep.tls.authority import create_authority, issue
from mailkeep.values import Secret

REFRESH, CLIENT_SECRET = Secret(b"1//refresh+to/ken="), Secret(b"s3cret")
ALICE = parse_url("pop3s://alice@mail.example.com")
GRANTED = {"access_token": "ya29.a0", "token_type": "Bearer", "expires_in": 3599}


@dataclass
class Endpoint:
    """A token endpoint that answers everything with the same and notes what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = field(default=json.dumps(GRANTED).encode(), repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], dict[str, list[str]]]] = field(
        default_factory=list, repr=False
    )

    def answer(self, status: int, **said: object) -> None:
        self.status, self.body = status, json.dumps(said).encode()


def serve(
    endpoint: Endpoint, context: ssl.SSLContext | None, address: str = "127.0.0.1"
) -> Iterator[None]:
    """Serve until the test ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            endpoint.asked.append(
                (self.path, headers, parse_qs(form.decode(), strict_parsing=True))
            )
            self.send_response(endpoint.status)
            for name, value in endpoint.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(endpoint.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.HTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a client that does not trust the certificate goes away

    with Server((address, 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if context is None else "https"
        endpoint.url = f"{scheme}://{address}:{server.server_address[1]}/oauth2/token?v=2"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A token endpoint in clear text, which loopback may be."""
    endpoint = Endpoint()
    yield from (endpoint for _ in serve(endpoint, None))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a certificate for the loopback addresses."""
    folder, now = tmp_path_factory.mktemp("oauth") / "tls", datetime.now(UTC)
    create_authority(folder, "login.example.net", now)
    issue(folder, "login.example.net", now)
    return folder


@pytest.fixture
def context(tls: Path) -> ssl.SSLContext:
    context = server_context(tls / "server.pem", tls / "server.key", ssl.TLSVersion.TLSv1_2)
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.fixture
def secure(context: ssl.SSLContext) -> Iterator[Endpoint]:
    """A token endpoint with TLS."""
    endpoint = Endpoint()
    yield from (endpoint for _ in serve(endpoint, context))


@pytest.fixture
def misnamed(context: ssl.SSLContext) -> Iterator[Endpoint]:
    """One at an address that its certificate does not name."""
    endpoint = Endpoint()
    yield from (endpoint for _ in serve(endpoint, context, "127.0.0.2"))


def refresh(endpoint: Endpoint, secret: Secret | None = None) -> AccessToken:
    return refresh_access_token(OAuthClient(endpoint.url, "my id"), REFRESH, secret)


def failure(endpoint: Endpoint, kind: type[FetchFailed]) -> str:
    """Return what is said, with its hint, after a look that no secret went along."""
    with pytest.raises(kind) as caught:
        refresh(endpoint, CLIENT_SECRET)
    error = caught.value
    said = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "refresh+to" not in said
    assert "s3cret" not in said
    return f"{error} | {error.hint}"


def test_the_request_is_that_of_the_rfc(endpoint: Endpoint) -> None:
    """RFC 6749 section 6: a form in a POST; the query of the URL stays (section 3.2)."""
    client = OAuthClient(endpoint.url, "my id", scope="pop offline_access")
    refresh_access_token(client, REFRESH, Secret(b"s&c=r t"))
    [(path, headers, form)] = endpoint.asked
    assert path == "/oauth2/token?v=2"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert form == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["1//refresh+to/ken="],
        "client_id": ["my id"],
        "client_secret": ["s&c=r t"],
        "scope": ["pop offline_access"],
    }


def test_a_public_client_has_no_secret(endpoint: Endpoint) -> None:
    """RFC 6749 section 2.1: programs on a user's machine; no empty fields are sent."""
    refresh(endpoint)
    [(_, _, form)] = endpoint.asked
    assert set(form) == {"grant_type", "refresh_token", "client_id"}


@pytest.mark.parametrize(
    ("said", "life"),
    [
        ({"expires_in": 3599}, 3599),
        ({"expires_in": "3599"}, 3599),
        ({"expires_in": 3599.9}, 3599),
        ({"expires_in": None}, None),
        ({"expires_in": -1}, None),
        ({"expires_in": 1e300}, None),
        ({}, None),
        ({"token_type": "bearer", "scope": "pop", "id_token": "x", "more": {"a": [1]}}, None),
    ],
)
def test_an_answer_is_read_as_servers_write_it(
    endpoint: Endpoint, said: dict[str, object], life: int | None
) -> None:
    """RFC 6749 section 5.1; some servers write the life as a text."""
    endpoint.answer(200, **{"access_token": "t", "token_type": "Bearer", **said})
    assert refresh(endpoint) == AccessToken(Secret(b"t"), life, None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("new", Secret(b"new")), ("1//refresh+to/ken=", None), ("", None), (None, None)],
)
def test_a_new_refresh_token_is_handed_on(
    endpoint: Endpoint, said: str | None, expected: Secret | None
) -> None:
    """RFC 6749 section 6: the server may give one, and the old one is to be thrown away then."""
    endpoint.answer(200, **GRANTED, refresh_token=said)
    assert refresh(endpoint).new_refresh_token == expected


@pytest.mark.parametrize("code", ["invalid_grant", "interaction_required", "consent_required"])
def test_an_ended_consent_asks_for_a_new_one(endpoint: Endpoint, code: str) -> None:
    """RFC 6749 section 5.2: the refresh token is invalid, expired or revoked."""
    endpoint.answer(400, error=code, error_description="Token has been revoked.")
    said = failure(endpoint, TokenNeeded)
    assert f"answers 400: {code}: Token has been revoked." in said
    assert "consent again" in said


@pytest.mark.parametrize(
    ("status", "code"), [(401, "invalid_client"), (400, "invalid_scope"), (403, "")]
)
def test_other_refusals_are_no_matter_of_time(endpoint: Endpoint, status: int, code: str) -> None:
    """The settings are wrong: nobody tries again all night."""
    endpoint.answer(status, error=code)
    assert f"answers {status}" in failure(endpoint, TokenNeeded)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, ""), (500, "server_error"), (429, "x"), (400, "temporarily_unavailable")],
)
def test_a_server_with_a_bad_time_is_tried_later(
    endpoint: Endpoint, status: int, code: str
) -> None:
    """The consent is good; asking a person for a new one would help nobody."""
    endpoint.answer(status, error=code)
    assert "a later try may help" in failure(endpoint, NetworkFailed)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>welcome</html>"),
        (200, b"[]"),
        (200, b'{"token_type": "Bearer"}'),
        (200, b'{"access_token": 7}'),
        (200, b'{"access_token": "\\ud800"}'),
        (200, b'{"access_token": "\xff"}'),
        (200, b"[" * 10_000),
        (200, b'{"access_token": ""}'),
        (200, b'{"access_token": "a\\u0001b"}'),
        (200, b'{"access_token": "a", "refresh_token": "b\\nc"}'),
        (200, b'{"access_token": "a", "token_type": "mac"}'),
        (200, b'{"error": "invalid_grant"}'),
        (404, b"<html>\xff</html>"),
        (400, b'{"error": {"code": 7}}'),
        (302, b""),
        (204, b""),
    ],
)
def test_an_answer_that_is_none_gives_no_token(
    endpoint: Endpoint, status: int, body: bytes
) -> None:
    """Another page, another protocol, a proxy's welcome: nothing of it goes to the mail server."""
    endpoint.status, endpoint.body = status, body
    failure(endpoint, TokenNeeded)


def test_a_redirect_is_not_followed(endpoint: Endpoint) -> None:
    """It would carry the tokens to wherever the answer says."""
    endpoint.headers["Location"] = endpoint.url
    endpoint.answer(307)
    assert "answers 307" in failure(endpoint, TokenNeeded)
    assert len(endpoint.asked) == 1


def test_what_the_server_echoes_is_not_repeated(endpoint: Endpoint) -> None:
    """An error that quotes the refresh token would put it into a log."""
    endpoint.answer(400, error="invalid_grant", error_description="bad token 1//refresh+to/ken=")
    assert failure(endpoint, TokenNeeded).partition(" | ")[0].endswith("answers 400")


def test_what_the_server_says_is_cut(endpoint: Endpoint) -> None:
    """S-56: 200 characters are enough for a person."""
    endpoint.answer(400, error="invalid_scope", error_description="x" * 10_000)
    assert len(failure(endpoint, TokenNeeded)) < 400


def test_a_huge_answer_is_not_read(endpoint: Endpoint) -> None:
    """Constant memory, whatever answers."""
    endpoint.body = b" " * (ANSWER_LIMIT_OCTETS + 1) + endpoint.body
    assert f"more than {ANSWER_LIMIT_OCTETS} octets" in failure(endpoint, TokenNeeded)


class TestTls:
    """The endpoint gets the refresh token, so it must be the right one."""

    def test_the_certificate_is_verified(self, secure: Endpoint) -> None:
        """An authority that nobody knows: nothing was sent."""
        said = failure(secure, TokenNeeded)
        assert "the certificate is not to be trusted" in said
        assert secure.asked == []

    def test_an_authority_of_ones_own_can_be_named(self, secure: Endpoint, tls: Path) -> None:
        """`ca` under oauth."""
        client = OAuthClient(secure.url, "id", authorities=tls / "ca.pem")
        assert refresh_access_token(client, REFRESH).secret == Secret(b"ya29.a0")

    def test_the_name_is_verified(self, misnamed: Endpoint, tls: Path) -> None:
        """A good certificate of another host is not good."""
        client = OAuthClient(misnamed.url, "id", authorities=tls / "ca.pem")
        with pytest.raises(TokenNeeded, match="not to be trusted: IP address mismatch"):
            refresh_access_token(client, REFRESH)
        assert misnamed.asked == []

    @pytest.mark.parametrize("text", [None, "no certificate"])
    def test_a_file_of_no_authorities_is_told(self, tmp_path: Path, text: str | None) -> None:
        """Missing, or something else."""
        if text is not None:
            (tmp_path / "ca.pem").write_text(text)
        client = OAuthClient("https://127.0.0.1:1/", "id", authorities=tmp_path / "ca.pem")
        with pytest.raises(WrongSettings, match="holds no authorities"):
            refresh_access_token(client, REFRESH)


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.net/token",
        "https://login.example.net",
        "http://127.0.0.1:8080/token",
        "http://localhost/token",
        "http://[::1]/token",
    ],
)
def test_an_endpoint_is_https_or_here(url: str) -> None:
    """RFC 6749 section 3.2 wants TLS; a helper on this machine needs none."""
    assert check_endpoint(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example.net/token",
        "http://login.example.net/token",
        "http://127.0.0.1.example.net/token",
        "ftp://login.example.net/",
        "https://alice:pw@login.example.net/",
        "https://login.example.net/#x",
        "https://login.example.net/a b",
        "https://login.example.net/\r\nX: y",
        "https://login.example.net:99999/",
        "https://[::1/",
        "https:///token",
    ],
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    """Nothing that sends a token in clear text or to nobody knows where."""
    with pytest.raises(WrongSettings):
        check_endpoint(url)


def scripted(behave: Callable[[socket.socket], None]) -> Iterator[Endpoint]:
    """Serve one connection with whatever octets a test wants."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_one() -> None:
            connection, _ = listener.accept()
            with connection:
                behave(connection)

        thread = threading.Thread(target=serve_one)
        thread.start()
        yield Endpoint(url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()


def drip(connection: socket.socket) -> None:
    """Send a body octet by octet until the other side has had enough."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    connection.settimeout(0.02)
    while True:
        try:
            connection.sendall(b" ")
            if connection.recv(4096) == b"":
                return
        except TimeoutError:
            continue
        except OSError:
            return


@pytest.fixture
def dripping() -> Iterator[Endpoint]:
    """A server that always sends a little."""
    yield from scripted(drip)


@pytest.fixture
def silent() -> Iterator[Endpoint]:
    """A server that takes the request and says nothing."""

    def swallow(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    yield from scripted(swallow)


@pytest.fixture
def odd() -> Iterator[Endpoint]:
    """A server of another protocol."""
    yield from scripted(lambda connection: connection.sendall(b"+OK POP3 ready\r\n"))


def test_a_server_that_always_sends_a_little_is_left(dripping: Endpoint) -> None:
    """The time limit is for the whole answer: a mail server waits meanwhile."""
    with pytest.raises(NetworkFailed, match=r"no (whole )?answer in 0\.3 s"):
        refresh_access_token(OAuthClient(dripping.url, "id"), REFRESH, timeout_s=0.3)


def test_a_silent_server_is_left(silent: Endpoint) -> None:
    """The same where nothing comes."""
    with pytest.raises(NetworkFailed):
        refresh_access_token(OAuthClient(silent.url, "id"), REFRESH, timeout_s=0.3)


def test_a_server_of_another_protocol_is_told(odd: Endpoint) -> None:
    """The port of the mail server, for example."""
    failure(odd, NetworkFailed)


def test_a_server_that_is_not_there_is_told() -> None:
    """A later try may help."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert "Connection refused" in failure(Endpoint(url=url), NetworkFailed)


class TestReading:
    """From the settings' source to a token, and the new refresh token back into its file."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "refresh"
        path.write_bytes(REFRESH.reveal() + b"\n")
        path.chmod(0o600)
        return path

    def test_a_token_is_read_through_its_source(self, endpoint: Endpoint, file: Path) -> None:
        """One call for whoever logs in."""
        secret = SecretCommand(("echo", "s3cret"))
        source = OAuthRefresh(endpoint.url, "id", secret, SecretFile(file), "pop")
        assert read_secret(source, ALICE, ask=None) == Secret(b"ya29.a0")
        [(_, _, form)] = endpoint.asked
        assert (form["client_secret"], form["scope"]) == (["s3cret"], ["pop"])
        assert file.read_bytes() == REFRESH.reveal() + b"\n"

    def test_a_new_refresh_token_is_used_the_next_time(
        self, endpoint: Endpoint, file: Path
    ) -> None:
        """RFC 6749 section 6; the second run would else ask with a dead one."""
        source = OAuthRefresh(endpoint.url, "id", None, SecretFile(file))
        endpoint.answer(200, **GRANTED, refresh_token="second")
        read_secret(source, ALICE, ask=None)
        token = read_access_token(source, ALICE, ask=None)
        assert [form["refresh_token"] for _, _, form in endpoint.asked] == [
            ["1//refresh+to/ken="],
            ["second"],
        ]
        assert (token.expires_in_s, token.new_refresh_token) == (3599, None)

    def test_one_that_cannot_be_kept_is_a_warning(self, endpoint: Endpoint) -> None:
        """The access token is good; the person hears that the next one may not come."""
        refresh_token = SecretCommand(("echo", "first"))
        source = OAuthRefresh(endpoint.url, "id", None, refresh_token)
        endpoint.answer(200, **GRANTED, refresh_token="second")
        warnings: list[str] = []
        token = read_secret(source, ALICE, ask=None, warn=warnings.append)
        assert token == Secret(b"ya29.a0")
        assert len(warnings) == 1
        assert "second" not in warnings[0]

    def test_a_refresh_token_that_others_can_read_is_refused(
        self, endpoint: Endpoint, file: Path
    ) -> None:
        """Before anything is sent."""
        file.chmod(0o644)
        source = OAuthRefresh(endpoint.url, "id", None, SecretFile(file))
        with pytest.raises(WrongSettings, match="can be read by others"):
            read_secret(source, ALICE, ask=None)
        assert endpoint.asked == []
