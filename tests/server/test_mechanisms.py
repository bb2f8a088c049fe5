"""AUTH from its first word to its last (RFC 5034 section 4), for each mechanism."""

import base64
import json
from collections.abc import Sequence

import pytest
from scramp import ScramClient  # type: ignore[import-untyped]  # ships no types
from tests.server.parts import (
    PASSWORD,
    TOKEN,
    OnePassword,
    OpenDoor,
    Recorder,
    full_store,
    make_meeting,
)
from tests.server.talking import Talk

from mailkeep.accounts import CheckUnavailable, Claim, Identified, ScramCredentials
from mailkeep.defence import Welcome
from mailkeep.defence.seam import Turning
from mailkeep.events import EventType
from mailkeep.server import Offers

REFUSED = b"-ERR [AUTH] login refused\r\n"
BEARER = b"n,a=alice,\x01auth=Bearer %b\x01\x01"
XOAUTH2 = b"user=alice\x01auth=Bearer %b\x01\x01"


def encoded(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def decoded(challenge: bytes) -> bytes:
    assert challenge.startswith(b"+ ")
    return base64.b64decode(challenge[2:])


async def begun(**parts: object) -> Talk:
    talk = Talk(make_meeting(full_store(), **parts))  # type: ignore[arg-type]  # passed on
    await talk.say()
    return talk


def scram(password: bytes, mechanisms: Sequence[str] = ("SCRAM-SHA-256",)) -> ScramClient:
    return ScramClient(list(mechanisms), "alice", password.decode())


async def proof_sent(talk: Talk, client: ScramClient) -> bytes:
    """Begin a SCRAM exchange and return what the server says to the proof."""
    first = client.get_client_first().encode()
    answer = await talk.say(b"AUTH SCRAM-SHA-256 %b\r\n" % encoded(first))
    client.set_server_first(decoded(answer).decode())
    return await talk.say(encoded(client.get_client_final().encode()) + b"\r\n")


async def test_scram_proves_both_sides() -> None:
    """RFC 5802 section 3: the server's last word comes before +OK, and shows that it knows too."""
    talk = await begun()
    client = scram(PASSWORD)
    client.set_server_final(decoded(await proof_sent(talk, client)).decode())
    assert (await talk.say(b"\r\n")).startswith(b"+OK ")
    assert (await talk.say(b"STAT\r\n")).startswith(b"+OK 4 ")


async def test_a_wrong_proof_is_refused_like_a_wrong_password() -> None:
    """The exchange goes on to its end, so that nothing is learnt from where it stops."""
    door, sink = OpenDoor(), Recorder()
    talk = await begun(door=door, sink=sink)
    assert await proof_sent(talk, scram(b"another password")) == REFUSED
    assert door.ends == ["fail"]
    assert sink.of(EventType.LOGIN_REFUSED)[0]["mechanism"] == "SCRAM-SHA-256"


async def test_a_right_proof_that_the_door_refuses_gets_no_server_signature() -> None:
    """The signature would say that the password was right."""
    door = OpenDoor()
    door.welcome = Welcome(Turning.NEW_COUNTRY, familiar=False)
    talk = await begun(door=door)
    assert await proof_sent(talk, scram(PASSWORD)) == REFUSED


async def test_a_client_that_does_not_take_the_signature_is_not_let_in() -> None:
    """RFC 5034 section 4: it cancels when the server could not prove itself."""
    talk = await begun()
    await proof_sent(talk, scram(PASSWORD))
    assert (await talk.say(b"*\r\n")).startswith(b"-ERR ")
    assert (await talk.say(b"STAT\r\n")).startswith(b"-ERR ")
    assert (await talk.log_in()).startswith(b"+OK ")


@pytest.mark.parametrize(("mechanism", "form"), [("OAUTHBEARER", BEARER), ("XOAUTH2", XOAUTH2)])
async def test_a_good_token_lets_in(mechanism: str, form: bytes) -> None:
    """RFC 7628 section 3.1."""
    talk = await begun(offers=Offers(tokens=True))
    line = b"AUTH %b %b\r\n" % (mechanism.encode(), encoded(form % TOKEN))
    assert (await talk.say(line)).startswith(b"+OK ")


async def test_a_bad_token_is_explained_before_it_is_refused() -> None:
    """RFC 7628 section 3.2.3: a challenge with JSON, a dummy answer, then the error."""
    door = OpenDoor()
    talk = await begun(offers=Offers(tokens=True), door=door)
    answer = await talk.say(b"AUTH OAUTHBEARER %b\r\n" % encoded(BEARER % b"bad"))
    assert json.loads(decoded(answer))["status"] == "invalid_token"
    assert await talk.say(b"AQ==\r\n") == REFUSED
    assert door.ends == ["fail"]


async def test_cancelling_the_explanation_does_not_give_another_guess() -> None:
    """Three refusals end a connection however the client takes them."""
    talk = await begun(offers=Offers(tokens=True))
    for _ in range(3):
        await talk.say(b"AUTH OAUTHBEARER %b\r\n" % encoded(BEARER % b"bad"))
        await talk.say(b"*\r\n")
    assert await talk.say(b"AUTH OAUTHBEARER %b\r\n" % encoded(BEARER % TOKEN)) == b""


async def test_tokens_are_not_offered_where_none_is_good() -> None:
    """What is advertised works, and what is not does not."""
    talk = await begun()
    assert b"OAUTHBEARER" not in await talk.say(b"CAPA\r\n")
    line = b"AUTH OAUTHBEARER %b\r\n" % encoded(BEARER % TOKEN)
    assert (await talk.say(line)).startswith(b"-ERR unknown mechanism")


async def test_scram_is_not_offered_where_nobody_could_use_it() -> None:
    """What is advertised works: without any account's keys every exchange would fail."""
    check = OnePassword()
    check.has_scram = False
    talk = await begun(check=check)
    assert b"\r\nSASL PLAIN\r\n" in await talk.say(b"CAPA\r\n")
    assert (await talk.say(b"AUTH SCRAM-SHA-256\r\n")).startswith(b"-ERR unknown mechanism")


async def test_external_needs_a_certificate() -> None:
    """RFC 4422 appendix A: without one it is not offered."""
    talk = await begun()
    assert b"EXTERNAL" not in await talk.say(b"CAPA\r\n")
    assert (await talk.say(b"AUTH EXTERNAL =\r\n")).startswith(b"-ERR unknown mechanism")


async def test_the_language_lasts_over_the_login() -> None:
    """RFC 6856 section 3: LANG is good in AUTHORIZATION and in TRANSACTION."""
    talk = await begun()
    assert b"\r\nLANG\r\n" in await talk.say(b"CAPA\r\n")
    listed = await talk.say(b"LANG\r\n")
    assert listed.splitlines()[1:] == [b"en English", b"de Deutsch", b"."]
    assert (await talk.say(b"LANG de-AT\r\n")).startswith(b"+OK de ")
    assert b"nicht in diesem Zustand" in await talk.say(b"STAT\r\n")
    await talk.say(b"USER alice\r\n")
    answer = await talk.say(b"PASS %b\r\n" % PASSWORD)
    assert answer == b"+OK das Postfach ist offen\r\n"
    assert (await talk.say(b"LANG *\r\n")).startswith(b"+OK en ")
    assert await talk.say(b"NOOP\r\n") == b"+OK done\r\n"
    assert (await talk.say(b"LANG tlh\r\n")).startswith(b"-ERR ")


async def test_utf8_after_login_changes_nothing() -> None:
    """Outlook says it there; RFC 6856 section 2 has it before login."""
    for utf8 in (False, True):
        talk = await begun(utf8=utf8)
        await talk.log_in()
        assert (await talk.say(b"UTF8\r\n")).startswith(b"+OK ")


async def test_utf8_is_offered_only_where_it_is_set() -> None:
    """RFC 6856 section 2.1: UTF8 USER, because names and passwords may be UTF-8 here."""
    talk = await begun()
    assert b"UTF8" not in await talk.say(b"CAPA\r\n")
    assert (await talk.say(b"UTF8\r\n")).startswith(b"-ERR ")
    talk = await begun(utf8=True)
    assert b"\r\nUTF8 USER\r\n" in await talk.say(b"CAPA\r\n")
    assert (await talk.say(b"UTF8\r\n")).startswith(b"+OK ")


async def test_an_internationalised_message_waits_for_utf8() -> None:
    """RFC 6856 section 5: -ERR [UTF8] for that message; old 8-bit mail goes out as it is."""
    from tests.server.parts import HeldStore

    from mailkeep.values import Index

    store = HeldStore(full_store())
    store.internationalised.add(Index(0))
    for utf8, says, refused in ((True, False, True), (True, True, False), (False, False, False)):
        talk = Talk(make_meeting(store, utf8=utf8))
        await talk.say()
        if says:
            await talk.say(b"UTF8\r\n")
        await talk.log_in()
        for command in (b"RETR 1\r\n", b"TOP 1 0\r\n"):
            assert (await talk.say(command)).startswith(b"-ERR [UTF8] ") == refused
        assert (await talk.say(b"RETR 2\r\n")).startswith(b"+OK ")
        await talk.say(b"QUIT\r\n")


async def test_a_login_delay_is_told_in_capa() -> None:
    """RFC 2449 section 6.5."""
    from mailkeep.site import Limits

    talk = await begun(limits=Limits(login_delay_s=900, refusal_ms=0))
    assert b"\r\nLOGIN-DELAY 900\r\n" in await talk.say(b"CAPA\r\n")


async def test_a_use_is_noted_with_what_is_known_of_the_client() -> None:
    """`device list` shows it, so that an owner can tell his own programs."""
    check = OnePassword()
    talk = await begun(check=check)
    await talk.log_in()
    assert check.used == ["alice@example.com 192.0.2.7 USER in clear"]


@pytest.mark.parametrize("leaving", [b"*\r\n", b"AA==\r\n", None])
async def test_who_leaves_once_he_knows_that_he_was_right_leaves_a_trace(
    leaving: bytes | None,
) -> None:
    """The server's signature says that the password is right, before anybody is let in."""
    sink = Recorder()
    talk = await begun(sink=sink)
    assert decoded(await proof_sent(talk, scram(PASSWORD))).startswith(b"v=")
    if leaving is None:
        talk.transport.reset()
        await talk.say()
    else:
        assert (await talk.say(leaving)).startswith(b"-ERR ")
    [told] = sink.of(EventType.LOGIN_REFUSED)
    assert (told["name"], told["mechanism"]) == ("alice", "SCRAM-SHA-256")
    assert told["reason"].startswith("right, but the client left")
    assert sink.of(EventType.LOGIN_ACCEPTED) == []


async def test_a_token_that_could_not_be_checked_is_not_called_bad() -> None:
    """RFC 3206 section 4: told `invalid_token`, a client would throw a good one away."""
    door, check = OpenDoor(), OnePassword()
    talk = await begun(offers=Offers(tokens=True), check=check, door=door)
    line = b"AUTH OAUTHBEARER %b\r\n" % encoded(BEARER % TOKEN)
    check.fails = CheckUnavailable("the provider is away")
    assert (await talk.say(line)).startswith(b"-ERR [SYS/TEMP] ")
    check.fails = None
    door.welcome = Welcome(Turning.LOGIN_DELAY, familiar=True)
    assert (await talk.say(line)).startswith(b"-ERR [LOGIN-DELAY] ")
    door.welcome = Welcome(None, familiar=True)
    assert (await talk.say(line)).startswith(b"+OK ")


async def test_credentials_without_a_name_are_told_by_what_they_name() -> None:
    """A token or a certificate names somebody by itself."""

    class Naming(OnePassword):
        async def identify(self, claim: Claim) -> Identified:
            return Identified("carol@example.com", None, False, claim, None)

    sink = Recorder()
    talk = await begun(offers=Offers(tokens=True), check=Naming(), sink=sink)
    await talk.say(b"AUTH OAUTHBEARER %b\r\n" % encoded(b"n,,\x01auth=Bearer x\x01\x01"))
    assert sink.of(EventType.LOGIN_REFUSED)[0]["name"] == "carol@example.com"


async def test_keys_that_cannot_be_read_are_told() -> None:
    """An operator must hear of a database that fails, whatever the mechanism."""

    class Unreadable(OnePassword):
        async def scram_keys(self, name_untrusted: bytes) -> ScramCredentials:
            del name_untrusted
            raise CheckUnavailable("the database is gone")

    sink = Recorder()
    talk = await begun(check=Unreadable(), sink=sink)
    first = encoded(scram(PASSWORD).get_client_first().encode())
    assert (await talk.say(b"AUTH SCRAM-SHA-256 %b\r\n" % first)).startswith(b"-ERR [SYS/TEMP] ")
    [told] = sink.of(EventType.LOGIN_DEFERRED)
    assert (told["name"], told["reason"]) == ("alice", "the database is gone")
    assert (await talk.log_in()).startswith(b"+OK ")
