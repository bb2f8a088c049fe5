"""AUTH and its exchange of challenges and responses (RFC 5034 section 4)."""

import base64

import pytest
from tests.pop3.driving import GOOD_RESPONSE, Driver, open_session, session_in
from tests.pop3.splits import every_split

from mailkeep.pop3 import (
    Err,
    LocalProtocolError,
    NeedData,
    Ok,
    Phase,
    Refused,
    SaslResponse,
    Security,
    commands,
)
from mailkeep.values import Secret

ENCODED = base64.b64encode(GOOD_RESPONSE)


def test_an_empty_challenge_is_a_plus_and_a_space() -> None:
    """RFC 5034 section 4: the space stands even when nothing follows it."""
    session = open_session()
    session.receive(b"AUTH PLAIN\r\n")
    session.next_event()
    assert session.challenge(b"") == b"+ \r\n"
    assert session.phase is Phase.EXCHANGE


def test_a_challenge_is_one_line_of_base64() -> None:
    """RFC 5034 section 4: "+", a space, base64, CRLF; a long challenge is not folded."""
    session = open_session()
    session.receive(b"AUTH X\r\n")
    session.next_event()
    data = bytes(range(256))
    assert session.challenge(data) == b"+ " + base64.b64encode(data) + b"\r\n"


def test_an_initial_response_spares_the_challenge() -> None:
    """RFC 5034 section 4: one round trip; the +OK opens the maildrop."""
    driver = Driver(open_session())
    driver.receive(b"AUTH PLAIN " + ENCODED + b"\r\n")
    assert driver.wire == [b"+OK maildrop open\r\n"]
    assert driver.session.phase is Phase.TRANSACTION


@pytest.mark.parametrize(
    ("line", "initial"),
    [(b"AUTH PLAIN", None), (b"AUTH PLAIN =", Secret(b"")), (b"AUTH PLAIN AA==", Secret(b"\0"))],
)
def test_no_response_and_an_empty_one_are_told_apart(line: bytes, initial: Secret | None) -> None:
    """RFC 5034 section 4: "=" is an initial response of zero octets, nothing is none."""
    session = open_session()
    session.receive(line + b"\r\n")
    assert session.next_event() == commands.Auth("PLAIN", initial)


@pytest.mark.parametrize(
    ("line", "response"), [(b"", b""), (b"AA==", b"\0"), (ENCODED, GOOD_RESPONSE), (b"STLS", None)]
)
def test_a_line_in_an_exchange_is_a_response_and_no_command(
    line: bytes, response: bytes | None
) -> None:
    """RFC 5034 section 4: an empty line is a response of zero octets; commands wait."""
    session = session_in(Phase.EXCHANGE).session
    session.receive(line + b"\r\n")
    expected = base64.b64decode(line) if response is None else response
    assert session.next_event() == SaslResponse(Secret(expected))


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_a_star_cancels(ending: bytes) -> None:
    """RFC 5034 section 4: "*" is answered with -ERR; a login may be tried again."""
    driver = session_in(Phase.EXCHANGE)
    driver.receive(b"*" + ending + b"AUTH PLAIN " + ENCODED + b"\r\n")
    assert driver.wire == [b"-ERR cancelled\r\n", b"+OK maildrop open\r\n"]


@pytest.mark.parametrize(
    "line", [b"* ", b" *", b"**", b"=", b"AAAA=", b"A A=", b"\0", b"\xff", b"AA==\r", b"QUIT x"]
)
def test_a_bad_response_ends_the_exchange(line: bytes) -> None:
    """RFC 5034 section 4: what is not base64 gets -ERR, and the session is in AUTHORIZATION."""
    driver = session_in(Phase.EXCHANGE)
    driver.receive(line + b"\r\n")
    assert driver.wire == [b"-ERR that is not base64\r\n"]
    assert not driver.closed
    assert driver.session.phase is Phase.AUTHORIZATION


def test_an_unknown_mechanism_may_be_refused_by_name() -> None:
    """RFC 5034 section 4: the mechanism is handed on; -ERR leaves the session where it was."""
    session = open_session()
    session.receive(b"auth cram-md5\r\n")
    assert session.next_event() == commands.Auth("CRAM-MD5", None)
    assert session.answer(Err(b"unknown mechanism")) == b"-ERR unknown mechanism\r\n"
    assert session.phase is Phase.AUTHORIZATION


def test_every_response_has_one_answer() -> None:
    """RFC 5034 section 4: challenge and response take turns; anything else is our own bug."""
    session = session_in(Phase.EXCHANGE).session
    with pytest.raises(LocalProtocolError):
        session.challenge(b"again")
    with pytest.raises(LocalProtocolError):
        session.answer(Ok(b"unasked"))
    session.receive(b"AA==\r\nAAA=\r\n")
    session.next_event()
    with pytest.raises(LocalProtocolError):
        session.next_event()
    assert session.challenge(b"more") == b"+ bW9yZQ==\r\n"
    assert session.next_event() == SaslResponse(Secret(b"\0\0"))
    session.answer(Err(b"no"))
    with pytest.raises(LocalProtocolError):
        session.answer(Err(b"no"))
    assert session.phase is Phase.AUTHORIZATION


@pytest.mark.parametrize("line", [b"CAPA", b"USER alice", b"AUTH", b"QUIT"])
def test_only_auth_may_be_challenged(line: bytes) -> None:
    """RFC 5034 section 4: a "+ " to any other command is our own bug, and the answer is owed."""
    session = open_session()
    session.receive(line + b"\r\n")
    session.next_event()
    with pytest.raises(LocalProtocolError):
        session.challenge(b"")
    session.answer(Ok(b"done"))


def test_a_long_exchange_reads_the_same_at_every_split() -> None:
    """RFC 5034 section 4: responses longer than a command line, cut anywhere."""
    long_response = base64.b64encode(b"x" * 3000)
    said = b"AUTH PLAIN\r\n" + long_response + b"\r\nAUTH PLAIN " + long_response + b"\r\nCAPA\r\n"
    for pieces in every_split(said):
        driver = Driver(open_session()).run(pieces)
        assert [type(event) for event in driver.events] == [
            commands.Auth,
            SaslResponse,
            commands.Auth,
            commands.Capa,
        ], [len(piece) for piece in pieces]


def test_an_exchange_that_stops_is_still_an_exchange() -> None:
    """RFC 5034 section 4: half a response is not a response, however long it is waited for."""
    driver = session_in(Phase.EXCHANGE)
    driver.receive(ENCODED)
    assert driver.events == []
    assert driver.session.next_event() == NeedData()
    assert driver.session.phase is Phase.EXCHANGE


@pytest.mark.parametrize("line", [b"AUTH", b"AUTH PLAIN", b"AUTH PLAIN " + ENCODED])
def test_auth_is_refused_before_stls_and_after_login(line: bytes) -> None:
    """RFC 5034 section 4, RFC 8314 section 3.3: only in AUTHORIZATION, only where it is safe."""
    for driver in (
        session_in(Phase.AUTHORIZATION, Security.STLS_FIRST),
        session_in(Phase.TRANSACTION),
    ):
        phase = driver.session.phase
        driver.receive(line + b"\r\n")
        assert isinstance(driver.last, Refused)
        assert driver.session.phase is phase


@pytest.mark.parametrize("said", [b"USER alice\r\nPASS sesame\r\n", b"AUTH PLAIN AHNlc2FtZQ==\r\n"])
def test_no_event_and_no_reply_shows_a_secret(said: bytes) -> None:
    """RFC 4616 section 6: events may be logged, so what they print has no password."""
    driver = Driver(open_session())
    driver.receive(said)
    for text in (repr(driver.events), repr(driver.wire)):
        assert "sesame" not in text
        assert "AHNlc2FtZQ" not in text
