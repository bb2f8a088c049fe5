"""A session driven without I/O: order, one answer each, limits of lines, ends."""

import base64

import pytest
from hypothesis import given, settings
from tests.pop3.driving import GOOD_PASSWORD, GOOD_RESPONSE, Driver, open_session, session_in
from tests.pop3.splits import every_split, in_pieces, piece_lengths

from mailkeep.pop3 import (
    Err,
    HangUp,
    LocalProtocolError,
    NeedData,
    Ok,
    Phase,
    Refused,
    ResponseCode,
    Security,
    ServerSide,
    commands,
)
from mailkeep.pop3.server_side import COMMAND_LIMIT_OCTETS, SASL_LIMIT_OCTETS
from mailkeep.values import Secret

DONE = b"+OK done\r\n"
WRONG_STATE = b"-ERR not in this state\r\n"
TOO_LONG = b"-ERR line too long\r\n"

WITH_A_PASSWORD = [
    (b"NOOP\r\n", WRONG_STATE),
    (b"user alice\r\n", DONE),
    (b"STAT\r\n", WRONG_STATE),
    (b"PASS x\r\n", WRONG_STATE),
    (b"USER alice\n", DONE),
    (b"PASS x\r\n", b"-ERR [AUTH] refused\r\n"),
    (b"LAST\r\n", b"-ERR not offered\r\n"),
    (b"\r\n", b"-ERR unknown command\r\n"),
    (b"USER alice\r\n", DONE),
    (b"PASS " + GOOD_PASSWORD + b"\r\n", b"+OK maildrop open\r\n"),
    (b"STAT\n", b"+OK 2 320\r\n"),
    (b"LIST \r\n", DONE),
    (b"RETR 0\r\n", b"-ERR a message-number is 1 to 10 digits and counts from 1\r\n"),
    (b"RETR 1\r\n", DONE),
    (b"TOP 1 0\r\n", DONE),
    (b"USER bob\r\n", WRONG_STATE),
    (b"STLS\r\n", WRONG_STATE),
    (b"DELE 2\r\n", DONE),
    (b"NOOP\r\r\n", b"-ERR unknown command\r\n"),
    (b"RSET\r\n", DONE),
    (b"UIDL 1\r\n", DONE),
    (b"QUIT\r\n", DONE),
    (b"STAT\r\n", b""),
]
WITH_AN_EXCHANGE = [
    (b"AUTH\r\n", DONE),
    (b"AUTH PLAIN\r\n", b"+ \r\n"),
    (b"*\r\n", b"-ERR cancelled\r\n"),
    (b"AUTH PLAIN\r\n", b"+ \r\n"),
    (b"QUIT\r\n", b"-ERR [AUTH] refused\r\n"),  # four letters of base64
    (b"AUTH PLAIN\n", b"+ \r\n"),
    (b"NOOP !\n", b"-ERR that is not base64\r\n"),
    (b"AUTH PLAIN =\r\n", b"-ERR [AUTH] refused\r\n"),
    (b"auth plain\r\n", b"+ \r\n"),
    (base64.b64encode(GOOD_RESPONSE) + b"\r\n", b"+OK maildrop open\r\n"),
    (b"AUTH PLAIN\r\n", WRONG_STATE),
    (b"NOOP\r\n", DONE),
    (b"QUIT\r\n", DONE),
]


@pytest.mark.parametrize("script", [WITH_A_PASSWORD, WITH_AN_EXCHANGE])
def test_a_pipelined_session_is_answered_in_order_at_every_split(
    script: list[tuple[bytes, bytes]],
) -> None:
    """RFC 2449 section 6.6: commands in one segment or cut anywhere get the same answers."""
    said = b"".join(line for line, _ in script)
    replies = [reply for _, reply in script if reply]
    for pieces in every_split(said):
        assert Driver(open_session()).run(pieces).wire == replies, pieces


@settings(deadline=None)
@given(piece_lengths)
def test_a_server_that_reads_late_says_the_same(cut: list[int]) -> None:
    """RFC 2449 section 6.6: whether lines wait or come one by one changes no answer."""
    said = b"".join(line for line, _ in WITH_A_PASSWORD)
    eager = Driver(open_session()).run(in_pieces(said, cut))
    late = Driver(open_session())
    for piece in in_pieces(said, cut):
        late.session.receive(piece)
    late.receive(b"")
    assert late.wire == eager.wire
    assert late.events == eager.events


def test_a_whole_login_fits_one_segment() -> None:
    """RFC 2449 section 6.6: USER, PASS, STAT and UIDL at once; PASS is read after USER's answer."""
    driver = Driver(open_session())
    driver.receive(b"USER alice\r\nPASS " + GOOD_PASSWORD + b"\r\nSTAT\r\nUIDL\r\n")
    assert [type(event) for event in driver.events] == [
        commands.User,
        commands.Pass,
        commands.Stat,
        commands.Uidl,
    ]


def test_a_command_must_be_answered_before_the_next_is_read() -> None:
    """RFC 1939 section 3: one command, one reply; asking on without one is our own bug."""
    session = open_session()
    session.receive(b"CAPA\r\nQUIT\r\n")
    assert session.next_event() == commands.Capa()
    with pytest.raises(LocalProtocolError):
        session.next_event()
    session.answer(Ok(b"done"))
    assert session.next_event() == commands.Quit()


@pytest.mark.parametrize("phase", Phase)
def test_nothing_is_answered_that_was_not_asked(phase: Phase) -> None:
    """RFC 1939 section 3: an answer without a command, or a second one, is our own bug."""
    session = session_in(phase, Security.CLEARTEXT_ALLOWED).session
    with pytest.raises(LocalProtocolError):
        session.answer(Ok(b"done"))
    with pytest.raises(LocalProtocolError):
        session.challenge(b"")
    assert session.phase is phase


@pytest.mark.parametrize("line", [b"NOPE\r\n", b"NOOP\r\n", b"LAST\r\n", b"GET /\r\n"])
def test_what_was_refused_is_answered_already(line: bytes) -> None:
    """RFC 1939 section 3: a refused line has had its one reply, so there is none to give."""
    session = open_session()
    session.receive(line)
    assert isinstance(session.next_event(), Refused | HangUp)
    with pytest.raises(LocalProtocolError):
        session.answer(Ok(b"done"))


def test_a_password_may_be_tried_again_after_a_new_name_only() -> None:
    """RFC 1939 section 7: a failed PASS needs a new USER."""
    driver = Driver(open_session())
    driver.receive(b"USER alice\r\nPASS x\r\nPASS " + GOOD_PASSWORD + b"\r\n")
    assert driver.wire[2] == WRONG_STATE
    driver.receive(b"USER alice\r\nPASS " + GOOD_PASSWORD + b"\r\n")
    assert driver.session.phase is Phase.TRANSACTION


@pytest.mark.parametrize(
    "between", [b"CAPA", b"AUTH", b"NOOP", b"LAST", b"NOPE", b"", b"USER", b"AUTH PLAIN\r\n*"]
)
def test_nothing_comes_between_a_name_and_its_password(between: bytes) -> None:
    """RFC 1939 section 7: PASS stands immediately behind a successful USER."""
    driver = Driver(open_session())
    driver.receive(b"USER alice\r\n" + between + b"\r\nPASS " + GOOD_PASSWORD + b"\r\n")
    assert driver.wire[-1] == WRONG_STATE
    assert driver.session.phase is Phase.AUTHORIZATION


def test_the_last_name_counts() -> None:
    """RFC 1939 section 7: a USER behind a USER replaces the name."""
    driver = Driver(open_session())
    driver.receive(b"USER alice\r\nUSER bob\r\n")
    assert driver.session.phase is Phase.NAMED
    assert driver.last == commands.User(b"bob")


@pytest.mark.parametrize("code", [ResponseCode.IN_USE, ResponseCode.SYS_TEMP, ResponseCode.AUTH])
def test_a_refused_login_leaves_the_connection_free_to_try_again(code: ResponseCode) -> None:
    """RFC 2449 section 8.1.2, RFC 3206 section 4: the session is in AUTHORIZATION again."""
    session = session_in(Phase.NAMED).session
    session.receive(b"PASS x\r\n")
    assert session.next_event() == commands.Pass(Secret(b"x"))
    session.answer(Err(b"not now", code))
    assert session.phase is Phase.AUTHORIZATION
    again = Driver(session)
    again.receive(b"USER alice\r\nPASS " + GOOD_PASSWORD + b"\r\n")
    assert again.wire == [DONE, b"+OK maildrop open\r\n"]


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.NAMED, Phase.TRANSACTION])
def test_nothing_is_read_behind_quit(phase: Phase) -> None:
    """RFC 1939 sections 4 and 6: QUIT ends the session; a later DELE is nobody's."""
    driver = session_in(phase)
    driver.receive(b"QUIT\r\nDELE 1\r\nQUIT\r\n")
    driver.receive(b"DELE 1\r\n")
    assert driver.events == [commands.Quit()]
    assert driver.session.phase is Phase.CLOSED


def test_half_a_quit_is_no_quit() -> None:
    """RFC 1939 section 6: only a QUIT that arrived whole leads to UPDATE."""
    for cut in range(5):
        driver = session_in(Phase.TRANSACTION)
        driver.receive(b"QUIT\r"[:cut])
        assert driver.events == []
        assert driver.session.phase is Phase.TRANSACTION


LINES_AND_LIMITS = {
    "unknown word": (b"", COMMAND_LIMIT_OCTETS),
    "USER": (b"USER ", COMMAND_LIMIT_OCTETS),
    "PASS": (b"PASS ", COMMAND_LIMIT_OCTETS),
    "RETR": (b"RETR ", COMMAND_LIMIT_OCTETS),
    "AUTH with nothing behind": (b"AUTH", COMMAND_LIMIT_OCTETS),
    "AUTH": (b"AUTH PLAIN ", SASL_LIMIT_OCTETS),
    "auth": (b"auth plain ", SASL_LIMIT_OCTETS),
}


@pytest.mark.parametrize(("prefix", "limit"), LINES_AND_LIMITS.values(), ids=LINES_AND_LIMITS)
@pytest.mark.parametrize("ending", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.NAMED, Phase.TRANSACTION])
def test_a_line_at_its_limit_is_read_and_one_octet_over_closes(
    prefix: bytes, limit: int, ending: bytes, phase: Phase
) -> None:
    """RFC 2449 section 4 wants 255 octets, RFC 5034 section 4 more for AUTH; ours: 1024, 12288."""
    line = prefix.ljust(limit - len(ending), b"x") + ending
    fits = session_in(phase)
    fits.receive(line)
    assert len(fits.events) == 1
    assert TOO_LONG not in fits.wire
    assert not fits.closed
    over = session_in(phase)
    over.receive(prefix.ljust(limit + 1 - len(ending), b"x") + ending + b"QUIT\r\n")
    assert over.wire == [TOO_LONG]
    assert over.closed
    assert over.session.phase is Phase.CLOSED


def test_the_limits_are_those_that_were_promised() -> None:
    """RFC 2449 section 4, RFC 5034 section 4: at least 255, and more for SASL."""
    assert (COMMAND_LIMIT_OCTETS, SASL_LIMIT_OCTETS) == (1024, 12_288)


@pytest.mark.parametrize(("size", "closed"), [(SASL_LIMIT_OCTETS, False), (12_289, True)])
@pytest.mark.parametrize("ending", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_a_sasl_answer_has_the_long_limit(size: int, closed: bool, ending: bytes) -> None:
    """RFC 5034 section 4: answers are exempt from the command limit, not from every limit."""
    driver = session_in(Phase.EXCHANGE)
    driver.receive(b"x" * (size - len(ending)) + ending)
    assert driver.closed is closed
    assert (driver.wire == [TOO_LONG]) is closed


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.EXCHANGE, Phase.TRANSACTION])
def test_a_line_that_never_ends_is_refused_once_and_its_rest_not_read(phase: Phase) -> None:
    """RFC 1939 section 3: a flood without LF gets one -ERR; what follows is no command."""
    driver = session_in(phase)
    for _ in range(30):
        driver.receive(b"x" * 500)
    driver.receive(b"\r\nDELE 1\r\nQUIT\r\n")
    assert driver.wire == [TOO_LONG]
    assert driver.closed


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.NAMED, Phase.TRANSACTION])
def test_a_browser_is_cut_off_without_a_word(phase: Phase) -> None:
    """RFC 9110 section 9: an HTTP verb is an attack across protocols (ALPACA): close at once."""
    driver = session_in(phase)
    driver.receive(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nUSER alice\r\n")
    assert driver.events == [HangUp()]
    assert driver.wire == []
    assert driver.session.phase is Phase.CLOSED


def test_a_new_session_waits_for_data_in_authorization() -> None:
    """RFC 1939 section 4: after the greeting the session is in AUTHORIZATION."""
    session = ServerSide(Security.TLS, bad_before_login=10, bad_after_login=20)
    assert session.phase is Phase.AUTHORIZATION
    assert session.security is Security.TLS
    assert session.next_event() == NeedData()
