"""S-15 to S-27: connections that end, stall or are tampered with, and servers that say "not now".

Replies that do not match are in `test_pipelining`, logins in `test_login_states`.
"""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.fetch.states.running import (
    BODIES,
    DELETE,
    KEEP,
    ONE,
    THREE,
    UIDLS,
    Home,
    asked,
    once,
    secrets_said,
    words,
)

from mailkeep.fetch import connection
from mailkeep.fetch.account import TlsPolicy, Transport
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.polling import Past, next_delay
from mailkeep.fetch.rows import State
from mailkeep.testing.odd_server import (
    CAPABILITIES,
    GREETING,
    Action,
    Oddity,
    OddMailbox,
    OddServer,
    OddSettings,
    Where,
)
from mailkeep.testing.odd_server import oddities as odd
from mailkeep.tls import fingerprints, server_context

ALL = once(*BODIES)
ENDS = (Action.CUT, Action.CLOSE, Action.RESET)


@pytest.fixture
def implicit(context: ssl.SSLContext) -> OddSettings:
    """TLS from the first octet."""
    return OddSettings(context=context)


@pytest.fixture
def explicit(context: ssl.SSLContext) -> OddSettings:
    """STLS."""
    return OddSettings(context=context, stls=True)


@pytest.mark.parametrize("at", [0, 1, 40, -4, -3, -2, -1])
@pytest.mark.parametrize("how", ENDS)
async def test_an_end_inside_a_body_is_never_the_end_of_the_message(
    home: Home, at: int, how: Action
) -> None:
    """S-15: wherever it comes, the message is fetched again whole and stored once."""
    async with OddServer(OddMailbox.of(*BODIES), odd.cut_body(2, at, how)) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
    assert home.stored() == ALL


@pytest.mark.parametrize("at", [0, 30, -3, -1])
@pytest.mark.parametrize("how", ENDS)
async def test_an_end_of_tls_inside_a_body_is_never_the_end_of_the_message(
    safe_home: Home, implicit: OddSettings, at: int, how: Action
) -> None:
    """S-16: with close_notify or without it, nothing of the message is stored."""
    safe_home.reconnect_delays_s = ()
    cut = odd.cut_body(2, at, how)
    async with OddServer(OddMailbox.of(*BODIES), cut, settings=implicit) as server:
        assert (await safe_home.fetch(server)).code in {FetchExit.NETWORK, FetchExit.TLS}
        assert safe_home.stored() == once(ONE)
        assert (await safe_home.fetch(server)).code == FetchExit.DONE
    assert safe_home.stored() == ALL


async def test_a_server_that_always_breaks_off_is_left_after_some_tries(home: Home) -> None:
    """S-15: no endless loop, and what the others brought stays."""
    async with OddServer(OddMailbox.of(*BODIES), odd.cut_body(2, 9, times=None)) as server:
        ended = await home.fetch(server)
        assert ended.code in {FetchExit.NETWORK, FetchExit.PARTIAL}
        assert len(server.sessions) <= len(home.reconnect_delays_s) + 1
    assert home.stored()[ONE] == 1


@pytest.mark.parametrize(
    "oddity",
    [
        odd.refuse_stls(),
        odd.strip_stls(),
        odd.inject_behind_stls(),
        odd.inject_behind_stls(b"x"),
        odd.clear_text_instead_of_tls(),
        odd.hang_up_instead_of_tls(),
    ],
    ids=["refused", "stripped", "reply injected", "octet injected", "clear text", "hung up"],
)
async def test_without_good_stls_no_password_is_sent(
    safe_home: Home, explicit: OddSettings, oddity: Oddity
) -> None:
    """S-17: stop before login; what came in the clear behind +OK is nobody's word."""
    async with OddServer(OddMailbox.of(ONE), oddity, settings=explicit) as server:
        ended = await safe_home.fetch(server)
        assert ended.code in {FetchExit.TLS, FetchExit.PROTOCOL}
        assert not secrets_said(server)
        assert not safe_home.files()


async def test_what_a_server_said_before_tls_is_asked_again_in_it(
    safe_home: Home, explicit: OddSettings
) -> None:
    """S-17: a mechanism listed in the clear is not used; the list inside TLS counts."""
    lie = odd.capabilities_in_clear(b"SASL XOAUTH2", b"STLS")
    async with OddServer(OddMailbox.of(ONE), lie, settings=explicit) as server:
        assert (await safe_home.fetch(server)).code == FetchExit.DONE
        assert asked(server, b"AUTH")[0].startswith(b"AUTH SCRAM-SHA-256 ")
        assert all(c.tls for c in server.sessions[0].commands if c.word == b"AUTH")


async def test_an_account_that_had_tls_does_not_go_on_without_it(
    safe_home: Home, explicit: OddSettings
) -> None:
    """S-17, S-60: told as something that got worse, before anything is said."""
    async with OddServer(OddMailbox.of(ONE), settings=explicit) as server:
        await safe_home.fetch(server)
    safe_home.account = {"transport": Transport.CLEARTEXT}
    async with OddServer(OddMailbox.of(ONE)) as server:
        assert (await safe_home.fetch(server)).code == FetchExit.SUSPICIOUS
        assert words(server) == []


def self_signed(path: Path, name: str, ends_in_days: int) -> ssl.SSLContext:
    """Return a context whose certificate vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=9))
    made = made.not_valid_after(now + timedelta(days=ends_in_days))
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    certificate = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
    return server_context(path, path, ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize(
    ("host", "ends_in_days", "trusts"),
    [("elsewhere.example.test", 1, True), ("localhost", -1, True), ("localhost", 1, False)],
    ids=["another host", "expired", "unknown authority"],
)
async def test_a_certificate_that_proves_nothing_stops_the_account(
    safe_home: Home,
    implicit: OddSettings,
    tmp_path: Path,
    host: str,
    ends_in_days: int,
    trusts: bool,
) -> None:
    """S-18: a code of its own, also where the one before it was good; no password is sent."""
    async with OddServer(OddMailbox.of(*BODIES), settings=implicit) as server:
        assert (await safe_home.fetch(server)).code == FetchExit.DONE
        server.context = self_signed(tmp_path / "server.pem", host, ends_in_days)
        if trusts:
            safe_home.authority = tmp_path / "server.pem"
        ended = await safe_home.fetch(server)
        assert (ended.code, ended.hint is not None) == (FetchExit.TLS, True)
        assert words(server, 2) == []


async def test_a_pin_that_does_not_match_shows_what_the_server_has(
    safe_home: Home, implicit: OddSettings, certificates: Path
) -> None:
    """S-18: the new fingerprint is told, so that it can be compared with its operator."""
    safe_home.account = {"tls": TlsPolicy(pins=(bytes(32),))}
    async with OddServer(OddMailbox.of(ONE), settings=implicit) as server:
        ended = await safe_home.fetch(server)
        assert ended.code == FetchExit.TLS
        assert words(server) == []
    certificate = ssl.PEM_cert_to_DER_cert((certificates / "server.pem").read_text())
    assert fingerprints(certificate)[0].hex() in (ended.error_untrusted or "")


async def test_a_server_that_hangs_up_while_a_slow_program_works_is_called_again(
    home: Home,
) -> None:
    """S-19: nothing is lost by it and nothing comes to the program twice."""
    record = home.folder / "record"
    home.folder.mkdir()
    home.to = [f"pipe:sh -c 'sleep 0.1; cat >> {record}'"]
    async with OddServer(OddMailbox.of(*BODIES), odd.idle_close(0.05)) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.fetched, ended.code) in {(3, FetchExit.DONE), (3, FetchExit.NETWORK)}
    async with OddServer(server.mailbox) as server:
        assert (await home.fetch(server, DELETE)).code == FetchExit.DONE
        assert server.mailbox.uidls == []
    assert record.read_bytes() == b"".join(BODIES)


@pytest.mark.parametrize(
    "word", [b"CAPA", b"AUTH", b"STAT", b"UIDL", b"LIST", b"RETR", b"DELE", b"QUIT"]
)
async def test_a_server_that_falls_silent_is_left(home: Home, word: bytes) -> None:
    """S-20: after the account's time-out, wherever it is; what is stored stays."""
    home.account = {"timeout_s": 0.2}
    home.reconnect_delays_s = ()
    async with OddServer(OddMailbox.of(*BODIES), odd.silence(Where(word))) as server:
        ended = await home.fetch(server, DELETE)
        assert ended.code == FetchExit.NETWORK
        assert ended.deleted == 0
    expected = ALL if word in {b"DELE", b"QUIT"} else once()
    assert home.stored() == expected


async def test_a_body_that_stops_in_its_middle_is_left(home: Home) -> None:
    """S-20: the messages before it are safe, it is none."""
    home.account = {"timeout_s": 0.2}
    home.reconnect_delays_s = ()
    stop = odd.cut_body(3, 50, Action.HUSH, times=None)
    async with OddServer(OddMailbox.of(*BODIES), stop) as server:
        assert (await home.fetch(server)).code == FetchExit.NETWORK
    assert home.stored() == ALL - once(THREE)


@pytest.mark.parametrize("word", [b"CAPA", b"UIDL", b"LIST", b"RETR"])
async def test_a_server_that_sends_almost_nothing_is_left(
    home: Home, monkeypatch: pytest.MonkeyPatch, word: bytes
) -> None:
    """S-20: an octet now and then keeps no session open for a day."""
    monkeypatch.setattr(connection, "_RATE_WINDOW_S", 0.1)
    home.reconnect_delays_s = ()
    async with OddServer(OddMailbox.of(*BODIES), odd.drip(Where(word), 0.02)) as server:
        ended = await home.fetch(server)
        assert ended.code == FetchExit.NETWORK
        assert "octets in" in (ended.error_untrusted or "")


@pytest.mark.parametrize("word", [GREETING, b"AUTH", b"DELE"])
async def test_a_status_line_that_comes_octet_by_octet_is_not_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, word: bytes
) -> None:
    """S-20: the same outside of bodies."""
    monkeypatch.setattr(connection, "_RATE_WINDOW_S", 0.1)
    home.account = {"timeout_s": 0.3}
    home.reconnect_delays_s = ()
    oddities = odd.texts(b"x" * 500), odd.drip(Where(word), 0.02)
    async with OddServer(OddMailbox.of(*BODIES), *oddities) as server:
        assert (await home.fetch(server, DELETE)).code == FetchExit.NETWORK


async def test_a_run_ends_when_its_time_is_over(home: Home) -> None:
    """S-20: what came stays, and a code says that more remains."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        ended = await home.fetch(server, DELETE, max_s=-1)
        assert ended.code == FetchExit.LIMIT
        assert server.mailbox.uidls == UIDLS
        assert (await home.fetch(server)).code == FetchExit.DONE
    assert home.stored() == ALL


async def test_after_a_new_connection_numbers_are_looked_up_anew(home: Home) -> None:
    """S-21: the second session counts from the other end, and the right messages come and go."""
    oddities = odd.hang_up_after(Where(b"RETR", times=1)), odd.reversed_order({2})
    async with OddServer(OddMailbox.of(*BODIES), *oddities) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.fetched, ended.deleted) == (FetchExit.DONE, 3, 3)
        assert words(server, 2).count(b"RETR") == 2
    assert home.stored() == ALL


async def test_marks_are_void_after_a_new_connection(home: Home) -> None:
    """S-21: DELE is said again for the numbers of the new session."""
    oddities = odd.drop_after_dele(1), odd.reversed_order({2})
    async with OddServer(OddMailbox.of(*BODIES), *oddities) as server:
        await home.fetch(server, DELETE)
        server.mailbox.add(*OddMailbox.of(*BODIES, ONE).messages[3:])
        await home.fetch(server, DELETE)
        assert server.mailbox.uidls == []
    assert home.stored() == once(*BODIES, ONE)


@pytest.mark.parametrize(
    "oddity",
    [
        odd.in_use(),
        odd.locked_without_code(),
        odd.refuse_login(b"-ERR maildrop locked\r\n"),
        odd.refuse_login(b"-ERR unable to lock maildrop\r\n"),
        odd.refuse_login(b"-ERR [SYS/TEMP] later\r\n"),
        odd.greet_with(b"-ERR [SYS/TEMP] too many connections\r\n", Action.CLOSE),
    ],
    ids=["IN-USE", "already locked", "locked", "cannot lock", "SYS/TEMP", "at the door"],
)
async def test_a_mailbox_that_is_in_use_is_no_wrong_password(home: Home, oddity: Oddity) -> None:
    """S-22: a code of its own that says: later."""
    async with OddServer(OddMailbox.of(ONE), oddity) as server:
        ended = await home.fetch(server)
        assert ended.code == FetchExit.BUSY
        assert len(server.sessions) == 1


async def test_the_server_s_delay_between_logins_is_kept(home: Home) -> None:
    """S-23, RFC 2449 section 6.5: known from CAPA, also where the login itself is refused."""
    settings = OddSettings(capabilities=(*CAPABILITIES, b"LOGIN-DELAY 900"))
    async with OddServer(OddMailbox.of(ONE), odd.login_delay(1), settings=settings) as server:
        for code in (FetchExit.BUSY, FetchExit.DONE):
            run = home.run_of(server)
            assert (await run.fetch()).code == code
            assert run.login_delay_s == 900
            past = Past(code, int(code != FetchExit.DONE), run.login_delay_s)
            assert next_delay(10, past, 0.5) >= 900


@pytest.mark.parametrize(
    "oddity", [odd.refuse_without_code(), odd.wrong_password()], ids=["no code", "AUTH"]
)
@pytest.mark.parametrize("mechanisms", [("SCRAM-SHA-256", "PLAIN"), ("PLAIN",), ()])
async def test_a_refused_login_is_tried_once(
    home: Home, oddity: Oddity, mechanisms: tuple[str, ...]
) -> None:
    """S-24: not with the next mechanism and not in another session; accounts get locked."""
    settings = OddSettings(mechanisms=mechanisms)
    async with OddServer(OddMailbox.of(ONE), oddity, settings=settings) as server:
        assert (await home.fetch(server)).code == FetchExit.LOGIN
        assert len(server.sessions) == 1
        assert len(asked(server, b"AUTH") + asked(server, b"PASS")) == 1


def test_after_a_refused_login_polling_waits_for_hours() -> None:
    """S-24: only a person can mend it; each failure doubles the wait, up to a limit."""
    delays = [next_delay(300, Past(FetchExit.LOGIN, n), 0.5) for n in range(1, 9)]
    assert delays == sorted(delays)
    assert delays[0] > 1000
    assert delays[-1] == 4 * 3600
    assert next_delay(300, Past(FetchExit.NETWORK, 50), 0.5) == 3600


async def test_the_secret_is_asked_for_before_every_connection(home: Home) -> None:
    """S-25: a token may have expired while a long session went on."""
    cut = odd.cut_body(2, 9)
    async with OddServer(OddMailbox.of(*BODIES), cut) as server:
        assert (await home.fetch(server, KEEP)).code == FetchExit.DONE
        assert home.logins == len(server.sessions) == 2
    assert set(home.states().values()) == {State.STORED}


async def test_a_server_that_cannot_be_reached_is_a_matter_of_the_network(home: Home) -> None:
    """A port where nobody listens, and one that closes at the door: try again later."""
    async with OddServer(OddMailbox.of(ONE), odd.closed_at_the_door()) as server:
        assert (await home.fetch(server)).code == FetchExit.NETWORK
        run = home.run_of(server)
    assert (await run.fetch()).code == FetchExit.NETWORK
