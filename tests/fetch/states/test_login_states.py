"""How a run logs in: the best mechanism, one try, nothing in clear, nothing worse than before.

Refusals and busy mailboxes are in `test_connection_states`, hostile exchanges in
`test_hostile_states`; the mechanisms themselves are in `tests/sasl`.
"""

import base64
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fetch.states.running import ONE, Home, asked, once, secrets_said, words

from mailkeep.fetch.account import TlsPolicy, Transport
from mailkeep.fetch.events import LoggedIn
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.run import LoginSource
from mailkeep.sasl import Login
from mailkeep.sasl.client import ChannelBinding
from mailkeep.testing.odd_server import Action, Oddity, OddMailbox, OddServer, OddSettings, Where
from mailkeep.testing.odd_server import Login as OddLogin
from mailkeep.testing.odd_server import oddities as odd
from mailkeep.tls import fingerprints, server_end_point
from mailkeep.values import Secret

PLUS = "SCRAM-SHA-256-PLUS"


def mailbox() -> OddMailbox:
    return OddMailbox.of(ONE)


@pytest.fixture
def binding(certificates: Path) -> ChannelBinding:
    """Of every connection to the server of these tests."""
    der = ssl.PEM_cert_to_DER_cert((certificates / "server.pem").read_text())
    return ChannelBinding("tls-server-end-point", server_end_point(der) or b"")


@pytest.fixture
def bound(context: ssl.SSLContext, binding: ChannelBinding) -> OddSettings:
    """A server that can bind."""
    return OddSettings(
        context=context, mechanisms=(PLUS, "SCRAM-SHA-256", "PLAIN"), binding=binding
    )


@pytest.mark.parametrize(
    ("mechanisms", "expected"),
    [
        (("PLAIN", "SCRAM-SHA-256"), "SCRAM-SHA-256"),
        (("LOGIN", "CRAM-MD5", "PLAIN"), "PLAIN"),
        (("PLAIN", "XOAUTH2"), "PLAIN"),
        (("CRAM-MD5", "DIGEST-MD5", "NTLM"), "USER"),
        ((), "USER"),
    ],
)
async def test_the_best_mechanism_that_both_have_is_used(
    home: Home, mechanisms: tuple[str, ...], expected: str
) -> None:
    """SCRAM before PLAIN before USER and PASS; never one that lets a listener guess."""
    settings = OddSettings(mechanisms=mechanisms)
    async with OddServer(mailbox(), settings=settings) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert home.told(LoggedIn) == [LoggedIn(expected)]
        logins = [word for word in words(server) if word in {b"USER", b"AUTH"}]
        assert logins == [b"USER" if expected == "USER" else b"AUTH"]


@pytest.mark.parametrize(
    ("mechanisms", "expected"),
    [(("XOAUTH2", "OAUTHBEARER", "PLAIN"), "OAUTHBEARER"), (("PLAIN", "XOAUTH2"), "XOAUTH2")],
)
async def test_a_token_goes_by_a_mechanism_for_tokens(
    home: Home, mechanisms: tuple[str, ...], expected: str
) -> None:
    """RFC 7628 before Google's own; never as a password."""
    home.login = token_source(home, OddLogin().token)
    async with OddServer(mailbox(), settings=OddSettings(mechanisms=mechanisms)) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert home.told(LoggedIn) == [LoggedIn(expected)]


async def test_a_token_is_never_sent_as_a_password(home: Home) -> None:
    """A server that takes passwords only gets nothing."""
    home.login = token_source(home, OddLogin().token)
    async with OddServer(mailbox(), settings=OddSettings(mechanisms=("PLAIN",))) as server:
        assert (await home.fetch(server)).code == FetchExit.WRONG
        assert not secrets_said(server)


@pytest.mark.parametrize("name", ["PLAIN", "USER", "SCRAM-SHA-256"])
async def test_the_named_mechanism_is_used(home: Home, name: str) -> None:
    """`--auth`: that one, whatever is better."""
    home.account = {"mechanism": name}
    async with OddServer(mailbox()) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert home.told(LoggedIn) == [LoggedIn(name)]


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "CRAM-MD5", PLUS])
async def test_the_named_mechanism_is_never_replaced(home: Home, name: str) -> None:
    """Nothing is sent by another one when the server does not have it."""
    home.account = {"mechanism": name}
    async with OddServer(mailbox(), settings=OddSettings(mechanisms=("PLAIN",))) as server:
        assert (await home.fetch(server)).code == FetchExit.WRONG
        assert not secrets_said(server)


async def test_a_server_without_capa_is_logged_in_with_user_and_pass(home: Home) -> None:
    """RFC 1939: as before RFC 2449, one command at a time."""
    async with OddServer(mailbox(), odd.no_capa()) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert not any(c.early for c in server.sessions[0].commands)
    assert home.stored() == once(ONE)


@pytest.mark.parametrize(
    "oddity",
    [odd.wrong_password(), odd.no_auth(), odd.refuse_without_code()],
    ids=["wrong-password", "no-auth", "refuse-without-code"],
)
async def test_after_a_refusal_no_other_mechanism_is_tried(
    safe_home: Home, context: ssl.SSLContext, oddity: Oddity
) -> None:
    """S-24: one try a session and one session a run."""
    settings = OddSettings(context=context)
    async with OddServer(mailbox(), oddity, settings=settings) as server:
        assert (await safe_home.fetch(server)).code == FetchExit.LOGIN
        assert len(server.sessions) == 1
        assert words(server) in ([b"CAPA", b"AUTH"], [b"CAPA", b"AUTH", b"QUIT"])


async def test_nothing_secret_is_said_before_tls(safe_home: Home, context: ssl.SSLContext) -> None:
    """RFC 2595: STLS first, and not an octet behind it before its answer."""
    settings = OddSettings(context=context, stls=True)
    async with OddServer(mailbox(), settings=settings) as server:
        assert (await safe_home.fetch(server)).code == FetchExit.DONE
        session = server.sessions[0]
        clear = [command.word for command in session.commands if not command.tls]
        assert clear[-1] == b"STLS"
        assert set(clear) <= {b"CAPA", b"STLS"}
        assert session.behind_stls == b""
        assert session.words.index(b"STLS") < session.words.index(b"AUTH")


@pytest.mark.parametrize("stls", [True, False])
async def test_where_both_can_bind_the_login_is_bound_to_the_connection(
    safe_home: Home, bound: OddSettings, stls: bool
) -> None:
    """RFC 5802 section 6: SCRAM-SHA-256-PLUS with the hash of the server's certificate."""
    async with OddServer(mailbox(), settings=replace(bound, stls=stls)) as server:
        assert (await safe_home.fetch(server)).code == FetchExit.DONE
        assert safe_home.told(LoggedIn) == [LoggedIn(PLUS)]


async def test_a_login_through_somebody_else_s_tls_fails(
    safe_home: Home, bound: OddSettings
) -> None:
    """RFC 5802 section 6: the server is on another connection than we are."""
    elsewhere = replace(bound, binding=ChannelBinding("tls-server-end-point", b"another"))
    async with OddServer(mailbox(), settings=elsewhere) as server:
        ended = await safe_home.fetch(server)
        assert ended.code in {FetchExit.LOGIN, FetchExit.PROTOCOL}
        assert b"RETR" not in words(server)


async def test_who_takes_plus_out_of_the_list_is_found_out_by_the_server(
    safe_home: Home, bound: OddSettings
) -> None:
    """RFC 5802 section 6: we say that we could have bound, under the protection of the proof."""
    strip = odd.without_capabilities(PLUS.encode())
    async with OddServer(mailbox(), strip, settings=bound) as server:
        ended = await safe_home.fetch(server)
        first = base64.b64decode(asked(server, b"AUTH")[0].split(b" ")[2])
        assert first.startswith(b"y,,")
        assert ended.code in {FetchExit.LOGIN, FetchExit.PROTOCOL}


@pytest.mark.parametrize(
    "oddity", [odd.wrong_server_signature(), odd.without_server_signature()], ids=["wrong", "none"]
)
async def test_a_server_that_does_not_know_the_password_is_not_fetched_from(
    home: Home, oddity: Oddity
) -> None:
    """RFC 5802 section 5: its +OK is worth nothing without its signature."""
    async with OddServer(mailbox(), oddity) as server:
        assert (await home.fetch(server)).code == FetchExit.PROTOCOL
        assert b"UIDL" not in words(server)
        assert not home.files()


def token_source(home: Home, *tokens: bytes) -> LoginSource:
    """Return a source that gives one token after the other, and the last for ever."""
    left = [*tokens]

    async def login() -> Login:
        home.logins += 1
        token = left.pop(0) if len(left) > 1 else left[0]
        return Login("alice", Secret(token), is_token=True)

    return login


async def test_a_token_is_asked_for_before_every_session(home: Home) -> None:
    """S-25: the first has expired when the connection breaks; the next one is used."""
    login = OddLogin()
    home.login = token_source(home, login.token, b"next-token")
    settings = OddSettings(mechanisms=("OAUTHBEARER",))
    async with OddServer(OddMailbox.of(ONE, ONE), odd.cut_body(2, 5), settings=settings) as server:
        ended = await home.fetch(server)
        assert (ended.code, home.logins) == (FetchExit.TOKEN, 2)
        assert home.stored() == once(ONE)
        home.login = token_source(home, login.token)
        assert (await home.fetch(server)).fetched == 1


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
async def test_a_refused_token_is_no_wrong_password(home: Home, mechanism: str) -> None:
    """S-25: a code of its own that asks for consent, and one try."""
    home.login = token_source(home, b"expired")
    settings = OddSettings(mechanisms=(mechanism,))
    async with OddServer(mailbox(), settings=settings) as server:
        ended = await home.fetch(server)
        assert (ended.code, ended.hint) == (FetchExit.TOKEN, "consent again")
        assert len(asked(server, b"AUTH")) == 1


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
async def test_a_long_token_waits_for_the_challenge(home: Home, mechanism: str) -> None:
    """RFC 5034 section 4: a command line has 255 octets."""
    token = b"t" * 1500
    home.login = token_source(home, token)
    settings = OddSettings(mechanisms=(mechanism,), login=OddLogin(token=token))
    long = odd.refuse_initial_response(200)
    async with OddServer(mailbox(), long, settings=settings) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert asked(server, b"AUTH") == [b"AUTH " + mechanism.encode()]


async def test_without_scram_where_there_was_scram_no_password_is_sent(home: Home) -> None:
    """S-60: the user decides; `accept_change` goes on and forgets what was before."""
    strip = odd.without_capabilities(b"SCRAM-SHA-256", sessions={2, 3, 4})
    async with OddServer(mailbox(), strip) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        ended = await home.fetch(server)
        assert (ended.code, ended.hint is not None) == (FetchExit.SUSPICIOUS, True)
        assert {b"AUTH", b"PASS", b"USER"}.isdisjoint(words(server, 2))
        assert (await home.fetch(server, accept_change=True)).code == FetchExit.DONE
        assert (await home.fetch(server)).code == FetchExit.DONE


async def test_without_an_authority_where_one_had_signed_no_password_is_sent(
    safe_home: Home, context: ssl.SSLContext, certificates: Path
) -> None:
    """S-60: a pin alone is less than it was."""
    settings = OddSettings(context=context)
    der = ssl.PEM_cert_to_DER_cert((certificates / "server.pem").read_text())
    async with OddServer(mailbox(), settings=settings) as server:
        assert (await safe_home.fetch(server)).code == FetchExit.DONE
        safe_home.account = {"tls": TlsPolicy(pins=fingerprints(der)[:1])}
        assert (await safe_home.fetch(server)).code == FetchExit.SUSPICIOUS
        assert (await safe_home.fetch(server, accept_change=True)).code == FetchExit.DONE


async def test_what_is_better_than_before_is_remembered_at_once(home: Home) -> None:
    """S-60: the first session had no SCRAM; after the second it is not given up again."""
    strip = odd.without_capabilities(b"SCRAM-SHA-256", sessions={1, 3})
    async with OddServer(mailbox(), strip) as server:
        codes = [(await home.fetch(server)).code for _ in range(3)]
    assert codes == [FetchExit.DONE, FetchExit.DONE, FetchExit.SUSPICIOUS]


async def test_clear_text_goes_to_this_machine_only(home: Home) -> None:
    """No password goes over a network in the clear unless the user vouches for the way."""
    home.account = {"host": "192.0.2.1", "transport": Transport.CLEARTEXT}
    async with OddServer(mailbox()) as server:
        assert (await home.fetch(server)).code == FetchExit.WRONG
        assert server.sessions == []


async def test_a_refused_run_remembers_nothing_good(home: Home) -> None:
    """S-60: what a login did not confirm is nobody's word."""
    async with OddServer(mailbox(), odd.wrong_password(1)) as server:
        assert (await home.fetch(server)).code == FetchExit.LOGIN
        assert "scram" not in home.facts()
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert home.facts()["scram"] == "yes"


async def test_a_server_that_hangs_up_in_an_exchange_is_a_matter_of_the_network(
    home: Home,
) -> None:
    """The password was neither right nor wrong, and it is not tried again at once."""
    cut = odd.hang_up_instead(Where(b"AUTH"), Action.CLOSE)
    async with OddServer(mailbox(), cut) as server:
        assert (await home.fetch(server)).code == FetchExit.NETWORK
        assert len(server.sessions) == 1
