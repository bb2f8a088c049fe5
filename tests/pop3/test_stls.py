"""STLS keeps nothing from before TLS (RFC 2595 section 4)."""

from itertools import accumulate

import pytest
from tests.pop3.driving import Driver, open_session, session_in
from tests.pop3.splits import every_split

from mailkeep.pop3 import Err, NeedData, Ok, Phase, Refused, Security, commands

CLEAR = [Security.STLS_FIRST, Security.CLEARTEXT_ALLOWED]
BEHIND_STLS = b"-ERR nothing may be sent behind STLS before its answer\r\n"


@pytest.mark.parametrize("security", CLEAR)
@pytest.mark.parametrize("said", [b"STLS\r\n", b"stls\n", b"STLS \r\n"])
def test_stls_alone_hands_the_connection_to_tls(security: Security, said: bytes) -> None:
    """RFC 2595 section 4: after +OK this session is spent, whatever else arrives."""
    session = open_session(security)
    session.receive(said)
    assert session.next_event() == commands.Stls()
    assert session.answer(Ok(b"begin")) == b"+OK begin\r\n"
    assert session.phase is Phase.ENCRYPTING
    session.receive(b"USER mallory\r\n")
    assert session.next_event() == NeedData()


@pytest.mark.parametrize("security", CLEAR)
@pytest.mark.parametrize(
    "behind",
    [b"U", b"\n", b"\r", b"\0", b"USER mallory", b"USER mallory\r\n", b"\x16\x03\x01", b"*"],
)
def test_a_byte_behind_stls_is_refused_and_the_connection_closed(
    security: Security, behind: bytes
) -> None:
    """RFC 2595 section 4: a whole line, a part of one or one octet: TLS is never started."""
    driver = Driver(open_session(security))
    driver.receive(b"STLS\r\n" + behind)
    assert driver.wire == [BEHIND_STLS]
    assert driver.closed
    assert driver.session.phase is Phase.CLOSED
    driver.receive(b"\r\nUSER mallory\r\n")
    assert len(driver.events) == 1


@pytest.mark.parametrize("security", CLEAR)
def test_what_is_behind_stls_is_never_read_at_any_split(security: Security) -> None:
    """RFC 2595 section 4: in the same segment or in the next, it is no command."""
    before = b"CAPA\r\nSTLS\r\n"
    for pieces in every_split(before + b"USER mallory\r\nQUIT\r\n"):
        driver = Driver(open_session(security)).run(pieces)
        stls_was_alone = driver.last == commands.Stls()
        assert driver.events[0] == commands.Capa()
        assert len(driver.events) == 2
        assert driver.session.phase is (Phase.ENCRYPTING if stls_was_alone else Phase.CLOSED)
        arrived_alone = len(before) in accumulate(map(len, pieces))
        assert stls_was_alone is arrived_alone, pieces


@pytest.mark.parametrize("security", CLEAR)
def test_a_refused_stls_leaves_the_session_where_it_was(security: Security) -> None:
    """RFC 2595 section 4: -ERR to STLS changes nothing."""
    session = open_session(security)
    session.receive(b"STLS\r\n")
    session.next_event()
    session.answer(Err(b"not now"))
    assert session.phase is Phase.AUTHORIZATION


@pytest.mark.parametrize(
    ("phase", "security"),
    [
        (Phase.AUTHORIZATION, Security.TLS),
        (Phase.NAMED, Security.TLS),
        (Phase.TRANSACTION, Security.TLS),
        (Phase.TRANSACTION, Security.CLEARTEXT_ALLOWED),
    ],
)
def test_stls_under_tls_or_after_login_is_refused(phase: Phase, security: Security) -> None:
    """RFC 2595 section 4: -ERR, the connection stays, and what is behind it is a command."""
    driver = session_in(phase, security)
    driver.receive(b"STLS\r\nCAPA\r\n")
    assert driver.wire[0] == b"-ERR not in this state\r\n"
    assert driver.last == commands.Capa()
    assert not driver.closed


def test_a_malformed_stls_starts_nothing() -> None:
    """RFC 2595 section 4: STLS takes no argument."""
    driver = Driver(open_session(Security.STLS_FIRST))
    driver.receive(b"STLS now\r\nSTLS  \r\nCAPA\r\n")
    assert [type(event) for event in driver.events] == [Refused, Refused, commands.Capa]


@pytest.mark.parametrize(
    "line", [b"USER alice", b"PASS sesame", b"AUTH", b"AUTH PLAIN", b"AUTH PLAIN AGEAYg==", b"STAT"]
)
def test_before_stls_the_answer_says_what_to_do(line: bytes) -> None:
    """RFC 8314 section 3.3: a login in clear text is refused before its password is looked at."""
    driver = Driver(open_session(Security.STLS_FIRST))
    driver.receive(line + b"\r\n")
    assert driver.wire == [b"-ERR STLS first\r\n"]


def test_a_name_given_in_clear_is_forgotten() -> None:
    """RFC 2595 section 4: after the handshake a new session starts, and PASS has no name."""
    before = session_in(Phase.NAMED, Security.CLEARTEXT_ALLOWED)
    before.receive(b"STLS\r\n")
    assert before.session.phase is Phase.ENCRYPTING
    after = Driver(open_session(Security.TLS))
    after.receive(b"PASS sesame\r\n")
    assert after.wire == [b"-ERR not in this state\r\n"]
