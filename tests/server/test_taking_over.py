"""One maildrop, one session (RFC 1939 section 4): who is told so, and when a ghost gives way."""

import asyncio

from tests.server.parts import ALICE, HeldStore, HugeStore, Recorder, full_store, make_meeting
from tests.server.talking import Talk, logged_in, settle

from mailkeep.events import EventType
from mailkeep.maildrop import MaildropUnavailable
from mailkeep.site import Limits

LIMITS = Limits()
IN_USE = b"-ERR [IN-USE] "


async def test_in_use_is_told_after_correct_credentials_only() -> None:
    """RFC 2449 section 8.1.2: before that it would tell a stranger who reads mail."""
    meeting = make_meeting(full_store())
    await logged_in(meeting)
    talk = Talk(meeting)
    await talk.say(b"USER alice\r\n")
    assert (await talk.say(b"PASS wrong\r\n")).startswith(b"-ERR [AUTH] ")
    assert (await talk.log_in()).startswith(IN_USE)


async def test_a_connection_that_met_a_holder_may_try_again() -> None:
    """RFC 1939 section 4: after -ERR to PASS another USER may be said; then the holder left."""
    meeting = make_meeting(full_store())
    holder, talk = await logged_in(meeting), Talk(meeting)
    for _ in range(20):  # more often than bad commands would be forgiven
        assert (await talk.log_in()).startswith(IN_USE)
    await holder.say(b"QUIT\r\n")
    assert (await talk.log_in()).startswith(b"+OK ")


async def test_another_maildrop_is_not_in_use() -> None:
    """The lease is on one maildrop."""
    meeting = make_meeting(full_store())
    await logged_in(meeting)
    await logged_in(meeting, b"bob")


async def test_the_lease_falls_with_the_connection() -> None:
    """RFC 1939 section 4: the lock is held until the session ends, however it ends."""
    meeting = make_meeting(full_store())
    for last_words in (b"GET / HTTP/1.1\r\n", b"x" * 2000, b"FOO\r\n" * 20, b"QUIT\r\n"):
        await (await logged_in(meeting)).say(last_words)
    (await logged_in(meeting)).transport.finish()
    await settle()
    (await logged_in(meeting)).transport.reset()
    await settle()
    idle = await logged_in(meeting)
    await asyncio.sleep(LIMITS.idle_s)
    await logged_in(meeting)
    assert idle.is_closed()


async def test_a_silent_session_gives_way_to_its_owner_without_update() -> None:
    """Its client is gone and only timers would end it; what it marked stays."""
    store, sink = full_store(), Recorder()
    before = store.uidls(ALICE)
    meeting = make_meeting(store, sink=sink)
    ghost = await logged_in(meeting)
    await ghost.say(b"DELE 1\r\n")
    await asyncio.sleep(LIMITS.takeover_after_s)
    owner = await logged_in(meeting)
    assert ghost.is_closed()
    assert ghost.heard() == b""
    assert ghost.transport.lost.result() == "aborted"
    assert (await owner.say(b"STAT\r\n")).startswith(b"+OK 4 ")
    assert store.uidls(ALICE) == before
    assert len(sink.of(EventType.MAILDROP_TAKEN_OVER)) == 1
    assert (await Talk(meeting).log_in()).startswith(IN_USE)


async def test_a_session_that_spoke_lately_keeps_its_maildrop() -> None:
    """One second short of the limit is not silent."""
    meeting = make_meeting(full_store())
    holder = await logged_in(meeting)
    await asyncio.sleep(LIMITS.takeover_after_s - 1)
    assert (await Talk(meeting).log_in()).startswith(IN_USE)
    await holder.say(b"NOOP\r\n")
    await asyncio.sleep(LIMITS.takeover_after_s - 1)
    assert (await Talk(meeting).log_in()).startswith(IN_USE)
    assert not holder.is_closed()


async def test_a_wrong_password_takes_nothing_over() -> None:
    """Only who proves the same credential may end a session."""
    meeting = make_meeting(full_store())
    holder = await logged_in(meeting)
    await asyncio.sleep(LIMITS.takeover_after_s * 2)
    stranger = Talk(meeting)
    await stranger.say(b"USER alice\r\nPASS wrong\r\n")
    assert not holder.is_closed()


async def test_a_holder_that_is_being_sent_a_body_is_not_silent() -> None:
    """It owes us no word: we owe it octets."""
    limits = Limits(output_stall_s=0, output_rate_window_s=0)
    meeting = make_meeting(HugeStore(65536 * 100), limits=limits)
    holder = await logged_in(meeting)
    holder.transport.stop_reading()
    await holder.say(b"RETR 1\r\n")
    await asyncio.sleep(LIMITS.takeover_after_s * 5)
    assert holder.connection.silent_s() == 0


async def test_the_last_octets_of_a_body_keep_their_holder_from_being_silent() -> None:
    """All is written and the client still reads: the next word cannot be expected yet."""
    limits = Limits(output_stall_s=0, output_rate_window_s=0)
    meeting = make_meeting(full_store(), limits=limits)
    holder = await logged_in(meeting)
    holder.transport.stop_reading()
    await holder.say(b"RETR 4\r\n")
    await asyncio.sleep(LIMITS.takeover_after_s * 2)
    assert (await Talk(meeting).log_in()).startswith(IN_USE)
    assert not holder.is_closed()


async def test_a_holder_in_its_commit_is_not_silent() -> None:
    """A disk that takes minutes is no reason to let two sessions into one maildrop."""
    store = HeldStore(full_store())
    store.committing = asyncio.Event()
    meeting = make_meeting(store)
    holder = await logged_in(meeting)
    await holder.say(b"DELE 1\r\nQUIT\r\n")
    await asyncio.sleep(LIMITS.takeover_after_s * 5)
    assert (await Talk(meeting).log_in()).startswith(IN_USE)
    store.committing.set()
    await settle()
    assert (await logged_in(meeting)).connection is not holder.connection


async def test_a_limit_of_zero_takes_nothing_over() -> None:
    """0 switches taking over off."""
    meeting = make_meeting(full_store(), limits=Limits(takeover_after_s=0, idle_s=0))
    await logged_in(meeting)
    await asyncio.sleep(100_000)
    assert (await Talk(meeting).log_in()).startswith(IN_USE)


async def test_a_holder_in_another_process_is_in_use() -> None:
    """Nobody here can tell how long it was silent."""
    store = full_store()
    await logged_in(make_meeting(store))
    await asyncio.sleep(LIMITS.takeover_after_s)
    assert (await Talk(make_meeting(store)).log_in()).startswith(IN_USE)


async def test_a_store_that_cannot_open_is_sys_temp() -> None:
    """RFC 3206 section 4: never [AUTH], or the client forgets its password."""

    class Broken:
        async def open(self, *_: object, timeout_s: float) -> object:
            raise MaildropUnavailable(f"the disk is gone ({timeout_s})")

    talk = Talk(make_meeting(Broken()))  # type: ignore[arg-type]  # it opens nothing
    answer = await talk.log_in()
    assert answer.startswith(b"-ERR [SYS/TEMP] ")
    assert b"disk" not in answer
