"""What a stop does to a session: between commands it ends, within one the command ends first."""

import asyncio

from tests.server.parts import ALICE, HeldStore, full_store, make_meeting
from tests.server.talking import Talk, logged_in, settle


async def test_a_session_between_commands_is_closed_without_update() -> None:
    """RFC 1939 section 6: no QUIT, no removal."""
    store = full_store()
    before = store.uidls(ALICE)
    talk = await logged_in(make_meeting(store))
    await talk.say(b"DELE 1\r\n")
    talk.connection.stop()
    await settle()
    assert talk.is_closed()
    assert store.uidls(ALICE) == before


async def test_a_body_under_way_is_sent_to_its_end_and_no_other_command_is_taken() -> None:
    """Commands that were pipelined behind it are not begun: the client will ask again."""
    store = full_store()
    talk = await logged_in(make_meeting(store))
    for _ in range(40):
        store.put(ALICE, b"x" * 60_000)
    talk.transport.resume_reading_everything()
    talk.transport.stop_reading()
    talk.transport.send(b"RETR 4\r\n" * 8 + b"DELE 1\r\nQUIT\r\n")
    await settle()
    assert talk.transport.writing_paused
    talk.connection.stop()
    await settle()
    assert not talk.is_closed()
    talk.transport.resume_reading_everything()
    answer = await talk.say()
    assert talk.is_closed()
    assert answer.endswith(b"\r\n.\r\n")
    assert b"marked" not in answer
    assert len(store.uidls(ALICE)) == 44


async def test_a_commit_under_way_is_finished_and_answered() -> None:
    """QUIT arrived whole, so what it asked for is done."""
    store = HeldStore(full_store())
    store.committing = asyncio.Event()
    talk = await logged_in(make_meeting(store))
    await talk.say(b"DELE 1\r\n")
    await talk.say(b"QUIT\r\n")
    talk.connection.stop()
    await settle()
    assert not talk.is_closed()
    store.committing.set()
    assert await talk.say() == b"+OK bye\r\n"
    assert talk.is_closed()


async def test_a_session_before_login_is_closed() -> None:
    """It has nothing to lose."""
    talk = Talk(make_meeting(full_store()))
    assert await talk.say(b"AUTH PLAIN\r\n")
    talk.connection.stop()
    await settle()
    assert talk.is_closed()
