"""S-52 to S-63: a server that means harm: it costs no memory, no disk, no password, no terminal.

Bounds of memory are looked at in a process of its own.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fetch.states.child import fetch_in_child
from tests.fetch.states.running import BODIES, ONE, THREE, TWO, Home, asked, once, words

from mailkeep.fetch.account import Transport, make_account
from mailkeep.fetch.failures import FetchExit, WrongSettings
from mailkeep.fetch.policy import Policy
from mailkeep.fetch.state_folder import AccountFolder
from mailkeep.sasl import Login
from mailkeep.testing.odd_server import (
    GREETING,
    Action,
    Oddity,
    OddMailbox,
    OddMessage,
    OddServer,
    OddSettings,
    Where,
    running_odd_server,
)
from mailkeep.testing.odd_server import oddities as odd
from mailkeep.values import Secret

SMALL = Policy(limit_octets=1_000_000)
WORDS = (GREETING, b"CAPA", b"AUTH", b"STAT", b"UIDL", b"LIST", b"RETR", b"DELE", b"QUIT")


@pytest.mark.parametrize("word", WORDS)
async def test_a_status_line_without_end_is_cut_off(home: Home, word: bytes) -> None:
    """S-52: after some thousand octets, wherever it comes; nothing is deleted on its word."""
    endless = odd.endless_status(Where(word))
    async with OddServer(OddMailbox.of(*BODIES), endless) as server:
        ended = await home.fetch(server, Policy(delete=True))
        if word == b"QUIT":
            assert (ended.code, ended.unsettled) == (FetchExit.NETWORK, 3)
        elif word == b"RETR":  # one message after the other is given up
            assert (ended.code, ended.failed) == (FetchExit.PARTIAL, 3)
        else:
            assert (ended.code, "no end" in (ended.error_untrusted or "")) == (8, True)
        assert ended.deleted == 0


@pytest.mark.parametrize("make", [odd.endless_body, odd.endless_body_line])
async def test_a_message_without_end_is_cut_off_and_the_rest_comes(
    home: Home, make: Callable[[int], Oddity]
) -> None:
    """S-53: at the limit for one message; nothing of it stays on the disk."""
    async with OddServer(OddMailbox.of(*BODIES), make(2)) as server:
        ended = await home.fetch(server, SMALL)
        assert (ended.code, ended.fetched) == (FetchExit.PARTIAL, 2)
    assert home.stored() == once(ONE, THREE)
    assert not any((home.maildir / "tmp").iterdir())


def endless(make: Callable[[], Oddity]) -> Callable[[], tuple[OddMailbox, Oddity]]:
    return lambda: (OddMailbox.of(*BODIES), make())


def many() -> tuple[OddMailbox, Oddity]:
    return OddMailbox(), odd.phantom_messages(100_000)


@pytest.mark.parametrize(
    ("make", "code", "limit_mb"),
    [
        (endless(lambda: odd.endless_body(2)), FetchExit.PARTIAL, 80),
        (endless(lambda: odd.endless_body_line(2)), FetchExit.PARTIAL, 80),
        (endless(lambda: odd.endless_lines(b"CAPA", b"X-%d")), FetchExit.PROTOCOL, 80),
        (endless(lambda: odd.endless_lines(b"UIDL", b"%d uidl")), FetchExit.PROTOCOL, 250),
        (endless(lambda: odd.endless_lines(b"LIST")), FetchExit.PROTOCOL, 250),
        (endless(lambda: odd.endless_line(b"CAPA")), FetchExit.PROTOCOL, 80),
        (endless(lambda: odd.endless_line(b"UIDL")), FetchExit.PROTOCOL, 250),
        (endless(lambda: odd.endless_line(b"LIST")), FetchExit.PROTOCOL, 250),
        (lambda: (OddMailbox.of(ONE), odd.endless_status(Where(b"RETR"))), FetchExit.PARTIAL, 80),
        (many, FetchExit.LIMIT, 150),
    ],
    ids=[
        "body", "line of a body", "CAPA", "UIDL", "LIST", "line of CAPA", "line of UIDL",
        "line of LIST", "status", "messages of no octets",
    ],
)  # fmt: skip
def test_what_has_no_end_costs_no_memory(
    tmp_path: Path, make: Callable[[], tuple[OddMailbox, Oddity]], code: int, limit_mb: float
) -> None:
    """S-53 to S-55: in the program itself, with its usual limits."""
    mailbox, oddity = make()
    with running_odd_server(mailbox, oddity) as server:
        done = fetch_in_child(tmp_path, server, "--max-time", "4s")
        assert done.code == code, done.err
        assert done.peak_mb < limit_mb


async def test_messages_of_no_octets_are_messages_and_time_ends_them(home: Home) -> None:
    """S-55: what came is stored and known; the next run goes on behind it."""
    async with OddServer(OddMailbox(), odd.phantom_messages(2000)) as server:
        ended = await home.fetch(server)
        assert (ended.code, ended.fetched) == (FetchExit.DONE, 2000)
        assert (await home.fetch(server)).fetched == 0
    assert home.stored() == {b"": 2000}


CONTROLS = re.compile(
    rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]"
)
"""What moves a cursor or turns writing round, in UTF-8; LF ends our own lines."""


@pytest.mark.parametrize(
    "oddity",
    [
        odd.refuse_login(b"-ERR [IN-USE] " + odd.TERMINAL_TRICKS + b"\r\n"),
        odd.refuse_login(b"-ERR " + odd.TERMINAL_TRICKS + b"\r\n"),
        odd.greet_with(b"-ERR " + odd.TERMINAL_TRICKS + b"\r\n", Action.CLOSE),
        odd.greet_with(b"SSH-2.0-" + odd.TERMINAL_TRICKS + b"\r\n"),
        odd.answer_with(b"-ERR " + odd.TERMINAL_TRICKS + b"\r\n", Where(b"RETR")),
        odd.answer_with(odd.TERMINAL_TRICKS + b"\r\n", Where(b"RETR")),
        odd.answer_with(b"-ERR " + odd.TERMINAL_TRICKS + b"\r\n", Where(b"DELE")),
        odd.lines_in_place(b"LIST", b"x" + odd.TERMINAL_TRICKS),
        odd.lines_in_place(b"UIDL", b"1 " + odd.TERMINAL_TRICKS, b"2 \x1b[2J", b"3 \x9b1m"),
        odd.lines_in_place(b"CAPA", b"SASL " + odd.TERMINAL_TRICKS, b"EXPIRE 0" + b"\x1b[2J"),
    ],
    ids=[
        "busy", "refused", "door", "no POP3", "RETR", "no answer", "DELE", "LIST", "UIDL", "CAPA",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [(), ("--json",), ("--dry-run",)], ids=["lines", "JSON", "plan"])
def test_what_a_server_says_moves_no_cursor(
    tmp_path: Path, oddity: Oddity, form: tuple[str, ...]
) -> None:
    """S-56: escapes, 8-bit controls and turned writing are shown as text, and little of it."""
    with running_odd_server(OddMailbox.of(ONE), oddity) as server:
        done = fetch_in_child(tmp_path, server, "--delete", *form)
    assert not CONTROLS.search(done.out + done.err), (done.out, done.err)
    assert max(map(len, (done.out + b"\n" + done.err).splitlines())) < 1500


async def test_nothing_that_a_server_says_is_part_of_a_path(home: Home) -> None:
    """S-57: files lie in the destination and the state folder, and nowhere else."""
    tricks = [b"../" * n + b"evil" for n in (1, 3, 9)] + [*odd.ODD_UIDLS]
    wire = b"Subject: ../../x\r\nX-Folder: ../evil\r\nMessage-ID: <../../evil>\r\n\r\n"
    messages = [OddMessage(uidl, wire + uidl.hex().encode() + b"\r\n") for uidl in tricks]
    home.to = [f"{kind}:{home.folder / 'Mail' / kind}" for kind in ("maildir", "dir", "mbox")]
    async with OddServer(OddMailbox(*messages), odd.texts(b"../../evil")) as server:
        assert (await home.fetch(server)).fetched == len(messages)
    assert home.outside() == []
    assert not list(home.folder.parent.rglob("*evil*"))


@pytest.mark.parametrize("user", ["../../evil", "/etc/passwd", "..", ".", "a/../b", "x" * 300, "~"])
def test_a_user_s_name_is_no_path(tmp_path: Path, user: str) -> None:
    """S-57: its folder is one below the folder of states."""
    folder = AccountFolder.of(tmp_path, make_account("mail.test", user, Transport.TLS).name)
    assert folder.path.parent == tmp_path
    assert folder.path.name not in {".", ".."}
    folder.make()
    assert folder.path.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize("user", ["a\r\nDELE 1", "a\nb", "a\rb", "a\0b", ""])
def test_a_name_that_would_be_two_lines_is_refused(user: str) -> None:
    """S-58: before anything is sent."""
    with pytest.raises(WrongSettings):
        make_account("mail.test", user, Transport.TLS)


@pytest.mark.parametrize("mechanism", ["USER", "PLAIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize("secret", [b"a\r\nDELE 1", b"a\nDELE 1", b"a\0b"])
async def test_a_password_that_would_be_two_lines_is_not_sent(
    home: Home, mechanism: str, secret: bytes
) -> None:
    """S-58: CR, LF and NUL end a line or a field; what is behind them would be a command."""

    async def login() -> Login:
        return Login("alice", Secret(secret))

    home.login = login
    home.account = {"mechanism": mechanism}
    async with OddServer(OddMailbox.of(ONE)) as server:
        assert (await home.fetch(server)).code == FetchExit.WRONG
        assert {b"PASS", b"DELE"}.isdisjoint(words(server))
        assert len(asked(server, b"AUTH")) <= 1


@pytest.mark.parametrize(
    "oddity",
    [
        odd.endless_challenges(),
        odd.endless_challenges(b""),
        odd.endless_challenges(b"x" * 5000),
        odd.bad_base64_challenge(),
        odd.scram_iterations(b"1"),
        odd.scram_iterations(b"4095"),
        odd.scram_iterations(b"1" + b"0" * 30),
        odd.scram_iterations(b"-5"),
        odd.scram_foreign_nonce(),
        odd.wrong_server_signature(),
        odd.without_server_signature(),
    ],
    ids=[
        "endless", "endless and empty", "long", "no base64", "1", "4095", "10^30", "-5",
        "another nonce", "wrong signature", "no signature",
    ],
)  # fmt: skip
async def test_a_server_that_does_not_prove_itself_gets_no_login(
    home: Home, oddity: Oddity
) -> None:
    """S-59: few steps, bounded work; its +OK is not believed, so nothing is fetched."""
    async with OddServer(OddMailbox.of(ONE), oddity) as server:
        assert (await home.fetch(server)).code == FetchExit.PROTOCOL
        assert len(server.sessions) == 1
        assert len(server.sessions[0].commands) <= 5
        assert {b"LIST", b"UIDL", b"RETR"}.isdisjoint(words(server))


@pytest.mark.parametrize("mechanism", ["PLAIN", "OAUTHBEARER", "XOAUTH2"])
async def test_endless_challenges_end_with_every_mechanism(home: Home, mechanism: str) -> None:
    """S-59: there is one challenge at most, and the secret is said once at most."""
    is_token = mechanism != "PLAIN"

    async def login() -> Login:
        return Login("alice", Secret(b"x"), is_token=is_token)

    home.login = login
    home.account = {"mechanism": mechanism}
    async with OddServer(OddMailbox.of(ONE), odd.endless_challenges()) as server:
        ended = await home.fetch(server)
        assert ended.code in {FetchExit.PROTOCOL, FetchExit.LOGIN, FetchExit.TOKEN}
        assert len(server.sessions[0].commands) <= 4


@pytest.mark.parametrize("word", WORDS)
async def test_a_reply_that_nothing_asked_for_is_no_answer(home: Home, word: bytes) -> None:
    """Injected replies: the session ends; nothing is stored wrong and nothing deleted for it."""
    async with OddServer(OddMailbox.of(*BODIES), odd.extra_reply(Where(word, times=1))) as server:
        ended = await home.fetch(server, Policy(delete=True))
        assert home.stored() <= once(*BODIES)
        assert ended.deleted in {0, 3}
        if word != b"QUIT":
            assert ended.deleted == 0 or len(server.sessions) > 1
        await home.fetch(server, Policy(delete=True))
        assert server.mailbox.uidls == []
    assert home.stored() == once(*BODIES)


async def test_a_message_is_only_what_its_own_answer_brought(home: Home) -> None:
    """Injected bodies: a false end and a whole false answer inside a message stay in it."""
    lie = b"Subject: x\r\n\r\nbefore\n.\n+OK 3 octets\r\nlie\r\n..\r\n+OK bye\r\n"
    async with OddServer(OddMailbox.of(lie, TWO)) as server:
        assert (await home.fetch(server, Policy(delete=True))).deleted == 2
    assert home.stored() == once(lie, TWO)


async def test_a_program_hears_of_a_message_its_octets_alone(home: Home, tmp_path: Path) -> None:
    """S-62: nothing of it, and nothing a server said, is in its arguments or environment."""
    script, record = tmp_path / "script", tmp_path / "record"
    script.write_text(
        f'#!/bin/sh\n{{ printf "%s\\n" "$@"; tr "\\0" "\\n" < /proc/$$/environ; }} >> {record}\n'
        "cat > /dev/null\n"
    )
    script.chmod(0o755)
    home.to = [f"pipe:{script} fixed"]
    body = b"Subject: marker-in-mail `touch x` $(touch x)\r\n\r\nmarker-in-mail\r\n"
    mailbox = OddMailbox(OddMessage(b"marker-in-mail", body))
    async with OddServer(mailbox, odd.texts(b"marker-in-mail")) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
    heard = record.read_bytes()
    assert heard.startswith(b"fixed\n")
    assert b"marker-in-mail" not in heard


async def test_the_odd_settings_of_these_tests_are_fetched_from(home: Home) -> None:
    """Without its oddity each of these servers is served well: the tests above can fail."""
    async with OddServer(OddMailbox.of(*BODIES), settings=OddSettings()) as server:
        assert (await home.fetch(server, Policy(delete=True))).deleted == 3
    assert home.stored() == once(*BODIES)
