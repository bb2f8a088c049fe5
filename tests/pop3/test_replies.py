"""How replies look on the wire (RFC 1939 section 3, RFC 2449 section 8)."""

import re

import pytest

from mailkeep.pop3 import Err, Ok, OkLines, Reply, ResponseCode, server_side
from mailkeep.pop3.commands import BadCommand, parse_command
from mailkeep.pop3.replies import REPLY_LIMIT_OCTETS

BAD_LINES = [
    b"", b"NOPE", b"STAT 1", b"STAT  ", b"LIST 1 2", b"LIST x", b"RETR", b"RETR 0", b"TOP 1",
    b"TOP 1 x", b"USER", b"PASS", b"AUTH =", b"AUTH PLAIN !", b"AUTH PLAIN = =", b"UIDL 1  ",
    b"LANG x y", b"UTF8 x",
]  # fmt: skip
CONSTANT_REFUSALS = [value for value in vars(server_side).values() if isinstance(value, Err)]


def refusal_of(line: bytes) -> Err:
    with pytest.raises(BadCommand) as refused:
        parse_command(line)
    return Err(str(refused.value).encode())


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Ok(b"2 320"), b"+OK 2 320\r\n"),
        (Err(b"no such message"), b"-ERR no such message\r\n"),
        (Err(b"refused", ResponseCode.AUTH), b"-ERR [AUTH] refused\r\n"),
        (Err(b"busy", ResponseCode.IN_USE), b"-ERR [IN-USE] busy\r\n"),
        (Err(b"later", ResponseCode.SYS_TEMP), b"-ERR [SYS/TEMP] later\r\n"),
        (Err(b"wait", ResponseCode.LOGIN_DELAY), b"-ERR [LOGIN-DELAY] wait\r\n"),
        (Err(b"not as it is", ResponseCode.UTF8), b"-ERR [UTF8] not as it is\r\n"),
        (Err(b"never", ResponseCode.SYS_PERM), b"-ERR [SYS/PERM] never\r\n"),
        (OkLines(b"listing", ()), b"+OK listing\r\n.\r\n"),
        (OkLines(b"listing", (b"1 120", b"2 200")), b"+OK listing\r\n1 120\r\n2 200\r\n.\r\n"),
    ],
)
def test_a_reply_is_an_indicator_in_upper_case_one_space_and_a_text(
    reply: Reply, wire: bytes
) -> None:
    """RFC 1939 section 3: +OK or -ERR; every line ends with CRLF, a listing with a lone dot."""
    assert reply.wire() == wire


@pytest.mark.parametrize("code", ResponseCode)
def test_a_code_is_followed_by_one_space(code: ResponseCode) -> None:
    """RFC 2449 section 8, RFC 3206 section 4: [CODE] stands before the text of an -ERR."""
    assert re.fullmatch(rb"-ERR (\[[A-Z8/-]+\] )?why\r\n", Err(b"why", code).wire())


@pytest.mark.parametrize(
    "refusal",
    [*CONSTANT_REFUSALS, *map(refusal_of, BAD_LINES)],
    ids=lambda refusal: refusal.text.decode(),
)
def test_a_refusal_of_ours_is_short_plain_text_without_a_code(refusal: Err) -> None:
    """RFC 1939 section 3: 512 octets; RFC 2449 section 6.4: only a code starts with a bracket."""
    assert len(refusal.wire()) <= REPLY_LIMIT_OCTETS
    assert re.fullmatch(rb"-ERR [!-Z\\-~]([ -~]*[!-~])?\r\n", refusal.wire())
    assert b"  " not in refusal.wire()


def test_every_refusal_of_the_session_is_looked_at() -> None:
    """RFC 2449 section 6.4: the test above must not go blind when constants move."""
    assert Err(b"line too long") in CONSTANT_REFUSALS
    assert REPLY_LIMIT_OCTETS == 512


@pytest.mark.parametrize("sent", [b"<script>", b"\xff\xfe", b"x" * 900, b"sesame"])
def test_what_a_client_sent_is_never_said_back(sent: bytes) -> None:
    """RFC 1939 section 3: a reply has its limit, and it is no way to write somebody's octets."""
    for line in (sent, b"STAT " + sent, b"RETR " + sent, b"TOP 1 " + sent, b"AUTH PLAIN !" + sent):
        assert sent not in refusal_of(line).wire()
