"""AUTHORIZATION (RFC 1939 section 4, RFC 5034): who is let in, and what the rest learns."""

import base64

import pytest
from tests.server.parts import PASSWORD, OnePassword, Recorder, full_store, make_meeting
from tests.server.talking import Talk, settle

from mailkeep.accounts import CheckUnavailable
from mailkeep.events import EventType
from mailkeep.site import Limits

PLAIN = base64.b64encode(b"\0alice\0" + PASSWORD)
WRONG = base64.b64encode(b"\0alice\0wrong")


async def _talk(**parts: object) -> Talk:
    talk = Talk(make_meeting(full_store(), **parts))  # type: ignore[arg-type]  # passed on
    assert await talk.say() == b"+OK POP3 ready\r\n"
    return talk


async def test_the_greeting_comes_first_and_names_nobody() -> None:
    """RFC 1939 section 4; a scanner learns no product and no version."""
    await _talk()


async def test_user_is_ok_for_any_name() -> None:
    """RFC 1939 section 13: it tells nobody who has an account."""
    talk = await _talk()
    names = [b"alice", b"nobody", b"a\0b", b"\xff\xfe", b"\xc3", "ä".encode(), b"../../etc/passwd"]
    answers = {await talk.say(b"USER %b\r\n" % name) for name in names}
    assert len(answers) == 1
    assert answers.pop().startswith(b"+OK ")


@pytest.mark.parametrize(
    "name", [b"nobody", b"al\0ice", b"\xff\xfe", b"caf\xc3", b"a\rb", b"alice@" + b"x" * 900]
)
async def test_every_refused_login_gets_the_same_answer(name: bytes) -> None:
    """RFC 3206 section 4: [AUTH], whatever the reason, NUL and half a UTF-8 sequence included."""
    check = OnePassword()
    talk = await _talk(check=check)
    await talk.say(b"USER %b\r\n" % name)
    answer = await talk.say(b"PASS %b\r\n" % PASSWORD)
    assert answer == b"-ERR [AUTH] login refused\r\n"
    assert check.asked == [name]


async def test_a_check_that_fails_is_never_a_wrong_password() -> None:
    """RFC 3206 section 4: [SYS/TEMP], or clients forget good passwords when a disk is full."""
    check, sink = OnePassword(), Recorder()
    check.fails = CheckUnavailable("the database is gone")
    talk = await _talk(check=check, sink=sink)
    answer = await talk.log_in()
    assert answer.startswith(b"-ERR [SYS/TEMP] ")
    assert b"database" not in answer
    assert len(sink.of(EventType.LOGIN_DEFERRED)) == 1
    check.fails = None
    assert (await talk.log_in()).startswith(b"+OK ")


async def test_pass_takes_the_rest_of_the_line() -> None:
    """RFC 1939 section 7: spaces belong to the password, one more makes another one."""
    for wrong in (PASSWORD + b" ", b" " + PASSWORD):
        talk = await _talk()
        await talk.say(b"USER alice\r\n")
        assert (await talk.say(b"PASS %b\r\n" % wrong)).startswith(b"-ERR [AUTH]")
        assert (await talk.log_in()).startswith(b"+OK ")


async def test_a_refused_pass_needs_a_new_user() -> None:
    """RFC 1939 section 7: PASS only straight after USER."""
    check = OnePassword()
    talk = await _talk(check=check)
    await talk.say(b"USER alice\r\n")
    await talk.say(b"PASS wrong\r\n")
    assert not (await talk.say(b"PASS %b\r\n" % PASSWORD)).startswith(b"+OK")
    assert check.asked == [b"alice"]


@pytest.mark.parametrize(
    "lines",
    [
        [b"AUTH PLAIN " + PLAIN],
        [b"auth plain", PLAIN],
        [b"AUTH PLAIN", b"*", b"AUTH PLAIN", PLAIN],
        [b"AUTH PLAIN " + WRONG, b"AUTH PLAIN " + PLAIN],
        [b"AUTH FOO", b"AUTH PLAIN " + PLAIN],
        [b"AUTH PLAIN =", b"AUTH PLAIN " + PLAIN],
        [b"AUTH PLAIN !!", b"AUTH PLAIN", b"!!", b"AUTH PLAIN", PLAIN],
    ],
)
async def test_auth_plain_with_and_without_an_initial_response(lines: list[bytes]) -> None:
    """RFC 5034 section 4: each answer is one line, and a failure leaves AUTHORIZATION as it was."""
    talk, answer = await _talk(), b""
    for line in lines:
        answer = await talk.say(line + b"\r\n")
        assert answer.count(b"\r\n") == 1, line
        assert answer.startswith((b"-ERR ", b"+ \r\n", b"+OK the maildrop is open")), line
    assert answer.startswith(b"+OK ")
    assert (await talk.say(b"STAT\r\n")).startswith(b"+OK 4 ")


async def test_auth_alone_lists_the_mechanisms() -> None:
    """Outlook and Thunderbird ask this way."""
    listed = (await (await _talk()).say(b"AUTH\r\n")).splitlines()[1:]
    assert listed == [b"SCRAM-SHA-256", b"PLAIN", b"."]


async def test_bad_commands_in_a_row_close_before_login_and_later_after_it() -> None:
    """A stranger has ten, an old program that was let in twenty; the last one is answered."""
    limits = Limits()
    talk = await _talk()
    bad = limits.bad_commands_before_login
    assert (await talk.say(b"FOO\r\n" * (bad + 5))).count(b"-ERR ") == bad
    talk.transport.finish()
    await settle()
    assert talk.is_closed()
    talk = await _talk()
    await talk.log_in()
    bad = limits.bad_commands_after_login
    await talk.say(b"FOO\r\n" * (bad - 1) + b"NOOP\r\n")
    assert (await talk.say(b"FOO\r\n" * (bad + 5))).count(b"-ERR ") == bad


async def test_bad_octets_are_answered_and_the_session_lives() -> None:
    """RFC 1939 section 3: -ERR to what is no command; nothing crashes on an empty line."""
    talk = await _talk()
    for line in (b"", b":", b" ", b"\0", b"\xff", b"\r", b"USER\0alice", b"CAPA now"):
        assert (await talk.say(line + b"\r\n")).startswith(b"-ERR "), line
    assert (await talk.log_in()).startswith(b"+OK ")
