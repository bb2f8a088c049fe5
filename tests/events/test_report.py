"""The answer after a break-in is exactly what the events say."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events import break_in
from tests.events.break_in import ALICE, INTRUDERS, NAMES, OTHERS, OWNERS
from tests.events.conftest import BEGIN, Clock, TrailPlace
from tests.events.samples import read

from mailkeep.events import Event, types
from mailkeep.events.queries import Question, read_events
from mailkeep.events.records import Record, record_from
from mailkeep.events.report import CUT_OFF, GONE, Report, report
from mailkeep.events.trail_database import open_trail_database

LATER = BEGIN + timedelta(seconds=60)


def records(events: list[Event]) -> list[Record]:
    return [
        record_from(n, BEGIN + timedelta(seconds=n), event) for n, event in enumerate(events, 1)
    ]


def reported(*events: Event) -> Report:
    return report(records([*events]), ALICE, None, names=NAMES)


@pytest.fixture
def after(place: TrailPlace, clock: Clock) -> Report:
    """The report that an operator gets who asks for the time of the break-in."""
    break_in.write(place, clock)
    database = open_trail_database(place.database, place.folder)
    question = Question(account=ALICE, names=NAMES, since=LATER, whole_sessions=True)
    try:
        return report(read_events(database, question), ALICE, LATER, names=NAMES)
    finally:
        database.close()


def test_exactly_what_the_intruder_was_sent_is_listed(after: Report) -> None:
    """From the database, through the query: no message more and none less."""
    [session] = after.sessions
    assert session.session == "bad"
    assert [*session.messages] == ["looked at", "stolen", "twice", "cut off"]
    stolen, twice, cut_off = (session.messages[name] for name in ("stolen", "twice", "cut off"))
    assert (stolen.whole, stolen.octets, stolen.sha256, stolen.times) == (True, 1000, "ab" * 32, 1)
    assert (twice.whole, twice.octets, twice.times) == (True, 2000, 2)
    assert (cut_off.whole, cut_off.octets) == (False, 700)


def test_a_top_is_what_was_asked_for(after: Report) -> None:
    """It may have been the whole message; what is known are its lines and octets."""
    looked_at = after.sessions[0].messages["looked at"]
    assert (looked_at.whole, looked_at.top_lines, looked_at.octets) == (False, 5, 60)


def test_where_from_how_and_until_when(after: Report) -> None:
    """A session that was cut off has no end, and that is said."""
    [session] = after.sessions
    assert session.began == LATER
    assert (session.ended, session.how) == (None, CUT_OFF)
    assert (session.address, session.mechanism, session.device) == (
        "2001:db8::bad",
        "PLAIN",
        None,
    )
    assert session.familiar is False
    assert session.tls == "TLSv1.3 TLS_AES_128_GCM_SHA256"
    assert not session.whole_maildrop


def test_what_was_marked_is_not_what_is_gone(after: Report) -> None:
    """RSET takes marks away; without a QUIT they remove nothing."""
    [session] = after.sessions
    assert [*session.deletions] == ["stolen", "stays"]
    assert [*after.removed()] == ["stolen"]
    assert session.deletions["stays"].done is None
    assert after.can_be_brought_back == GONE


def test_guesses_before_it_are_counted_by_where_they_came_from(after: Report) -> None:
    """Others' are not."""
    [session] = after.sessions
    assert (session.refused_here, session.refused_elsewhere) == (3, 1)
    assert [(it.address, it.count) for it in after.refused] == [
        ("2001:db8::bad", 3),
        ("198.51.100.1", 1),
    ]
    assert after.refused[0].reasons == {"wrong password": 3}


def test_what_left_is_told_by_address(after: Report) -> None:
    """Two sessions of one address are one place."""
    left = after.left_to()
    assert [*left] == ["2001:db8::bad"]
    assert [*left["2001:db8::bad"]] == ["looked at", "stolen", "twice", "cut off"]
    both = reported(*OWNERS, read("kept", 900, session="own2"), *INTRUDERS)
    assert [*both.left_to()["192.0.2.7"]] == ["kept"]
    assert both.left_to()["192.0.2.7"]["kept"].octets == 900


def test_without_a_time_everything_is_told() -> None:
    """The owner's sessions too: he may be the intruder."""
    found = reported(*OWNERS, *OTHERS, *INTRUDERS)
    assert [session.session for session in found.sessions] == ["own", "bad"]
    assert found.sessions[0].how == "QUIT"
    assert found.sessions[0].device == "laptop"


def test_a_whole_maildrop_is_said() -> None:
    """Then nothing has to be compared."""
    fetched = types.MaildropFetched(session="bad", account=ALICE, peer="p", messages=4, octets=3000)
    assert reported(*INTRUDERS, fetched).sessions[0].whole_maildrop


def test_a_revoked_session_ended_by_that() -> None:
    """Not by the connection's end, which follows."""
    ended = OWNERS[-1]
    revoked = types.SessionRevoked(session="own", account=ALICE, reason="device revoked")
    [session] = reported(*OWNERS[:-1], revoked, ended).sessions
    assert session.how == "revoked: device revoked"
    assert session.ended is not None


def test_changes_and_warnings_are_told() -> None:
    """Who made the device that the intruder used?"""
    changed = types.DeviceChanged(account=ALICE, device="x", what="added", by="root")
    guessed = types.MainPasswordGuessedAt(account=ALICE, failures=100)
    others = types.AccountChanged(account="bob@example.com", what="added", by="root")
    found = reported(changed, others, guessed)
    assert [record.type for record in found.changes] == [
        "device changed",
        "main password guessed at",
    ]


@given(st.lists(st.sampled_from([*OWNERS, *INTRUDERS, *OTHERS]), max_size=40))
def test_no_order_of_events_is_too_odd(events: list[Event]) -> None:
    """Cut off at both ends, told twice: what was sent is listed and nothing else."""
    found = reported(*events)
    sent = {
        (event.session, event.uidl)
        for event in events
        if isinstance(event, types.MessageRead) and event.account == ALICE
    }
    assert {(s.session, uidl) for s in found.sessions for uidl in s.messages} == sent
