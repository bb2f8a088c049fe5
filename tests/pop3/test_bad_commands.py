"""A peer that talks nonsense is let go, a mail program that errs now and then is not.

Sources: RFC 1939 section 3 (unknown lines get -ERR and the session goes on); the limit is against
scripts that guess and against attacks across protocols.
"""

import pytest
from tests.pop3.driving import Driver, open_session, session_in

from mailkeep.pop3 import Err, Phase, Refused, Security, commands

BEFORE, AFTER = 10, 20

BAD_BEFORE_LOGIN = {
    "unknown word": b"NOPE",
    "empty line": b"",
    "colon": b":",
    "space": b" ",
    "NUL": b"\0",
    "8-bit": b"\xff",
    "CR": b"\r",
    "wrong syntax": b"CAPA 1",
    "not before login": b"NOOP",
    "PASS without USER": b"PASS x",
    "AUTH with bad base64": b"AUTH PLAIN !",
    "answer with bad base64": b"AUTH PLAIN\r\n!",
}
BAD_AFTER_LOGIN = {
    "unknown word": b"NOPE",
    "wrong syntax": b"STAT 1",
    "message 0": b"RETR 0",
    "eleven digits": b"DELE 00000000001",
    "not after login": b"USER alice",
    "STLS": b"STLS",
}


def refusals(driver: Driver) -> list[Refused]:
    return [event for event in driver.events if isinstance(event, Refused)]


@pytest.mark.parametrize("line", BAD_BEFORE_LOGIN.values(), ids=BAD_BEFORE_LOGIN)
def test_a_bad_line_before_login_is_refused_and_the_connection_stays(line: bytes) -> None:
    """RFC 1939 section 3: unrecognised, malformed or misplaced: -ERR, and the next one is read."""
    driver = session_in(Phase.AUTHORIZATION)
    driver.receive(line + b"\r\nCAPA\r\n")
    assert [refused.close for refused in refusals(driver)] == [False]
    assert driver.last == commands.Capa()


@pytest.mark.parametrize("line", [line for line in BAD_BEFORE_LOGIN.values() if b"\n" not in line])
def test_the_tenth_bad_line_in_a_row_before_login_closes(line: bytes) -> None:
    """RFC 1939 section 3: nine are answered, the tenth is answered and ends it."""
    driver = session_in(Phase.AUTHORIZATION)
    driver.receive(b"NOPE\r\n" * (BEFORE - 1))
    assert not driver.closed
    driver.receive(line + b"\r\nCAPA\r\n")
    assert [refused.close for refused in refusals(driver)] == [False] * 9 + [True]
    assert driver.session.phase is Phase.CLOSED
    assert driver.last == refusals(driver)[-1]


@pytest.mark.parametrize("line", BAD_AFTER_LOGIN.values(), ids=BAD_AFTER_LOGIN)
def test_the_twentieth_bad_line_in_a_row_after_login_closes(line: bytes) -> None:
    """RFC 1939 section 3: who logged in has more patience; nothing is deleted by this close."""
    driver = session_in(Phase.TRANSACTION)
    driver.receive((line + b"\r\n") * (AFTER - 1))
    assert not driver.closed
    driver.receive(line + b"\r\nQUIT\r\n")
    assert [refused.close for refused in refusals(driver)] == [False] * 19 + [True]
    assert driver.session.phase is Phase.CLOSED


def test_a_good_command_starts_the_count_again() -> None:
    """RFC 1939 section 3: ten in a row, not ten in a session."""
    driver = session_in(Phase.AUTHORIZATION)
    driver.receive((b"NOPE\r\n" * 9 + b"CAPA\r\n") * 5)
    assert not driver.closed
    driver.receive(b"NOPE\r\n" * 10)
    assert driver.closed


def test_a_login_starts_the_count_again() -> None:
    """RFC 1939 section 3: nine bad lines before login are not held against the session."""
    driver = Driver(open_session())
    driver.receive(b"NOPE\r\n" * 9 + b"USER alice\r\nPASS  open  sesame \r\n" + b"NOPE\r\n" * 19)
    assert driver.session.phase is Phase.TRANSACTION
    driver.receive(b"NOPE\r\n")
    assert driver.closed


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.TRANSACTION])
def test_zero_switches_the_limit_off(phase: Phase) -> None:
    """RFC 1939 section 3: an operator with odd clients may want no limit."""
    driver = session_in(phase, before=0, after=0)
    driver.receive(b"NOPE\r\n" * 500 + b"CAPA\r\n")
    assert not driver.closed
    assert driver.last == commands.Capa()


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.TRANSACTION])
def test_a_limit_of_one_closes_at_the_first(phase: Phase) -> None:
    """RFC 1939 section 3: the limit counts the bad line that reaches it."""
    driver = session_in(phase, before=1, after=1)
    driver.receive(b"NOPE\r\n")
    assert driver.closed


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.TRANSACTION])
def test_last_is_refused_and_never_held_against_anybody(phase: Phase) -> None:
    """RFC 1460 section 5: old programs ask LAST; it neither counts nor forgives."""
    driver = session_in(phase)
    driver.receive(b"LAST\r\n" * 100)
    assert not driver.closed
    assert driver.wire == [b"-ERR not offered\r\n"] * 100
    limit = AFTER if phase is Phase.TRANSACTION else BEFORE
    driver.receive(b"NOPE\r\n" * (limit - 1) + b"LAST\r\n" + b"NOPE\r\n")
    assert driver.closed


def test_a_refused_password_is_not_a_bad_command() -> None:
    """RFC 1939 section 7: that is for another counter, which knows names and addresses."""
    driver = Driver(open_session())
    driver.receive(b"USER alice\r\nPASS x\r\nAUTH PLAIN =\r\n" * 50)
    assert refusals(driver) == []
    assert not driver.closed


def test_a_message_that_is_not_there_is_not_a_bad_command() -> None:
    """RFC 1939 section 5: a command in good form is handed on; its -ERR counts as nothing."""
    session = session_in(Phase.TRANSACTION).session
    for _ in range(50):
        session.receive(b"RETR 4294967297\r\n")
        assert isinstance(session.next_event(), commands.Retr)
        session.answer(Err(b"no such message"))
    assert session.phase is Phase.TRANSACTION


def test_a_cancelled_exchange_is_not_a_bad_command() -> None:
    """RFC 5034 section 4: "*" is the client's right, so it does not count."""
    driver = session_in(Phase.AUTHORIZATION, before=1)
    driver.receive(b"AUTH PLAIN\r\n*\r\n" * 5 + b"CAPA\r\n")
    assert driver.last == commands.Capa()


def test_a_bad_answer_in_an_exchange_counts_as_one_before_login() -> None:
    """RFC 5034 section 4: bad base64 is wrong syntax; the limit before login is the one."""
    driver = session_in(Phase.EXCHANGE, before=2, after=1)
    driver.receive(b"!\r\n")
    assert not driver.closed
    driver.receive(b"NOPE\r\n")
    assert driver.closed


def test_a_bad_line_before_stls_counts_too() -> None:
    """RFC 8314 section 3.3: a client that never asks for STLS and keeps trying is let go."""
    driver = session_in(Phase.AUTHORIZATION, Security.STLS_FIRST)
    driver.receive(b"USER alice\r\nPASS sesame\r\n" * 5)
    assert driver.closed
    assert set(driver.wire) == {b"-ERR STLS first\r\n"}
