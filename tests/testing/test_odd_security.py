"""The oddities of TLS and SASL show on the wire what their docstrings say."""

import base64
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adversity.loopback import Client
from tests.harness.client import WireClient
from tests.harness.programs import Port
from tests.server.certificates import certificates, context, trust
from tests.testing.talking import BODIES, FIRST, GREETING, LOGIN, UNKNOWN, talk

from mailkeep.sasl.client import Login as ClientLogin
from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.sasl.scram_client import ScramClient
from mailkeep.site import Endpoint
from mailkeep.testing.odd_server import (
    Action,
    Login,
    Oddity,
    OddMailbox,
    OddServer,
    OddSettings,
    running_odd_server,
)
from mailkeep.testing.odd_server import (
    oddities as odd,
)
from mailkeep.values import Secret

__all__ = ["certificates", "context", "trust"]

Make = Callable[[], Oddity]


@pytest.mark.parametrize(
    ("make", "first"),
    [
        (lambda: odd.scram_iterations(b"1"), rb"r=cccc.+,s=.+,i=1"),
        (lambda: odd.scram_iterations(b"1" + b"0" * 30), rb"r=cccc.+,s=.+,i=10{30}"),
        (odd.scram_foreign_nonce, rb"r=foreign,s=.+,i=4096"),
        (odd.wrong_server_signature, rb"r=cccc.+,s=.+,i=4096"),
    ],
)
def test_scram_asks_for_odd_things(make: Make, first: bytes) -> None:
    """S-59: the first message, changed where it is said to be and nowhere else."""
    client_first = base64.b64encode(b"n,,n=alice,r=cccc")
    with running_odd_server(OddMailbox(), make()) as server:
        received = talk(server, b"AUTH SCRAM-SHA-256 " + client_first + b"\r\n*\r\n")
    challenge = base64.b64decode(received.splitlines()[1].removeprefix(b"+ "))
    assert re.fullmatch(first, challenge)


@pytest.mark.parametrize(
    ("make", "last"),
    [
        (Oddity, rb"\+ \S{60,} [+]OK"),
        (odd.wrong_server_signature, rb"\+ \S{60,} [+]OK"),
        (odd.without_server_signature, rb"\+OK"),
    ],
)
def test_scram_ends_with_a_proof_or_without(make: Make, last: bytes) -> None:
    """S-59: the honest signature, a wrong one, none; the client is let in each time."""
    login = ClientLogin("alice", Secret(Login().password))
    mechanism = ScramClient(login, "cccc", plus=False, offers_plus=False)
    with running_odd_server(OddMailbox(), make()) as server:
        with WireClient(Port(server.host, server.port)) as client:
            client.read_ok()
            client.send(b"AUTH SCRAM-SHA-256 " + encoded(mechanism.start()) + b"\r\n")
            first = base64.b64decode(client.read_line().removeprefix(b"+ "))
            client.send(encoded(mechanism.step(first)) + b"\r\n")
            end = client.read_line()
            if end.startswith(b"+ "):
                client.send(b"\r\n")
                proof = base64.b64decode(end.removeprefix(b"+ "))
                end = end.rstrip() + b" " + client.read_line()
                if make is Oddity:
                    mechanism.step(proof)
                    mechanism.finish()
                else:
                    with pytest.raises(SaslFailed, match="signature"):
                        mechanism.step(proof)
        server.settle()
    assert re.match(last, end)


def encoded(secret: Secret) -> bytes:
    return base64.b64encode(secret.reveal())


@pytest.fixture
def settings(context: ssl.SSLContext) -> OddSettings:
    return OddSettings(context=context, stls=True)


def test_text_is_injected_before_the_handshake(settings: OddSettings, certificates: Path) -> None:
    """S-17: +OK and a second reply in one segment, in the clear; then a handshake that is good."""
    with running_odd_server(OddMailbox(), odd.inject_behind_stls(), settings=settings) as server:
        with WireClient(Port(server.host, server.port)) as client:
            client.read_ok()
            client.send(b"STLS\r\n")
            assert client.read_line() == b"+OK begin\r\n"
            assert client.read_line() == b"+OK injected\r\n"
            client.start_tls(certificates / "ca.pem")
            client.command(b"QUIT")
        server.settle()
    assert server.sessions[0].words == [b"STLS", b"QUIT"]


@pytest.mark.parametrize("stls", [True, False])
@pytest.mark.parametrize(
    ("make", "expected"),
    [(odd.clear_text_instead_of_tls, GREETING), (odd.hang_up_instead_of_tls, b"")],
)
def test_there_is_no_handshake(
    context: ssl.SSLContext, stls: bool, make: Make, expected: bytes
) -> None:
    """S-17: clear text, or nothing, where a handshake belongs; and nothing is heard any more."""
    settings = OddSettings(context=context, stls=stls)
    with running_odd_server(OddMailbox(), make(), settings=settings) as server:
        received = talk(server, b"STLS\r\nUSER alice\r\n" if stls else b"USER alice\r\n")
        server.settle()
    assert received == (GREETING + b"+OK begin\r\n" if stls else b"") + expected
    assert server.sessions[0].words == ([b"STLS"] if stls else [])


def test_stls_is_stripped(settings: OddSettings) -> None:
    """S-17: not in CAPA, not known."""
    with running_odd_server(OddMailbox(), odd.strip_stls(), settings=settings) as server:
        received = talk(server, b"CAPA\r\nSTLS\r\n")
    assert b"\r\nSTLS" not in received
    assert received.endswith(b".\r\n" + UNKNOWN)


def test_capabilities_differ_in_tls(settings: OddSettings, certificates: Path) -> None:
    """S-17: what was listed in the clear is not what is listed in TLS."""
    oddity = odd.capabilities_in_clear(b"STLS", b"SASL LOGIN")
    with running_odd_server(OddMailbox(), oddity, settings=settings) as server:
        with WireClient(Port(server.host, server.port)) as client:
            client.read_ok()
            client.command(b"CAPA")
            assert client.read_body() == b"STLS\r\nSASL LOGIN\r\n"
            client.command(b"STLS")
            client.start_tls(certificates / "ca.pem")
            client.command(b"CAPA")
            assert b"PIPELINING" in client.read_body()
        server.settle()


@pytest.mark.parametrize("how", [Action.CLOSE, Action.CUT, Action.RESET])
async def test_tls_ends_as_it_is_told(
    settings: OddSettings, trust: ssl.SSLContext, how: Action
) -> None:
    """S-16: in the middle of a body, with close_notify, with FIN alone, with RST."""
    oddities = odd.cut_body(1, 5, how), odd.one_octet_a_segment()
    async with OddServer(OddMailbox.of(*BODIES), *oddities, settings=settings) as server:
        client = Client(Endpoint(server.host, server.port), trust, None)
        await client.connect()
        assert await client.read_line() == GREETING
        assert await client.ask(b"STLS") == b"+OK begin\r\n"
        await client.start_tls()
        await client.send(LOGIN + b"RETR 1\r\n")
        received = await client.read_to_end()
        client.close()
        await server.settle()
    assert received.endswith(FIRST[:20])
    assert client.saw_close_notify is (how is Action.CLOSE)
    assert client.was_reset is (how is Action.RESET)
