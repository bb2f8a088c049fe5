"""A login and the door: what it is asked, in which order, and what the client learns of it."""

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.server.parts import (
    ALICE,
    PASSWORD,
    OnePassword,
    OpenDoor,
    Recorder,
    full_store,
    make_meeting,
)
from tests.server.talking import Talk

from mailkeep.accounts import Admission, CheckUnavailable, Claim, Device, Identified, May
from mailkeep.defence import (
    Attempt,
    Ban,
    Consequences,
    DoorUnavailable,
    Let,
    Success,
    Turned,
    Turning,
    Welcome,
)
from mailkeep.events import EventType
from mailkeep.site import Limits
from mailkeep.values import AccountId, DeviceId, IpAddress

REFUSED = b"-ERR [AUTH] login refused\r\n"
RIGHT = base64.b64encode(b"\0alice\0" + PASSWORD)
WRONG = base64.b64encode(b"\0alice\0wrong")
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRINTER = Device(
    id=DeviceId(5),
    account=ALICE,
    name="printer",
    may=May.READ,
    networks=(),
    until=None,
    created=_NOW,
    last_used=None,
    last_address=None,
    last_client=None,
)


async def _talk(door: OpenDoor, **parts: object) -> Talk:
    talk = Talk(make_meeting(full_store(), door=door, **parts))  # type: ignore[arg-type]  # passed on
    await talk.say()
    return talk


async def test_a_guess_is_asked_about_before_it_is_looked_at() -> None:
    """What the door turns away costs no hash and no look at the password."""
    door, check, sink = OpenDoor(), OnePassword(), Recorder()
    door.turns = Turned(Turning.THROTTLED, 0.0)
    talk = await _talk(door, check=check, sink=sink)
    assert await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT) == REFUSED
    assert check.asked == []
    [attempt] = door.attempts
    assert (attempt.name, str(attempt.source), attempt.mechanism) == ("alice", "192.0.2.7", "PLAIN")
    assert attempt.password_seal == b"sealed" + PASSWORD
    assert door.ends == []
    assert sink.of(EventType.LOGIN_REFUSED)[0]["reason"] == "throttled"


async def test_every_attempt_ends_once() -> None:
    """A place that is not given back would lock its whole prefix out."""
    door, check = OpenDoor(), OnePassword()
    talk = await _talk(door, check=check)
    await talk.say(b"AUTH PLAIN %b\r\n" % WRONG)
    assert door.ends == ["fail"]
    check.fails = CheckUnavailable("no room")
    await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)
    assert door.ends == ["fail", "give up"]
    check.fails = None
    await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)
    assert door.ends == ["fail", "give up", "succeed"]


async def test_a_client_that_left_while_it_waited_gives_its_place_back() -> None:
    """Guesses that nobody waits for are not looked at, so leaving early teaches nothing."""
    door, check = OpenDoor(), OnePassword()
    talk = await _talk(door, check=check)
    door.delayed_s = 0.000_000_5
    talk.transport.send(b"AUTH PLAIN %b\r\n" % RIGHT)
    talk.transport.reset()
    await talk.task
    assert check.asked == []
    assert door.ends == ["give up"]


@pytest.mark.parametrize(
    "turning", [one for one in Turning if one is not Turning.LOGIN_DELAY], ids=lambda one: one.name
)
async def test_right_credentials_that_the_door_refuses_look_like_wrong_ones(
    turning: Turning,
) -> None:
    """The outside learns nothing: the same octets, and no session."""
    door, sink = OpenDoor(), Recorder()
    door.welcome = Welcome(turning, familiar=False)
    talk = await _talk(door, sink=sink)
    assert await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT) == REFUSED
    assert sink.of(EventType.LOGIN_ACCEPTED) == []
    assert sink.of(EventType.LOGIN_REFUSED)[0]["reason"] == turning.value
    is_hot = turning is Turning.HOT_PASSWORD
    assert len(sink.of(EventType.HOT_PASSWORD_RIGHT)) == is_hot


async def test_a_login_too_soon_is_told_so() -> None:
    """RFC 2449 section 8.1.1: [LOGIN-DELAY], after credentials that are right."""
    door = OpenDoor()
    door.welcome = Welcome(Turning.LOGIN_DELAY, familiar=True)
    talk = await _talk(door)
    assert (await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)).startswith(b"-ERR [LOGIN-DELAY] ")


async def test_a_door_that_cannot_tell_is_no_refusal() -> None:
    """RFC 3206 section 4: [SYS/TEMP], or clients forget good passwords."""
    door = OpenDoor()
    door.unavailable = DoorUnavailable("the policy server is away")
    talk = await _talk(door)
    assert (await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)).startswith(b"-ERR [SYS/TEMP] ")
    door.unavailable = None
    assert (await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)).startswith(b"+OK ")


async def test_the_third_refusal_ends_the_connection() -> None:
    """Each further guess costs a guesser another handshake."""
    talk = await _talk(OpenDoor())
    answers = [await talk.say(b"AUTH PLAIN %b\r\n" % WRONG) for _ in range(3)]
    assert answers == [REFUSED] * 3
    assert await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT) == b""


async def test_what_could_not_be_checked_does_not_count_against_a_connection() -> None:
    """An overloaded server must not throw its users out."""
    door, check = OpenDoor(), OnePassword()
    talk = await _talk(door, check=check)
    check.fails = CheckUnavailable("no room")
    for _ in range(5):
        await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)
    check.fails = None
    assert (await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)).startswith(b"+OK ")


async def test_a_device_that_is_refused_is_no_guess() -> None:
    """An expired printer that asks each minute must not get its office banned."""
    door, check = OpenDoor(), OnePassword()
    check.device = PRINTER
    talk = await _talk(door, check=check)
    assert await talk.say(b"AUTH PLAIN %b\r\n" % WRONG) == REFUSED
    assert set(door.ends) == {"give up"}
    assert len(door.ends) == len(door.attempts)
    assert door.attempts[0].is_sure
    assert door.attempts[0].password_seal is None


async def test_what_a_failure_brought_about_is_told() -> None:
    """A ban and a main password under attack are for the operator."""
    door, sink = OpenDoor(), Recorder()
    door.consequences = Consequences(Ban("192.0.2.7/32", 900, "10 failures"), guessed_at=100)
    talk = await _talk(door, sink=sink)
    await talk.say(b"AUTH PLAIN %b\r\n" % WRONG)
    [ban] = sink.of(EventType.PREFIX_BANNED)
    assert ban == {"prefix": "192.0.2.7/32", "seconds": 900, "reason": "10 failures"}
    [guessed] = sink.of(EventType.MAIN_PASSWORD_GUESSED_AT)
    assert guessed == {"account": "alice", "failures": 100}


async def test_a_device_that_may_only_read_deletes_nothing() -> None:
    """`--may read`: DELE is refused for good (RFC 3206 section 4: [SYS/PERM])."""
    check = OnePassword()
    check.device = PRINTER
    talk = await _talk(OpenDoor(), check=check)
    await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)
    assert (await talk.say(b"DELE 1\r\n")).startswith(b"-ERR [SYS/PERM] ")
    assert (await talk.say(b"STAT\r\n")).startswith(b"+OK 4 ")
    await talk.say(b"QUIT\r\n")


async def test_where_the_record_has_no_room_a_login_waits() -> None:
    """Nobody gets in without a trace."""
    sink = Recorder(room=asyncio.Event())
    talk = await _talk(OpenDoor(), sink=sink)
    assert await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT) == b""
    assert sink.room is not None
    sink.room.set()
    assert (await talk.say()).startswith(b"+OK ")


async def test_where_the_record_has_no_room_a_removal_waits() -> None:
    """No message is removed without a trace."""
    sink = Recorder()
    talk = await _talk(OpenDoor(), sink=sink)
    await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)
    sink.room = asyncio.Event()
    assert await talk.say(b"DELE 1\r\nQUIT\r\n") == b"+OK marked as deleted\r\n"
    assert sink.of(EventType.DELETION_DONE) == []
    sink.room.set()
    assert (await talk.say()).endswith(b"+OK bye\r\n")
    assert len(sink.of(EventType.DELETION_DONE)) == 1


async def test_an_account_has_only_so_many_sessions() -> None:
    """`connections_per_account`: those that wait for the maildrop count too."""
    limits = Limits(connections_per_account=1, refusal_ms=0)
    meeting = make_meeting(full_store(), limits=limits)
    first = Talk(meeting)
    assert (await first.log_in()).startswith(b"+OK ")
    second = Talk(meeting)
    assert (await second.log_in()).startswith(b"-ERR [IN-USE] ")
    assert (await first.say(b"QUIT\r\n")).startswith(b"+OK ")
    assert (await second.log_in()).startswith(b"+OK ")


async def test_a_revoked_session_ends_at_once_and_removes_nothing() -> None:
    """`device revoke`: what is marked stays, because QUIT never came."""
    check, sink = OnePassword(), Recorder()
    meeting = make_meeting(full_store(), check=check, sink=sink)
    talk, other = Talk(meeting), Talk(meeting)
    await talk.log_in()
    await other.log_in(b"bob")
    await talk.say(b"DELE 1\r\n")
    check.revoked.add(ALICE)
    await meeting.sessions.end_revoked(None, check.is_still_good, sink)
    await talk.say()
    assert talk.is_closed()
    assert not other.is_closed()
    assert sink.of(EventType.SESSION_REVOKED)[0]["account"] == "alice@example.com"
    assert sink.of(EventType.SESSION_ENDED)[0]["removed"] == 0
    assert meeting.sessions.count(AccountId(1)) == 0


async def test_every_refusal_takes_the_same_time() -> None:
    """With the same counters: wrong, unknown, throttled, hot; whatever was computed for it."""
    throttled, hot = OpenDoor(), OpenDoor()
    throttled.turns = Turned(Turning.THROTTLED, 0.0)
    hot.welcome = Welcome(Turning.HOT_PASSWORD, familiar=False)
    nobody = base64.b64encode(b"\0nobody\0wrong")
    for door, response in (
        (OpenDoor(), WRONG),
        (OpenDoor(), nobody),
        (throttled, RIGHT),
        (hot, RIGHT),
    ):
        talk = await _talk(door, limits=Limits(refusal_ms=250))
        talk.transport.send(b"AUTH PLAIN %b\r\n" % response)
        await asyncio.sleep(0.249)
        assert talk.heard() == b""
        await asyncio.sleep(0.002)
        assert talk.heard() == REFUSED


async def test_a_right_login_waits_for_nothing() -> None:
    """Only refusals have a floor."""
    talk = await _talk(OpenDoor(), limits=Limits(refusal_ms=250))
    assert (await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)).startswith(b"+OK ")


async def test_a_credential_revoked_while_it_logs_in_is_refused() -> None:
    """Between the check and the session nobody would end it: it is looked at again."""
    check, sink = OnePassword(), Recorder(room=asyncio.Event())
    meeting = make_meeting(full_store(), check=check, sink=sink)
    talk = Talk(meeting)
    await talk.say()
    assert await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT) == b""  # let in, and waits for the record
    check.revoked.add(ALICE)
    await meeting.sessions.end_revoked(ALICE, check.is_still_good, sink)
    assert sink.room is not None
    sink.room.set()
    assert await talk.say() == REFUSED
    assert len(sink.of(EventType.SESSION_REVOKED)) == 1
    assert sink.of(EventType.LOGIN_ACCEPTED) == []


class SlowDoor(OpenDoor):
    """Guesses wait for eight seconds, and what cannot be guessed does not."""

    async def ask(self, attempt: Attempt) -> Let | Turned:
        self.delayed_s = 0.0 if attempt.is_sure else 8.0
        return await super().ask(attempt)


async def _is_answered_like_a_guess(door: OpenDoor, response: bytes) -> bool:
    """Tell whether a refusal comes when a wrong password's would come from a slow door."""
    check = OnePassword()
    check.device = PRINTER
    talk = await _talk(door, check=check, limits=Limits(refusal_ms=250))
    talk.transport.send(b"AUTH PLAIN %b\r\n" % response)
    await asyncio.sleep(8.249)
    heard = talk.heard()
    await asyncio.sleep(0.002)
    return heard == b"" and talk.heard() == REFUSED


async def test_a_proof_that_is_refused_waits_as_long_as_a_guess() -> None:
    """Who has stolen a password that is good only elsewhere must not learn that it is one."""
    door = SlowDoor()
    assert await _is_answered_like_a_guess(door, WRONG)
    assert [attempt.is_sure for attempt in door.attempts] == [True, False]
    assert "fail" not in door.ends


async def test_a_proof_that_the_door_refuses_waits_as_long_as_a_guess() -> None:
    """The same from a new country; but whoever comes too soon is told so at once."""
    door = SlowDoor()
    door.welcome = Welcome(Turning.NEW_COUNTRY, familiar=True)
    assert await _is_answered_like_a_guess(door, RIGHT)
    assert door.ends == ["succeed", "give up"]
    door.welcome = Welcome(Turning.LOGIN_DELAY, familiar=True)
    assert not await _is_answered_like_a_guess(door, RIGHT)


class Owing(OnePassword):
    """A check whose right credentials have cost no hash."""

    async def verify(self, identified: Identified, source: IpAddress) -> Admission:
        return replace(await super().verify(identified, source), owes_a_hash=True)

    async def pay(self, identified: Identified) -> None:
        self.asked.append(b"hash for %b" % identified.name.encode())


async def test_right_credentials_that_are_refused_cost_what_wrong_ones_do() -> None:
    """While hashes wait for each other, a quick refusal would say that the password is right."""
    door, check = OpenDoor(), Owing()
    door.welcome = Welcome(Turning.GUESSED_AT, familiar=False)
    talk = await _talk(door, check=check)
    assert await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT) == REFUSED
    assert check.asked == [b"alice", b"hash for alice"]
    await talk.say(b"AUTH PLAIN %b\r\n" % WRONG)
    door.welcome = Welcome(None, familiar=True)
    await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)
    assert check.asked[2:] == [b"alice", b"alice"]


class LostDoor(OpenDoor):
    """A door that goes away while a guess is looked at."""

    async def fail(self, let: Let, *, account: AccountId | None) -> Consequences:
        await super().fail(let, account=account)
        raise DoorUnavailable("it is away")

    async def succeed(self, let: Let, success: Success) -> Welcome:
        await super().succeed(let, success)
        raise DoorUnavailable("it is away")


async def test_a_door_that_goes_away_meanwhile_tells_nobody_which_it_was() -> None:
    """Right or wrong: the same words after the same time and the same work."""
    for response, work in ((RIGHT, [b"alice", b"hash for alice"]), (WRONG, [b"alice"])):
        check = Owing()
        talk = await _talk(LostDoor(), check=check, limits=Limits(refusal_ms=250))
        talk.transport.send(b"AUTH PLAIN %b\r\n" % response)
        await asyncio.sleep(0.249)
        assert talk.heard() == b""
        await asyncio.sleep(0.002)
        assert talk.heard().startswith(b"-ERR [SYS/TEMP] ")
        assert check.asked == work


async def test_a_guess_is_not_looked_at_while_the_record_has_no_room() -> None:
    """A wrong one would leave no trace; who leaves meanwhile is soon waited for no more."""
    door, check, sink = OpenDoor(), OnePassword(), Recorder(room=asyncio.Event())
    talk = await _talk(door, check=check, sink=sink)
    assert await talk.say(b"AUTH PLAIN %b\r\n" % WRONG) == b""
    await asyncio.sleep(10)
    assert (door.attempts, check.asked) == ([], [])
    talk.transport.reset()
    await asyncio.sleep(1.1)
    assert talk.task.done()
    assert door.attempts == []


async def test_who_leaves_with_the_answer_that_he_was_right_leaves_a_trace() -> None:
    """The record has no room, the client goes: somebody has tried a password, and it was right."""
    sink = Recorder()

    class FillingUp(OnePassword):
        async def identify(self, claim: Claim) -> Identified:
            sink.room = asyncio.Event()
            return await super().identify(claim)

    talk = await _talk(OpenDoor(), check=FillingUp(), sink=sink)
    assert await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT) == b""
    talk.transport.reset()
    await asyncio.sleep(2.1)
    assert talk.task.done()
    [told] = sink.of(EventType.LOGIN_REFUSED)
    assert (told["name"], told["reason"][:5]) == ("alice", "right")


async def test_a_login_that_is_cancelled_gives_its_place_back() -> None:
    """A server that stops in the middle of a check."""
    door, check = OpenDoor(), OnePassword()
    check.held = asyncio.Event()
    talk = await _talk(door, check=check)
    await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)
    talk.task.cancel()
    await asyncio.wait({talk.task})
    assert door.ends == ["give up"]


async def test_a_bug_in_a_check_gives_the_place_back() -> None:
    """Whatever is raised; the connection alone ends."""
    door, check, sink = OpenDoor(), OnePassword(), Recorder()
    check.fails = ZeroDivisionError()
    talk = await _talk(door, check=check, sink=sink)
    await talk.say(b"AUTH PLAIN %b\r\n" % RIGHT)
    assert door.ends == ["give up"]
    assert len(sink.of(EventType.INTERNAL_ERROR)) == 1
    assert talk.is_closed()
