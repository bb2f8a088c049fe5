"""Every wait for a client has a deadline, and what is no wait for the client has none."""

import asyncio
import ssl

from tests.server.parts import (
    ALICE,
    PASSWORD,
    HeldStore,
    OnePassword,
    Recorder,
    full_store,
    make_meeting,
)
from tests.server.talking import Talk, logged_in, settle
from tests.tls.peer import hello_of

from mailkeep.events import EventType
from mailkeep.maildrop.memory import MemoryStore
from mailkeep.pop3 import Security
from mailkeep.site import Limits

LIMITS = Limits()


async def test_an_idle_session_is_closed_without_a_word_and_without_update() -> None:
    """RFC 1939 section 3: on expiry close, remove no messages, send no response."""
    store = full_store()
    before = store.uidls(ALICE)
    talk = await logged_in(make_meeting(store))
    assert (await talk.say(b"DELE 1\r\n")).startswith(b"+OK")
    await asyncio.sleep(LIMITS.idle_s - 1)
    assert not talk.is_closed()
    await asyncio.sleep(1)
    await settle()
    assert talk.is_closed()
    assert talk.heard() == b""
    assert store.uidls(ALICE) == before


async def test_any_whole_command_resets_the_idle_time() -> None:
    """RFC 1939 section 3: any command resets the timer, a refused one as well."""
    talk = await logged_in(make_meeting(full_store()))
    for command in (b"NOOP\r\n", b"RETR 99\r\n", b"STAT\r\n"):
        await asyncio.sleep(LIMITS.idle_s - 1)
        assert await talk.say(command)
    assert not talk.is_closed()


async def test_half_a_command_does_not_reset_the_idle_time() -> None:
    """RFC 1939 section 3 speaks of a command; octets that become none hold no maildrop."""
    talk = await logged_in(make_meeting(full_store()))
    for _ in range(LIMITS.idle_s):
        talk.transport.send(b"N")
        await asyncio.sleep(1)
    await settle()
    assert talk.is_closed()


async def test_the_time_of_a_command_is_not_idle_time() -> None:
    """RFC 1939 section 3: the timer measures how long the client says nothing, not our work."""
    store = HeldStore(full_store())
    store.committing = asyncio.Event()
    talk = await logged_in(make_meeting(store))
    talk.transport.send(b"DELE 1\r\nQUIT\r\n")
    await asyncio.sleep(LIMITS.idle_s * 3)
    assert not talk.is_closed()
    store.committing.set()
    assert (await talk.say()).endswith(b"+OK bye\r\n")


async def test_octets_do_not_extend_the_time_for_credentials() -> None:
    """One octet a second holds no connection longer than whole credentials may take."""
    meeting = make_meeting(full_store())
    talk = Talk(meeting)
    for place in range(LIMITS.credentials_s - 1):
        talk.transport.send((b"USER alice\r\n" * 9)[place : place + 1])
        await asyncio.sleep(1)
    assert not talk.is_closed()
    talk.transport.send(b"CAPA\r\n")
    await asyncio.sleep(1)
    await settle()
    assert talk.is_closed()


async def test_a_dribbled_sasl_answer_does_not_extend_the_time_for_credentials() -> None:
    """The middle of an AUTH (RFC 5034 section 4) is still the wait for a login."""
    talk = Talk(make_meeting(full_store()))
    assert (await talk.say(b"AUTH PLAIN\r\n")).endswith(b"+ \r\n")
    await asyncio.sleep(LIMITS.credentials_s - 1)
    talk.transport.send(b"AGFs")
    assert not talk.is_closed()
    await asyncio.sleep(1)
    await settle()
    assert talk.is_closed()


async def test_a_refused_login_starts_the_time_for_credentials_anew() -> None:
    """A person who mistyped has the same time again; the time of the check is not his."""
    check = OnePassword()
    check.held = asyncio.Event()
    talk = Talk(make_meeting(full_store(), check=check))
    talk.transport.send(b"USER alice\r\nPASS wrong\r\n")
    await asyncio.sleep(LIMITS.credentials_s * 5)
    assert not talk.is_closed()
    check.held.set()
    assert b"-ERR [AUTH]" in await talk.say()
    await asyncio.sleep(LIMITS.credentials_s - 1)
    assert not talk.is_closed()
    await asyncio.sleep(1)
    await settle()
    assert talk.is_closed()


async def test_opening_a_maildrop_does_not_count_against_the_login() -> None:
    """A big maildrop has its own time, from the credentials on."""
    store = HeldStore(full_store())
    store.opening = asyncio.Event()
    talk = Talk(make_meeting(store, limits=Limits(credentials_s=10)))
    talk.transport.send(b"USER alice\r\nPASS %b\r\n" % PASSWORD)
    await asyncio.sleep(LIMITS.opening_s - 1)
    store.opening.set()
    assert (await talk.say()).endswith(b"+OK the maildrop is open\r\n")


async def test_opening_that_takes_too_long_is_sys_temp_and_the_connection_may_try_again() -> None:
    """RFC 3206 section 4: the system is the problem, so the client keeps its password."""
    sink, store = Recorder(), HeldStore(full_store())
    store.opening = asyncio.Event()
    talk = Talk(make_meeting(store, sink=sink))
    await talk.say(b"USER alice\r\n")
    talk.transport.send(b"PASS %b\r\n" % PASSWORD)
    await asyncio.sleep(LIMITS.opening_s)
    assert (await talk.say()).startswith(b"-ERR [SYS/TEMP] ")
    assert len(sink.of(EventType.MAILDROP_UNAVAILABLE)) == 1
    store.opening = None
    assert (await talk.log_in()).startswith(b"+OK ")


async def test_a_client_that_says_no_hello_is_gone_after_the_handshake_time(
    context: ssl.SSLContext,
) -> None:
    """RFC 8314 section 3.3: nothing but a handshake may happen, and it has an end."""
    sink = Recorder()
    talk = Talk(make_meeting(full_store(), context=context, sink=sink), Security.TLS)
    await asyncio.sleep(LIMITS.tls_handshake_s - 1)
    assert not talk.is_closed()
    await asyncio.sleep(1)
    await settle()
    assert talk.is_closed()
    assert talk.heard() == b""
    assert sink.reasons == ["the TLS handshake took too long"]


async def test_a_dribbled_hello_does_not_extend_the_handshake_time(
    context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """Octets of a ClientHello are no handshake."""
    talk = Talk(make_meeting(full_store(), context=context), Security.TLS)
    hello = hello_of(trust, "localhost")
    for place in range(LIMITS.tls_handshake_s):
        assert not talk.is_closed()
        talk.transport.send(hello[place : place + 1])
        await asyncio.sleep(1)
    await settle()
    assert talk.is_closed()


async def test_the_handshake_after_stls_has_the_same_time(context: ssl.SSLContext) -> None:
    """RFC 2595 section 4: after +OK comes TLS, and not for ever."""
    talk = Talk(make_meeting(full_store(), context=context), Security.STLS_FIRST)
    assert (await talk.say(b"STLS\r\n")).endswith(b"+OK begin TLS\r\n")
    await asyncio.sleep(LIMITS.tls_handshake_s - 1)
    assert not talk.is_closed()
    await asyncio.sleep(1)
    await settle()
    assert talk.is_closed()
    assert talk.heard() == b""


async def test_a_limit_of_zero_is_no_limit() -> None:
    """0 switches a limit off."""
    limits = Limits(idle_s=0, credentials_s=0, opening_s=0)
    talk = Talk(make_meeting(full_store(), limits=limits))
    await asyncio.sleep(1_000_000)
    assert (await talk.log_in()).startswith(b"+OK ")
    await asyncio.sleep(1_000_000)
    assert await talk.say(b"NOOP\r\n") == b"+OK done\r\n"


async def test_quit_before_login_opens_and_removes_nothing() -> None:
    """RFC 1939 section 4: QUIT in AUTHORIZATION does not enter UPDATE."""
    store = HeldStore(MemoryStore())
    talk = Talk(make_meeting(store))
    assert await talk.say() == b"+OK POP3 ready\r\n"
    assert await talk.say(b"QUIT\r\n") == b"+OK bye\r\n"
    assert talk.is_closed()
    assert talk.transport.lost.result() == "closed"
    assert store.steps == []
