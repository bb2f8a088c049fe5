"""What the log is told, and what it must never be told."""

import asyncio
import base64
import shlex

import pytest
from tests.server.parts import PASSWORD, HeldStore, Recorder, full_store, make_meeting
from tests.server.talking import Talk

from mailkeep.events import EventSink, EventType, Who
from mailkeep.events.gathering import GatheringSink
from mailkeep.events.log import LogSink
from mailkeep.maildrop import Listing
from mailkeep.server.after_login.telling import TOLD_A_TURN, Telling
from mailkeep.values import Octets, Uidl

SECRET = b"Tr0ub4dor and 3"


def telling_to(sink: EventSink, listing: Listing) -> Telling:
    who = Who("session", "alice@example.com", "192.0.2.7:40000", None)
    return Telling(GatheringSink(sink), who, listing)


async def test_no_event_of_a_session_holds_a_secret() -> None:
    """Neither PASS nor an AUTH response, right or wrong, whole or broken, in clear or base64."""
    sink, store = Recorder(), HeldStore(full_store())
    meeting = make_meeting(store, sink=sink)
    encoded = base64.b64encode(b"\0alice\0" + SECRET)
    for lines in (
        [b"USER alice", b"PASS " + SECRET, b"PASS " + SECRET],
        [b"AUTH PLAIN " + encoded, b"AUTH PLAIN", encoded, b"AUTH PLAIN", encoded[:-1]],
        [b"AUTH " + encoded, b"AUTH PLAIN", SECRET, SECRET, b"FOO " + SECRET],
        [b"USER alice", b"PASS " + SECRET + b"x" * 2000],
        [b"USER bob", b"PASS " + PASSWORD, b"RETR 1", b"QUIT"],
        [b"AUTH PLAIN " + base64.b64encode(b"\0alice\0" + PASSWORD), b"NOOP"],
    ):
        talk = Talk(meeting)
        for line in lines:
            await talk.say(line + b"\r\n")
    store.read_fails = RuntimeError("a bug")
    talk = Talk(meeting)
    await talk.log_in(b"bob")
    await talk.say(b"RETR 1\r\n")
    told = repr(sink.events)
    assert sink.of(EventType.LOGIN_REFUSED)
    assert sink.of(EventType.LOGIN_ACCEPTED)
    assert sink.of(EventType.INTERNAL_ERROR)
    for secret in (SECRET, PASSWORD, encoded, encoded[:20], SECRET[:9]):
        assert secret.decode() not in told


async def test_a_session_is_told_from_login_to_end() -> None:
    """Who read what: an operator can answer that from the log alone."""
    sink = Recorder()
    talk = Talk(make_meeting(full_store(), sink=sink))
    await talk.log_in()
    await talk.say(b"RETR 1\r\nTOP 2 0\r\nDELE 1\r\nQUIT\r\n")
    [login] = sink.of(EventType.LOGIN_ACCEPTED)
    [end] = sink.of(EventType.SESSION_ENDED)
    assert login["account"] == end["account"] == "alice@example.com"
    assert login["peer"] == end["peer"] == "192.0.2.7:40000"
    assert login["mechanism"] == "USER"
    assert (end["how"], end["retrieved"], end["topped"], end["removed"]) == ("quit", 1, 1, 1)
    assert sink.of(EventType.CONNECTION_BROKEN) == []


@pytest.mark.parametrize(
    "name",
    [
        b"a\x0devent=forged",
        b"a\x1b[2J\x1b]0;title\x07",
        b"a\xe2\x80\xa8event=forged",
        b"a\xe2\x80\xae moc.elpmaxe",
        b"\xff\xfe\xc2\x85x",
        b'a" level=error account="root',
        b'a\\" level=error account=root \\',
        b"a b=c",
        b"a\\",
    ],
)
async def test_a_name_cannot_forge_a_line_or_a_field(
    name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name is whatever a stranger sends; it stays one field of one line."""
    talk = Talk(make_meeting(full_store(), sink=LogSink()))
    await talk.say(b"USER %b\r\nPASS x\r\n" % name)
    [line] = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    fields = dict(field.split("=", 1) for field in shlex.split(line))
    assert fields["event"] == "login refused"
    assert fields["level"] == "warning"
    assert "account" not in fields


async def test_what_was_removed_is_told_some_at_a_time_and_all_in_any_case() -> None:
    """A hundred thousand events in one turn would hold up everybody, and be more than has room."""
    sink, room = Recorder(), asyncio.Event()
    uidls = [Uidl(b"%d" % number) for number in range(2 * TOLD_A_TURN + 1)]
    listing = Listing((uidl, Octets(1)) for uidl in uidls)
    telling = telling_to(sink, listing)
    sink.room = room
    task = asyncio.create_task(telling.removed(uidls))
    await asyncio.sleep(0)
    assert len(sink.events) == TOLD_A_TURN
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    told = [fields["uidl"] for fields in sink.of(EventType.DELETION_DONE)]
    assert told == [uidl.decode() for uidl in uidls]


async def test_what_was_removed_of_an_ordinary_maildrop_waits_for_nobody() -> None:
    """The messages are gone: a record that is full must not keep the answer to QUIT back."""
    sink = Recorder()
    listing = Listing([(Uidl(b"one"), Octets(1))])
    telling = telling_to(sink, listing)
    sink.room = asyncio.Event()
    async with asyncio.timeout(5):
        await telling.removed([Uidl(b"one")])
    assert len(sink.of(EventType.DELETION_DONE)) == 1
