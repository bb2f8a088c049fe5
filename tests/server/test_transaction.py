"""What is said in TRANSACTION, and what QUIT does (RFC 1939 sections 5 and 6)."""

import asyncio

import pytest
from tests.reference_client import unstuff
from tests.server.parts import (
    ALICE,
    MESSAGES,
    HeldStore,
    Pieces,
    Recorder,
    full_store,
    make_meeting,
)
from tests.server.talking import Talk, logged_in

from mailkeep.events import EventType
from mailkeep.maildrop import MaildropUnavailable, MessageGone, MessageUnreadable, Removal
from mailkeep.maildrop.memory import wire_form
from mailkeep.server.connection import GATHER_OCTETS


async def test_numbers_and_sizes_do_not_move_when_a_message_is_marked() -> None:
    """RFC 1939 section 5: DELE renumbers nothing, and what is marked is left out everywhere."""
    talk = await logged_in(make_meeting(full_store()))
    sizes = [len(wire_form(message)) for message in MESSAGES]
    assert await talk.say(b"STAT\r\n") == b"+OK 4 %d\r\n" % sum(sizes)
    await talk.say(b"DELE 2\r\n")
    assert await talk.say(b"STAT\r\n") == b"+OK 3 %d\r\n" % (sum(sizes) - sizes[1])
    assert (await talk.say(b"LIST\r\n")).splitlines()[1:] == [
        b"1 %d" % sizes[0],
        b"3 %d" % sizes[2],
        b"4 %d" % sizes[3],
        b".",
    ]
    assert [line.split(b" ")[0] for line in (await talk.say(b"UIDL\r\n")).splitlines()[1:-1]] == [
        b"1",
        b"3",
        b"4",
    ]
    for command in (b"LIST 2", b"UIDL 2", b"RETR 2", b"TOP 2 0", b"DELE 2"):
        assert (await talk.say(command + b"\r\n")).startswith(b"-ERR "), command
    assert await talk.say(b"LIST 3\r\n") == b"+OK 3 %d\r\n" % sizes[2]


async def test_rset_unmarks_everything() -> None:
    """RFC 1939 section 5, RSET: and then QUIT removes nothing."""
    store = full_store()
    talk = await logged_in(make_meeting(store))
    stat = await talk.say(b"STAT\r\n")
    await talk.say(b"DELE 1\r\nDELE 4\r\nRSET\r\n")
    assert await talk.say(b"STAT\r\n") == stat
    assert await talk.say(b"QUIT\r\n") == b"+OK bye\r\n"
    assert len(store.uidls(ALICE)) == len(MESSAGES)


@pytest.mark.parametrize("number", [b"5", b"9999999999"])
async def test_a_message_that_is_not_there_is_named_by_no_number(number: bytes) -> None:
    """RFC 1939 section 5: numbers go from 1 to what STAT said."""
    talk = await logged_in(make_meeting(full_store()))
    for command in (b"RETR %b", b"DELE %b", b"LIST %b", b"UIDL %b", b"TOP %b 1"):
        assert (await talk.say(command % number + b"\r\n")).startswith(b"-ERR no such message")


async def test_an_empty_maildrop_has_empty_lists() -> None:
    """RFC 1939 section 3: a multi-line answer has its terminator, with no line before it too."""
    store = full_store()
    for uidl in store.uidls(ALICE):
        store.remove(ALICE, uidl)
    talk = await logged_in(make_meeting(store))
    assert await talk.say(b"STAT\r\n") == b"+OK 0 0\r\n"
    assert (await talk.say(b"LIST\r\n")).splitlines()[1:] == [b"."]
    assert (await talk.say(b"UIDL\r\n")).splitlines()[1:] == [b"."]


@pytest.mark.parametrize("is_at_hand", [True, False])
@pytest.mark.parametrize("number", range(1, len(MESSAGES) + 1))
async def test_a_body_is_the_wire_form_of_the_announced_size(
    number: int,
    is_at_hand: bool,
) -> None:
    """RFC 1939 sections 3 and 11: the size counts the octets before stuffing."""
    store = full_store()
    talk = await logged_in(make_meeting(store if is_at_hand else HeldStore(store)))
    listed = int((await talk.say(b"LIST %d\r\n" % number)).split()[2])
    status, _, rest = (await talk.say(b"RETR %d\r\n" % number)).partition(b"\r\n")
    assert status == b"+OK %d octets" % listed
    assert unstuff(rest) == (wire_form(MESSAGES[number - 1]), b"")
    assert len(unstuff(rest)[0]) == listed


async def test_the_terminator_comes_with_the_last_octets() -> None:
    """Some clients go astray when it comes alone; for a body and for a list."""
    store = full_store()
    for _ in range(2000 - len(MESSAGES)):
        store.put(ALICE, b"x")
    for behind in (store, HeldStore(store)):
        talk = await logged_in(make_meeting(behind))
        await ends_with_its_terminator(talk)
        await talk.say(b"QUIT\r\n")


async def ends_with_its_terminator(talk: Talk) -> None:
    for command in (b"RETR 4\r\n", b"LIST\r\n", b"UIDL\r\n"):
        await talk.say(command)
        assert talk.transport.writes[-1].endswith(b"\r\n.\r\n"), command


@pytest.mark.parametrize("failure", [MessageGone("gone"), MessageUnreadable("EIO at 7")])
async def test_a_message_that_cannot_be_read_is_refused_before_any_ok(failure: Exception) -> None:
    """RFC 1939 section 5: after +OK comes a message; so -ERR when there is none."""
    store, sink = HeldStore(full_store()), Recorder()
    talk = await logged_in(make_meeting(store, sink=sink))
    store.read_fails = failure
    for command in (b"RETR 1\r\n", b"TOP 1 0\r\n"):
        answer = await talk.say(command)
        assert answer.startswith(b"-ERR ")
        assert answer.count(b"\r\n") == 1
        assert b"EIO" not in answer
    is_trouble = isinstance(failure, MessageUnreadable)
    assert len(sink.of(EventType.MESSAGE_UNREADABLE)) == (2 if is_trouble else 0)
    store.read_fails = None
    assert (await talk.say(b"RETR 1\r\n")).startswith(b"+OK ")


async def test_a_first_piece_that_cannot_be_read_is_refused_before_any_ok() -> None:
    """Opening a file is not reading it: +OK waits for the first octets."""
    store = HeldStore(full_store())
    talk = await logged_in(make_meeting(store))
    body = Pieces([MessageUnreadable("EIO")])
    store.reading = lambda _: body
    assert (await talk.say(b"RETR 1\r\n")).startswith(b"-ERR [SYS/TEMP] ")
    assert body.closed


async def test_a_body_that_breaks_off_is_never_terminated() -> None:
    """RFC 1939 section 3: the terminator says that all was sent; the close says that it was not."""
    store, sink = HeldStore(full_store()), Recorder()
    talk = await logged_in(make_meeting(store, sink=sink))
    await talk.say(b"DELE 1\r\n")
    body = Pieces([b"Subject: x\r\n\r\n", b"a line\r\n", MessageUnreadable("EIO")])
    store.reading = lambda _: body
    answer = await talk.say(b"RETR 2\r\nQUIT\r\n")
    assert answer.startswith(b"+OK ")
    assert b"\r\n.\r\n" not in answer
    assert b"+OK bye" not in answer
    assert talk.is_closed()
    assert body.closed
    assert store.steps == ["close"]
    assert len(sink.of(EventType.MESSAGE_UNREADABLE)) == 1


async def test_quit_removes_then_lets_go_then_answers() -> None:
    """RFC 1939 section 6: +OK says that it is done, so it comes last."""
    memory = full_store()
    store = HeldStore(memory)
    store.committing, store.closing = asyncio.Event(), asyncio.Event()
    first, second, third, fourth = memory.uidls(ALICE)
    talk = await logged_in(make_meeting(store))
    await talk.say(b"DELE 2\r\n")
    await talk.say(b"DELE 3\r\n")
    assert await talk.say(b"QUIT\r\n") == b""
    assert store.steps == []
    store.committing.set()
    assert await talk.say() == b""
    store.closing.set()
    assert await talk.say() == b"+OK bye\r\n"
    assert store.steps[:2] == ["commit", "close"]
    assert memory.uidls(ALICE) == [first, fourth]
    assert second != third
    assert talk.is_closed()


@pytest.mark.parametrize("marks", [b"", b"DELE 1\r\n"])
async def test_a_full_buffer_does_not_send_the_answer_before_the_lease_is_let_go(
    marks: bytes,
) -> None:
    """Answers leave when enough have gathered; the one to QUIT is not even written before."""
    store = HeldStore(full_store())
    store.closing = asyncio.Event()
    talk = await logged_in(make_meeting(store))
    if marks:
        await talk.say(marks)
    gathered = b"NOOP\r\n" * (GATHER_OCTETS // len(b"+OK done\r\n"))
    assert b"bye" not in await talk.say(gathered + b"QUIT\r\n")
    store.closing.set()
    assert (await talk.say()).endswith(b"+OK bye\r\n")


async def test_quit_that_cannot_remove_everything_says_so() -> None:
    """RFC 1939 section 6: -ERR when some marked messages were not removed."""
    store, sink = HeldStore(full_store()), Recorder()
    store.reports = lambda done: Removal(done.removed[1:], (), done.removed[:1])
    talk = await logged_in(make_meeting(store, sink=sink))
    assert b"-ERR [SYS/TEMP] " in await talk.say(b"DELE 1\r\nDELE 2\r\nQUIT\r\n")
    assert sink.of(EventType.MESSAGES_NOT_REMOVED)[0]["messages"] == 1
    assert sink.of(EventType.SESSION_ENDED)[0]["removed"] == 1
    assert talk.is_closed()


async def test_quit_on_a_lost_lease_removes_nothing_and_says_so() -> None:
    """A commit that was refused is told; the maildrop is let go all the same."""
    store = HeldStore(full_store())
    store.commit_fails = MaildropUnavailable("the lease was lost")
    talk = await logged_in(make_meeting(store))
    assert b"-ERR [SYS/TEMP] " in await talk.say(b"DELE 1\r\nQUIT\r\n")
    assert "commit" not in store.steps
    assert "close" in store.steps


async def test_what_somebody_else_removed_is_no_failure() -> None:
    """The user wanted it gone and it is."""
    store = full_store()
    talk = await logged_in(make_meeting(store))
    store.remove(ALICE, store.uidls(ALICE)[0])
    assert (await talk.say(b"RETR 1\r\n")).startswith(b"-ERR that message is gone")
    assert (await talk.say(b"DELE 1\r\nQUIT\r\n")).endswith(b"+OK bye\r\n")


async def test_a_client_that_vanishes_in_the_commit_does_not_stop_it() -> None:
    """QUIT arrived whole (RFC 1939 section 6); the lease stays until the commit has ended."""
    memory = full_store()
    store = HeldStore(memory)
    store.committing = asyncio.Event()
    meeting = make_meeting(store)
    talk = await logged_in(meeting)
    talk.transport.send(b"DELE 1\r\nQUIT\r\nQUIT\r\n")
    await store.begun.wait()
    talk.transport.reset()
    await talk.say()
    assert talk.is_closed()
    assert (await Talk(meeting).log_in()).startswith(b"-ERR [IN-USE] ")
    store.committing.set()
    await talk.say()
    assert store.steps.count("commit") == 1
    assert len(memory.uidls(ALICE)) == len(MESSAGES) - 1
    await logged_in(meeting)


async def test_nothing_behind_quit_is_answered() -> None:
    """RFC 1939 section 3: after QUIT there is no state left to say something in."""
    store = HeldStore(full_store())
    talk = await logged_in(make_meeting(store))
    answer = await talk.say(b"DELE 1\r\nQUIT\r\nDELE 2\r\nQUIT\r\nNOOP\r\n")
    assert answer.endswith(b"+OK bye\r\n")
    assert answer.count(b"\r\n") == 2
    assert store.steps.count("commit") == 1


async def test_quit_without_marks_commits_nothing_and_lets_go_before_it_answers() -> None:
    """RFC 1939 section 6: the lock is released; a client that comes back at once gets in."""
    store = HeldStore(full_store())
    store.closing = asyncio.Event()
    talk = await logged_in(make_meeting(store))
    assert await talk.say(b"QUIT\r\n") == b""
    store.closing.set()
    assert await talk.say() == b"+OK bye\r\n"
    assert "commit" not in store.steps


async def test_a_bug_in_a_store_ends_one_connection_only() -> None:
    """That session ends without a word about why, the operator is told, the server lives."""
    store, sink = HeldStore(full_store()), Recorder()
    meeting = make_meeting(store, sink=sink)
    talk = await logged_in(meeting)
    store.read_fails = RuntimeError("a bug: /var/lib/secret/path")
    assert await talk.say(b"RETR 1\r\n") == b""
    assert talk.is_closed()
    [bug] = sink.of(EventType.INTERNAL_ERROR)
    assert "a bug" in bug["reason"]
    assert sink.of(EventType.SESSION_ENDED)[0]["how"] != "quit"
    store.read_fails = None
    again = await logged_in(meeting)
    assert (await again.say(b"RETR 1\r\n")).startswith(b"+OK ")


async def test_a_bug_in_a_commit_is_never_answered_with_ok() -> None:
    """Nobody knows what was removed; the lease is let go and the client asks again."""
    store = HeldStore(full_store())
    store.commit_fails = RuntimeError("a bug")
    meeting = make_meeting(store)
    talk = await logged_in(meeting)
    assert b"bye" not in await talk.say(b"DELE 1\r\nQUIT\r\n")
    assert talk.is_closed()
    await logged_in(meeting)


async def test_capa_after_login_names_the_program_and_no_version() -> None:
    """RFC 2449 section 6.9: IMPLEMENTATION after login only; STLS is over."""
    talk = Talk(make_meeting(full_store()))
    before = await talk.say(b"CAPA\r\n")
    assert b"IMPLEMENTATION" not in before
    assert b"Mailkeep" not in before
    await talk.log_in()
    after = (await talk.say(b"CAPA\r\n")).splitlines()
    assert b"IMPLEMENTATION Mailkeep" in after
    assert b"STLS" not in after


async def test_uidl_names_the_message() -> None:
    """RFC 1939 section 7: `UIDL n` answers number and unique-id."""
    store = full_store()
    talk = await logged_in(make_meeting(store))
    uidl = store.uidls(ALICE)[2]
    assert await talk.say(b"UIDL 3\r\n") == b"+OK 3 %b\r\n" % uidl


async def test_a_marked_message_cannot_be_marked_twice() -> None:
    """RFC 1939 section 5, DELE: -ERR, and STAT counts it once."""
    talk = await logged_in(make_meeting(full_store()))
    await talk.say(b"DELE 1\r\n")
    stat = await talk.say(b"STAT\r\n")
    assert (await talk.say(b"DELE 1\r\n")).startswith(b"-ERR ")
    assert await talk.say(b"STAT\r\n") == stat
