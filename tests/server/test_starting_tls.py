"""STLS (RFC 2595 section 4) and TLS from the first octet: nothing survives from before."""

import asyncio
import ssl
from pathlib import Path

import pytest
from tests.server.parts import PASSWORD, HeldStore, OnePassword, Recorder, full_store, make_meeting
from tests.server.talking import Talk, settle
from tests.tls.peer import MemoryClient, hello_of

from mailkeep.events import EventType
from mailkeep.pop3 import BEHIND_STLS, Security
from mailkeep.tls import server_context

PLAIN = [Security.STLS_FIRST, Security.CLEARTEXT_ALLOWED]
BEGIN = b"+OK begin TLS\r\n"


class Encrypted:
    """TLS over a talk."""

    def __init__(self, talk: Talk, trust: ssl.SSLContext) -> None:
        self._talk = talk
        self._client = MemoryClient(trust, "localhost")

    async def say(self, plaintext: bytes = b"", *, close: bool = False) -> bytes:
        """Send, with close_notify behind it if asked, and return what comes."""
        self._client.plaintext = b""
        self._client.advance()
        octets = self._client.output() + (self._client.send(plaintext) if plaintext else b"")
        octets += self._client.close() if close else b""
        while True:
            answer = await self._talk.say(octets)
            self._client.feed(answer)
            octets = self._client.output()
            if not octets:
                return self._client.plaintext

    @property
    def is_established(self) -> bool:
        """Whether the handshake is over for the client."""
        return self._client.established

    @property
    def is_closed_in_order(self) -> bool:
        """Whether close_notify came (RFC 8446 section 6.1)."""
        return self._client.closed_by_server


async def shake_hands(talk: Talk, trust: ssl.SSLContext) -> tuple[Encrypted, bytes]:
    encrypted = Encrypted(talk, trust)
    return encrypted, await encrypted.say()


def a_client_of(certificates: Path, newest: ssl.TLSVersion) -> ssl.SSLContext:
    trust = ssl.create_default_context(cafile=certificates / "ca.pem")
    trust.maximum_version = newest
    return trust


async def test_no_pop3_before_the_handshake_and_the_greeting_after_it(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """RFC 8314 section 3.3: implicit TLS; the greeting names no product."""
    talk = Talk(make_meeting(full_store(), context=context), Security.TLS)
    assert await talk.say() == b""
    _, greeting = await shake_hands(talk, trust)
    assert greeting == b"+OK POP3 ready\r\n"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_greeting_comes_with_the_end_of_the_handshake(
    certificates: Path, version: ssl.TLSVersion
) -> None:
    """A write is a call of the kernel and a packet: two for a whole handshake, with all in it."""
    context = server_context(certificates / "server.pem", certificates / "server.key", version)
    context.num_tickets = 2
    trust = a_client_of(certificates, version)
    talk = Talk(make_meeting(full_store(), context=context), Security.TLS)
    await talk.say()
    _, greeting = await shake_hands(talk, trust)
    assert greeting == b"+OK POP3 ready\r\n"
    assert len(talk.transport.writes) == 2


async def test_the_last_answer_comes_with_close_notify(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """As the greeting with the handshake."""
    talk = Talk(make_meeting(full_store(), context=context), Security.TLS)
    encrypted, _ = await shake_hands(talk, trust)
    await encrypted.say(b"USER alice\r\nPASS %b\r\n" % PASSWORD)
    writes = len(talk.transport.writes)
    assert await encrypted.say(b"QUIT\r\n") == b"+OK bye\r\n"
    assert encrypted.is_closed_in_order
    assert len(talk.transport.writes) == writes + 1


async def test_after_stls_a_handshake_ends_although_nothing_is_said(
    context: ssl.SSLContext, certificates: Path
) -> None:
    """TLS 1.2 ends with the server's Finished (RFC 5246 section 7.3), and no greeting follows."""
    trust = a_client_of(certificates, ssl.TLSVersion.TLSv1_2)
    talk = Talk(make_meeting(full_store(), context=context), Security.STLS_FIRST)
    await talk.say(b"STLS\r\n")
    encrypted, greeting = await shake_hands(talk, trust)
    assert greeting == b""
    assert encrypted.is_established
    assert (await encrypted.say(b"CAPA\r\n")).startswith(b"+OK ")


async def test_quit_ends_with_close_notify(context: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    """RFC 8446 section 6.1: so the client knows that nothing was cut off."""
    talk = Talk(make_meeting(full_store(), context=context), Security.TLS)
    encrypted, _ = await shake_hands(talk, trust)
    assert await encrypted.say(b"QUIT\r\n") == b"+OK bye\r\n"
    assert encrypted.is_closed_in_order


@pytest.mark.parametrize("security", PLAIN)
async def test_nothing_may_wait_behind_stls(security: Security) -> None:
    """RFC 2595 section 4, CVE-2011-0411: not an octet, whole line or part of one."""
    for behind in (b"\r", b"N", b"USER mallory", b"CAPA\r\n", b"\x16\x03\x01"):
        check = OnePassword()
        talk = Talk(make_meeting(full_store(), check=check), security)
        await talk.say()
        answer = await talk.say(b"STLS\r\n" + behind)
        assert answer.startswith(b"-ERR "), behind
        assert answer.count(b"\r\n") == 1
        talk.transport.finish()
        await settle()
        assert talk.is_closed()


async def test_segments_that_arrived_behind_stls_are_never_interpreted(
    context: ssl.SSLContext,
) -> None:
    """They may wait in another buffer than the line, wherever a turn ends (RFC 2595 section 4)."""
    refused = 0
    for turns in range(8):
        for commands in range(60, 66):
            check = OnePassword()
            meeting = make_meeting(full_store(), check=check, context=context)
            talk = Talk(meeting, Security.CLEARTEXT_ALLOWED)
            await talk.say()
            talk.transport.send(b"CAPA\r\n" * commands + b"STLS\r\n")
            for _ in range(turns):
                await asyncio.sleep(0)
            talk.transport.send(b"USER alice\r\nPASS %b\r\n" % PASSWORD)
            refused += (await talk.say()).endswith(BEHIND_STLS.wire())
            talk.transport.finish()
            await settle()
            assert talk.is_closed()
            assert check.asked == []
    assert refused == 8  # what came before the connection's task had its turn


async def test_a_hello_that_did_not_wait_for_the_answer_is_refused(trust: ssl.SSLContext) -> None:
    """RFC 2595 section 4: the client must wait for +OK; who does not is not a client of ours."""
    talk = Talk(make_meeting(full_store()), Security.STLS_FIRST)
    await talk.say()
    answer = await talk.say(b"STLS\r\n" + hello_of(trust, "localhost"))
    assert answer.startswith(b"-ERR ")


@pytest.mark.parametrize("plaintext", [b"CAPA\r\n", b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 9])
async def test_plain_text_after_the_answer_to_stls_closes(
    context: ssl.SSLContext, plaintext: bytes
) -> None:
    """What follows +OK is TLS or the end; it is never read as POP3."""
    talk = Talk(make_meeting(full_store(), context=context), Security.STLS_FIRST)
    assert (await talk.say(b"STLS\r\n")).endswith(BEGIN)
    assert await talk.say(plaintext) in {b"", bytes((21, 3, 3, 0, 2, 2, 50))}
    assert talk.is_closed()


async def test_a_name_from_before_stls_is_forgotten(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """RFC 2595 section 4: what was learnt before the handshake must be dropped."""
    check = OnePassword()
    meeting = make_meeting(full_store(), check=check, context=context)
    talk = Talk(meeting, Security.CLEARTEXT_ALLOWED)
    assert (await talk.say(b"USER alice\r\nSTLS\r\n")).endswith(BEGIN)
    encrypted, _ = await shake_hands(talk, trust)
    assert (await encrypted.say(b"PASS %b\r\n" % PASSWORD)).startswith(b"-ERR ")
    assert check.asked == []


async def test_bad_commands_from_before_stls_are_forgotten(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """The session starts from nothing, the count of bad commands as well."""
    talk = Talk(make_meeting(full_store(), context=context), Security.STLS_FIRST)
    await talk.say(b"FOO\r\n" * 9)
    await talk.say(b"STLS\r\n")
    encrypted, _ = await shake_hands(talk, trust)
    assert (await encrypted.say(b"FOO\r\n" * 9)).count(b"-ERR ") == 9
    assert not talk.is_closed()


async def test_there_is_no_second_greeting_and_capabilities_change(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """RFC 2595 section 4: no greeting after the handshake; STLS is gone, a login is offered."""
    talk = Talk(make_meeting(full_store(), context=context), Security.STLS_FIRST)
    await talk.say()
    before = (await talk.say(b"CAPA\r\n")).splitlines()
    assert b"STLS" in before
    assert not [line for line in before if line.startswith((b"USER", b"SASL "))]
    await talk.say(b"STLS\r\n")
    encrypted, greeting = await shake_hands(talk, trust)
    assert greeting == b""
    after = (await encrypted.say(b"CAPA\r\n")).splitlines()
    assert b"STLS" not in after
    assert b"USER" in after
    assert [line for line in after if line.startswith(b"SASL ") and line.endswith(b" PLAIN")]


async def test_stls_twice_and_stls_after_login_are_refused(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """RFC 2595 section 4: only in AUTHORIZATION, and only once."""
    meeting = make_meeting(full_store(), context=context)
    talk = Talk(meeting, Security.STLS_FIRST)
    await talk.say(b"STLS\r\n")
    encrypted, _ = await shake_hands(talk, trust)
    assert (await encrypted.say(b"STLS\r\n")).startswith(b"-ERR ")
    clear = Talk(meeting)
    await clear.log_in()
    assert (await clear.say(b"STLS\r\n")).startswith(b"-ERR ")
    assert (await clear.say(b"NOOP\r\n")).startswith(b"+OK ")


@pytest.mark.parametrize(
    "login",
    [b"USER alice\r\nPASS " + PASSWORD, b"AUTH PLAIN AGFsaWNlAGFsaWNl", b"AUTH PLAIN", b"AUTH"],
)
async def test_nobody_logs_in_before_stls(login: bytes) -> None:
    """RFC 8314 section 4.1: no password in clear; it is not even looked at."""
    check, store = OnePassword(), HeldStore(full_store())
    talk = Talk(make_meeting(store, check=check), Security.STLS_FIRST)
    await talk.say()
    answer = await talk.say(login + b"\r\n")
    assert {line[:5] for line in answer.splitlines()} == {b"-ERR "}
    assert check.asked == []


async def test_a_failed_handshake_closes(context: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    """RFC 2595 section 4: there is no way back to clear text."""
    sink = Recorder()
    talk = Talk(make_meeting(full_store(), context=context, sink=sink), Security.STLS_FIRST)
    await talk.say(b"STLS\r\n")
    hello = bytearray(hello_of(trust, "localhost"))
    await talk.say(bytes(hello))
    await talk.say(b"\x17\x03\x03\x00\x20" + b"\xaa" * 32)
    assert talk.is_closed()
    assert len(sink.of(EventType.CONNECTION_BROKEN)) == 1


async def test_another_application_protocol_is_refused(
    context: ssl.SSLContext, certificates: object
) -> None:
    """RFC 7301 section 3.2: no_application_protocol, before any octet of ours (ALPACA)."""
    del certificates
    browser = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    browser.set_alpn_protocols(["h2", "http/1.1"])
    talk = Talk(make_meeting(full_store(), context=context), Security.TLS)
    answer = await talk.say(hello_of(browser, "localhost"))
    assert answer == bytes((21, 3, 3, 0, 2, 2, 120))
    assert talk.is_closed()


async def test_truncated_tls_before_quit_removes_nothing(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """RFC 8446 section 6.1: FIN without close_notify is an attacker's as easily as a client's."""
    store = HeldStore(full_store())
    talk = Talk(make_meeting(store, context=context), Security.TLS)
    encrypted, _ = await shake_hands(talk, trust)
    await encrypted.say(b"USER alice\r\nPASS %b\r\nDELE 1\r\nQUI" % PASSWORD)
    talk.transport.finish()
    await settle()
    assert talk.is_closed()
    assert store.steps == ["close"]


async def test_commands_before_the_clients_close_notify_are_answered_then_all_is_closed(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """RFC 8446 section 6.1: it ends one direction only, and needs no FIN to be believed."""
    store = HeldStore(full_store())
    talk = Talk(make_meeting(store, context=context), Security.TLS)
    encrypted, _ = await shake_hands(talk, trust)
    login = b"USER alice\r\nPASS %b\r\nDELE 1\r\nNOOP\r\n" % PASSWORD
    answer = await encrypted.say(login, close=True)
    assert answer.endswith(b"+OK done\r\n")
    assert encrypted.is_closed_in_order
    assert talk.is_closed()
    assert store.steps == ["close"]


@pytest.mark.parametrize("security", [Security.TLS, *PLAIN])
@pytest.mark.parametrize("verb", [b"GET / HTTP/1.1", b"POST /x HTTP/1.0", b"head / HTTP/1.1"])
async def test_http_closes_at_once_and_without_a_word(
    context: ssl.SSLContext, trust: ssl.SSLContext, security: Security, verb: bytes
) -> None:
    """A browser that somebody led here must get nothing that it could take for an answer."""
    talk = Talk(make_meeting(full_store(), context=context), security)
    request = verb + b"\r\nHost: x\r\nUSER alice\r\n"
    if security is Security.TLS:
        encrypted, _ = await shake_hands(talk, trust)
        assert await encrypted.say(request) == b""
    else:
        await talk.say()
        assert await talk.say(request) == b""
    assert talk.is_closed()


async def test_http_after_login_closes_at_once_too() -> None:
    """The same peer, and the same danger."""
    store = HeldStore(full_store())
    talk = Talk(make_meeting(store))
    await talk.log_in()
    await talk.say(b"DELE 1\r\n")
    assert await talk.say(b"GET /\r\nQUIT\r\n") == b""
    assert talk.is_closed()
    assert store.steps == ["close"]
