"""What may be said where: the table itself, and that a session keeps it."""

import pytest
from tests.pop3.driving import REACHABLE, session_in
from tests.pop3.goldens import FOLDER, KINDS, render_states

from mailkeep.pop3 import Err, NeedData, Ok, Phase, Refused, SaslResponse, Security, commands
from mailkeep.pop3.states import LEGAL, CommandKind, phase_after, phase_after_refusal

LINES = {
    commands.Capa: b"CAPA",
    commands.Quit: b"QUIT",
    commands.Stls: b"STLS",
    commands.User: b"USER bob",
    commands.Pass: b"PASS sesame",
    commands.Auth: b"AUTH PLAIN",
    commands.AuthList: b"AUTH",
    commands.Stat: b"STAT",
    commands.List: b"LIST 1",
    commands.Retr: b"RETR 1",
    commands.Top: b"TOP 1 0",
    commands.Uidl: b"UIDL",
    commands.Dele: b"DELE 1",
    commands.Rset: b"RSET",
    commands.Noop: b"NOOP",
    commands.Lang: b"LANG de",
    commands.Utf8: b"UTF8",
}
MAIL = [
    commands.Stat, commands.List, commands.Retr, commands.Dele, commands.Noop, commands.Rset,
    commands.Top, commands.Uidl,
]  # fmt: skip
LOGIN = [commands.User, commands.Pass, commands.Auth, commands.AuthList]
SPEAKING = [Phase.AUTHORIZATION, Phase.NAMED, Phase.TRANSACTION]


def legal_in(kind: CommandKind) -> set[tuple[Phase, Security]]:
    return {(phase, sec) for phase in Phase for sec in Security if kind in LEGAL[phase][sec]}


def test_the_table_is_what_was_agreed_on() -> None:
    """RFC 1939 section 3: the full product, readable (see goldens.py to change it)."""
    assert render_states() == (FOLDER / "states.txt").read_text()


def test_the_table_has_every_place_and_every_command() -> None:
    """RFC 1939 section 3: a phase, a protection or a command that is added must be judged too."""
    assert set(LEGAL) == set(Phase)
    assert all(set(LEGAL[phase]) == set(Security) for phase in Phase)
    assert set(KINDS.values()) == set(LINES) == set(commands.Command.__args__)


@pytest.mark.parametrize(("phase", "security"), REACHABLE)
@pytest.mark.parametrize("kind", LINES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("ok", [True, False], ids=["+OK", "-ERR"])
def test_a_session_keeps_the_table(
    phase: Phase, security: Security, kind: CommandKind, ok: bool
) -> None:
    """RFC 1939 section 3: said there, a command is yielded when legal, else refused and no more."""
    session = session_in(phase, security).session
    session.receive(LINES[kind] + b"\r\n")
    event = session.next_event()
    if kind in LEGAL[phase][security]:
        assert type(event) is kind
        session.answer(Ok(b"done") if ok else Err(b"no"))
        assert session.phase is phase_after(phase, kind, ok=ok)
    elif phase in SPEAKING:
        assert isinstance(event, Refused)
        assert not event.close
        assert session.phase is phase_after_refusal(phase)
    else:
        assert isinstance(event, Refused | NeedData | SaslResponse)


@pytest.mark.parametrize("kind", MAIL, ids=lambda kind: kind.__name__)
def test_mail_is_for_those_who_logged_in(kind: CommandKind) -> None:
    """RFC 1939 section 5: these are TRANSACTION commands; NOOP before login is -ERR as well."""
    assert legal_in(kind) == {
        (Phase.TRANSACTION, Security.TLS),
        (Phase.TRANSACTION, Security.CLEARTEXT_ALLOWED),
    }


@pytest.mark.parametrize("kind", LOGIN, ids=lambda kind: kind.__name__)
def test_nobody_logs_in_twice(kind: CommandKind) -> None:
    """RFC 1939 section 7, RFC 5034 section 4: USER, PASS and AUTH end with a login."""
    assert Phase.TRANSACTION not in {phase for phase, _ in legal_in(kind)}


@pytest.mark.parametrize("kind", [*LOGIN, *MAIL], ids=lambda kind: kind.__name__)
def test_nobody_logs_in_before_stls(kind: CommandKind) -> None:
    """RFC 2595 section 2.4, RFC 8314 section 3.3: no password without TLS unless allowed."""
    assert Security.STLS_FIRST not in {security for _, security in legal_in(kind)}


def test_a_password_comes_straight_after_a_name() -> None:
    """RFC 1939 section 7: PASS is given only immediately after a successful USER."""
    assert {phase for phase, _ in legal_in(commands.Pass)} == {Phase.NAMED}
    for kind in set(LINES) - {commands.User, commands.Quit}:
        for ok in (True, False):
            assert phase_after(Phase.NAMED, kind, ok=ok) is not Phase.NAMED
    assert phase_after(Phase.NAMED, commands.User, ok=False) is Phase.AUTHORIZATION
    assert phase_after_refusal(Phase.NAMED) is Phase.AUTHORIZATION


def test_stls_is_said_before_tls_and_before_login() -> None:
    """RFC 2595 section 4: AUTHORIZATION only, and not once TLS is active."""
    assert legal_in(commands.Stls) == {
        (Phase.AUTHORIZATION, Security.STLS_FIRST),
        (Phase.AUTHORIZATION, Security.CLEARTEXT_ALLOWED),
        (Phase.NAMED, Security.CLEARTEXT_ALLOWED),
    }


@pytest.mark.parametrize(("phase", "security"), [(p, s) for p, s in REACHABLE if p in SPEAKING])
def test_capa_and_quit_are_always_there(phase: Phase, security: Security) -> None:
    """RFC 1939 sections 4 and 6, RFC 2449 section 5: wherever a command can be said."""
    assert {commands.Capa, commands.Quit} <= LEGAL[phase][security]


@pytest.mark.parametrize("security", Security)
@pytest.mark.parametrize("phase", [Phase.EXCHANGE, Phase.ENCRYPTING, Phase.CLOSED])
def test_nothing_is_a_command_in_an_exchange_behind_stls_and_behind_quit(
    phase: Phase, security: Security
) -> None:
    """RFC 5034 section 4, RFC 2595 section 4, RFC 1939 section 6: these lines are no commands."""
    assert LEGAL[phase][security] == frozenset()


@pytest.mark.parametrize("phase", SPEAKING)
def test_quit_ends_the_session_whatever_it_answers(phase: Phase) -> None:
    """RFC 1939 section 6: after QUIT the server closes, even when messages were not removed."""
    for ok in (True, False):
        assert phase_after(phase, commands.Quit, ok=ok) is Phase.CLOSED


@pytest.mark.parametrize("kind", LINES, ids=lambda kind: kind.__name__)
def test_only_a_login_opens_the_transaction_state(kind: CommandKind) -> None:
    """RFC 1939 section 4: TRANSACTION is entered by a good PASS or AUTH, never by an -ERR."""
    for phase in (Phase.AUTHORIZATION, Phase.NAMED, Phase.EXCHANGE):
        assert phase_after(phase, kind, ok=False) is not Phase.TRANSACTION
        opened = phase_after(phase, kind, ok=True) is Phase.TRANSACTION
        assert opened is (kind in {commands.Pass, commands.Auth})


@pytest.mark.parametrize(("phase", "security"), [(p, s) for p, s in REACHABLE if p in SPEAKING])
def test_a_language_is_chosen_wherever_a_command_can_be_said(
    phase: Phase, security: Security
) -> None:
    """RFC 6856 section 3: LANG before login and after it; before STLS too, whose texts it is of."""
    assert commands.Lang in LEGAL[phase][security]


def test_utf8_is_said_where_a_login_may_follow_or_has_followed() -> None:
    """RFC 6856 section 2: before login, and not where STLS must come; Outlook says it after."""
    assert legal_in(commands.Utf8) == legal_in(commands.User) | {
        (Phase.TRANSACTION, Security.TLS),
        (Phase.TRANSACTION, Security.CLEARTEXT_ALLOWED),
    }


@pytest.mark.parametrize("line", [b"LANG de", b"LANG", b"UTF8"])
def test_pass_comes_straight_after_user_and_nothing_between(line: bytes) -> None:
    """RFC 1939 section 7: a language or UTF8 between the two takes the name back."""
    driver = session_in(Phase.NAMED)
    driver.receive(line + b"\r\nPASS sesame\r\n")
    assert isinstance(driver.last, Refused)
    assert driver.session.phase is Phase.AUTHORIZATION


@pytest.mark.parametrize(
    "kind", [*MAIL, commands.Capa, commands.Lang, commands.Utf8], ids=lambda kind: kind.__name__
)
def test_a_session_stays_logged_in_until_quit(kind: CommandKind) -> None:
    """RFC 1939 section 5: neither an answer nor a bad line leads out of TRANSACTION."""
    for ok in (True, False):
        assert phase_after(Phase.TRANSACTION, kind, ok=ok) is Phase.TRANSACTION
    assert phase_after_refusal(Phase.TRANSACTION) is Phase.TRANSACTION
