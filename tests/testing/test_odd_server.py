"""The odd server is honest by default: real clients, TLS, SASL, pipelining, what it records."""

import asyncio
import base64
import poplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.client import WireClient
from tests.harness.programs import DEADLINE_S, Port, find_program, run
from tests.server.certificates import certificates, context, trust

from mailkeep.sasl.client import ChannelBinding
from mailkeep.sasl.client import Login as ClientLogin
from mailkeep.sasl.client_registry import client_mechanism
from mailkeep.testing.odd_server import (
    Heard,
    Login,
    Oddity,
    OddMailbox,
    OddServer,
    OddSession,
    OddSettings,
    RunningOddServer,
    running_odd_server,
)
from mailkeep.testing.odd_server import (
    oddities as odd,
)
from mailkeep.values import Secret

__all__ = ["certificates", "context", "trust"]

BODIES = (
    b"Subject: one\r\n\r\nfirst\r\nsecond\r\nthird\r\n",
    b".Subject: dots\r\n\r\n.\r\n..\r\nend\r\n",
    b"",
)
LOGIN = Login()
BINDING = ChannelBinding("tls-server-end-point", b"what both ends know")


@pytest.fixture
def mailbox() -> OddMailbox:
    return OddMailbox.of(*BODIES)


@pytest.fixture
def server(mailbox: OddMailbox, context: ssl.SSLContext) -> Iterator[RunningOddServer]:
    with running_odd_server(mailbox, settings=OddSettings(context=context, stls=True)) as server:
        yield server


def dial(server: RunningOddServer, certificates: Path) -> WireClient:
    """Return a client in TLS by STLS."""
    client = WireClient(Port(server.host, server.port))
    client.read_ok()
    client.command(b"STLS")
    client.start_tls(certificates / "ca.pem")
    return client


def log_in(client: WireClient) -> None:
    client.command(b"USER " + LOGIN.user)
    client.command(b"PASS " + LOGIN.password)


def test_a_strict_client_reads_everything(server: RunningOddServer, certificates: Path) -> None:
    """RFC 1939: listings agree with bodies; TOP cuts; QUIT removes what is marked and no more."""
    with dial(server, certificates) as client:
        client.command(b"CAPA")
        assert b"STLS" not in client.read_body().splitlines()
        log_in(client)
        assert client.command(b"STAT") == b"3 %d" % sum(map(len, BODIES))
        assert client.listing(b"LIST") == [(n, b"%d" % len(b)) for n, b in enumerate(BODIES, 1)]
        assert client.listing(b"UIDL") == [(n, b"uidl-%d" % n) for n in (1, 2, 3)]
        assert list(client.bodies([b"RETR 1", b"RETR 2", b"RETR 3"])) == list(BODIES)
        client.command(b"TOP 1 1")
        assert client.read_body() == b"Subject: one\r\n\r\nfirst\r\n"
        client.command(b"DELE 1")
        client.command(b"RSET")
        client.command(b"DELE 2")
        assert client.listing(b"UIDL") == [(1, b"uidl-1"), (3, b"uidl-3")]
        client.command(b"QUIT")
        assert client.read_end() == b""
    server.settle()
    assert server.mailbox.uidls == [b"uidl-1", b"uidl-3"]
    assert server.sessions[0].is_over


def test_what_is_marked_stays_without_quit(server: RunningOddServer, certificates: Path) -> None:
    """RFC 1939 section 6: no QUIT, no UPDATE state."""
    with dial(server, certificates) as client:
        log_in(client)
        client.command(b"DELE 1")
    server.settle()
    assert len(server.mailbox.messages) == len(BODIES)


def test_poplib_reads_it(server: RunningOddServer, trust: ssl.SSLContext) -> None:
    """A client that others wrote finds its way: CAPA, STLS, UIDL, RETR, DELE, QUIT."""
    client = poplib.POP3("localhost", server.port, timeout=DEADLINE_S)
    assert {"STLS", "UIDL", "PIPELINING"} <= set(client.capa())
    client.stls(trust)
    client.user(LOGIN.user.decode())
    client.pass_(LOGIN.password.decode())
    assert client.uidl()[1] == [b"1 uidl-1", b"2 uidl-2", b"3 uidl-3"]
    assert client.retr(2)[1] == BODIES[1].splitlines()
    client.dele(2)
    client.quit()
    server.settle()
    assert server.mailbox.uidls == [b"uidl-1", b"uidl-3"]


@pytest.mark.parametrize("stls", [True, False])
@pytest.mark.parametrize("mechanism", ["PLAIN", "OAUTHBEARER", "XOAUTH2", "USER"])
def test_curl_logs_in(
    tmp_path: Path, certificates: Path, context: ssl.SSLContext, stls: bool, mechanism: str
) -> None:
    """curl gets a body over POP3S and STLS with every login that it knows."""
    mechanisms = () if mechanism == "USER" else (mechanism,)
    settings = OddSettings(context=context, stls=stls, mechanisms=mechanisms)
    is_bearer = mechanism in {"OAUTHBEARER", "XOAUTH2"}
    secret = LOGIN.token if is_bearer else LOGIN.password
    user = LOGIN.user.decode()
    lines = [f'oauth2-bearer = "{secret.decode()}"', f'user = "{user}:"']
    if not is_bearer:
        lines = [f'user = "{user}:{secret.decode()}"']
    (tmp_path / "curlrc").write_text("\n".join(lines))
    with running_odd_server(OddMailbox.of(*BODIES), settings=settings) as server:
        address = f"{'pop3' if stls else 'pop3s'}://localhost:{server.port}/2"
        arguments = ["-sS", "--ssl-reqd", "-K", str(tmp_path / "curlrc")]
        arguments += ["--cacert", str(certificates / "ca.pem")]
        done = run((find_program("curl"), *arguments, address))
        server.settle()
        assert done.stdout == BODIES[1]
        words = server.sessions[0].words
        assert (b"PASS" if mechanism == "USER" else b"AUTH") in words


@pytest.mark.parametrize(
    "name", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2"]
)
@pytest.mark.parametrize("is_right", [True, False])
def test_every_mechanism_takes_the_right_secret_only(
    name: str, is_right: bool, certificates: Path, context: ssl.SSLContext
) -> None:
    """RFC 5034: the library's own client gets in with the right secret and with no other."""
    bearer = name in {"OAUTHBEARER", "XOAUTH2"}
    right = LOGIN.token if bearer else LOGIN.password
    login = ClientLogin(
        LOGIN.user.decode(), Secret(right if is_right else b"wrong"), is_token=bearer
    )
    mechanism = client_mechanism(
        name, login, nonce="n" * 20, binding=BINDING, offers_plus=True, host="localhost", port=110
    )
    settings = OddSettings(context=context, stls=True, binding=BINDING, mechanisms=(name,))
    with running_odd_server(OddMailbox(), settings=settings) as server:
        with dial(server, certificates) as client:
            client.send(b"AUTH " + name.encode() + b"\r\n")
            reply, step = client.read_line(), mechanism.start()
            while reply.startswith(b"+ "):
                client.send(base64.b64encode(step.reveal() if step else b"") + b"\r\n")
                reply = client.read_line()
                if reply.startswith(b"+ "):
                    step = mechanism.step(base64.b64decode(reply[2:-2]))
            assert reply.startswith(b"+OK" if is_right else b"-ERR [AUTH]")
        server.settle()
    assert server.sessions[0].words == [b"STLS", b"AUTH"]


def test_it_records_what_was_clear_and_what_was_early(
    server: RunningOddServer, certificates: Path
) -> None:
    """`Heard`: with TLS or not, and whether the answer before it was still on its way."""
    with dial(server, certificates) as client:
        log_in(client)
        client.send(b"STAT\r\nNOOP\r\nNOOP\r\n")
        for _ in range(3):
            client.read_ok()
        client.command(b"QUIT")
    server.settle()
    heard = server.sessions[0].commands
    assert [command.line for command in heard if not command.tls] == [b"STLS"]
    assert [command.word for command in heard if command.early] == [b"NOOP", b"NOOP"]


def test_a_command_in_the_middle_of_a_body_is_early() -> None:
    """A client that does not wait for the end of an answer is found out."""
    body = b"x" * 20_000_000
    with running_odd_server(OddMailbox.of(body), settings=OddSettings(stls=True)) as server:
        with WireClient(Port(server.host, server.port)) as client:
            client.read_ok()
            log_in(client)
            client.command(b"RETR 1")
            client.send(b"NOOP\r\n")
            client.read_body()
            client.read_ok()
        server.settle()
    assert server.sessions[0].commands[-1].early


def test_what_comes_with_stls_is_no_command(server: RunningOddServer, certificates: Path) -> None:
    """RFC 2595 section 4: octets behind STLS in clear text are forgotten, and shown to the test."""
    with WireClient(Port(server.host, server.port)) as client:
        client.read_ok()
        client.send(b"STLS\r\nUSER mallory\r\n")
        client.read_ok()
        client.start_tls(certificates / "ca.pem")
        client.command(b"CAPA")
        client.read_body()
    server.settle()
    session = server.sessions[0]
    assert session.words == [b"STLS", b"CAPA"]
    assert session.behind_stls == b"USER mallory\r\n"


def test_a_handshake_that_the_client_ends_is_told(server: RunningOddServer) -> None:
    """A client that does not believe the certificate says so, and nothing else was heard."""
    with WireClient(Port(server.host, server.port)) as client:
        client.read_ok()
        client.command(b"STLS")
        with pytest.raises(ssl.SSLCertVerificationError):
            client.start_tls(Path(ssl.get_default_verify_paths().openssl_cafile or "/dev/null"))
    server.settle()
    assert "UNKNOWN_CA" in (server.sessions[0].tls_error or "")
    assert server.sessions[0].words == [b"STLS"]


async def test_it_runs_in_the_loop_of_the_test(mailbox: OddMailbox) -> None:
    """`async with` serves clients of the same loop, several at once."""
    async with OddServer(mailbox) as server:
        talks = [asyncio.open_connection(server.host, server.port) for _ in range(3)]
        for reader, writer in await asyncio.gather(*talks):
            assert (await reader.readline()).startswith(b"+OK")
            writer.write(b"QUIT\r\n")
            assert (await reader.read()) == b"+OK bye\r\n"
            writer.close()
            await writer.wait_closed()
        await server.settle()
    assert [session.words for session in server.sessions] == [[b"QUIT"]] * 3


async def test_leaving_it_ends_sessions(mailbox: OddMailbox) -> None:
    """A client that stays does not keep the server: the test goes on."""
    async with OddServer(mailbox, odd.greet_with(b"")) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        with pytest.raises(TimeoutError):
            await server.settle(0.001)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def test_what_an_oddity_raises_reaches_the_test(mailbox: OddMailbox) -> None:
    """A mistake in a test's oddity is an error of the test and no odd silence."""

    class Mistake(Oddity):
        def heard(self, _session: OddSession, command: Heard, /) -> None:
            raise ZeroDivisionError(command.line)

    def use_it() -> None:
        with running_odd_server(mailbox, Mistake()) as server:
            with WireClient(Port(server.host, server.port)) as client:
                client.read_ok()
                client.send(b"CAPA\r\n")
                client.read_end()
            server.settle()

    with pytest.raises(ZeroDivisionError):
        use_it()


def test_a_deaf_server_stands_still_with_a_client_that_only_writes() -> None:
    """RFC 2449 section 6.6: it reads nothing before its answer is out, and buffers are small."""
    settings = OddSettings(hears_while_answering=False, buffer_octets=4096)
    with (
        running_odd_server(OddMailbox.of(b"x" * 100_000), settings=settings) as server,
        WireClient(Port(server.host, server.port), timeout_s=1.0) as client,
    ):
        client.read_ok()
        log_in(client)
        with pytest.raises(TimeoutError):
            client.send(b"RETR 1\r\n" * 2_000_000)
