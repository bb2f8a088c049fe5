"""Questions to the table."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.events import break_in
from tests.events.break_in import ALICE, NAMES
from tests.events.conftest import BEGIN, Clock, TrailPlace
from tests.events.samples import read

from mailkeep.database.engine import Database
from mailkeep.events import queries
from mailkeep.events.queries import Question, follow_events, read_events
from mailkeep.events.trail_database import catch_up, open_trail_database

ALL = len([*break_in.OWNERS, *break_in.INTRUDERS, *break_in.OTHERS])
LATER = BEGIN + timedelta(seconds=60)


@pytest.fixture
def database(place: TrailPlace, clock: Clock) -> Iterator[Database]:
    break_in.write(place, clock)
    opened = open_trail_database(place.database, place.folder)
    yield opened
    opened.close()


def asked(database: Database, **question: object) -> list[str]:
    """Return a word about each event that was found."""
    found = read_events(database, Question(**question))  # type: ignore[arg-type]  # a test's own
    return [record.text("uidl") or record.type for record in found]


def test_without_conditions_it_is_everything_in_order(database: Database) -> None:
    """Numbers have no hole."""
    numbers = [record.seq for record in read_events(database, Question())]
    assert numbers == [*range(1, ALL + 1)]


def test_pages_leave_nothing_out(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the length of a page."""
    expected = [*read_events(database, Question())]
    for rows in (1, 2, 7):
        monkeypatch.setattr(queries, "PAGE_ROWS", rows)
        assert [*read_events(database, Question())] == expected


def test_an_account_has_its_events_and_the_guesses_at_its_names(database: Database) -> None:
    """In any spelling that the login takes; not other people's."""
    assert asked(database, account=ALICE, names=NAMES).count("login refused") == 4
    assert "bob's" not in asked(database, account=ALICE, names=NAMES)
    assert asked(database, account=ALICE).count("login refused") == 0


def test_times_include_the_first_and_not_the_last(database: Database) -> None:
    """So that two questions side by side have every event once."""
    assert asked(database, until=BEGIN) == []
    assert len(asked(database, since=BEGIN, until=LATER)) == 4
    assert len(asked(database, since=LATER)) == ALL - 4


def test_whole_sessions_have_what_was_before_and_what_has_no_account(database: Database) -> None:
    """The handshake has no account, the login may be before the time that was asked for."""
    found = asked(database, account=ALICE, since=LATER, whole_sessions=True)
    assert {"connection opened", "tls agreed", "stolen"} <= {*found}
    assert "kept" not in found


def test_types_and_sessions(database: Database) -> None:
    """Both may be asked for together."""
    assert asked(database, types=["deletion done"]) == ["stolen"]
    assert asked(database, session="own", types=["message read"]) == ["kept"]


def test_following_has_each_event_once(database: Database, place: TrailPlace) -> None:
    """What is there, then what comes, until it is ended."""
    turns = iter(["write", "go on", ""])

    def wait() -> bool:
        turn = next(turns)
        if turn == "write":
            place.write(read("new"))
            catch_up(database, place.folder)
        return bool(turn)

    question = Question(types=["message read"])
    found = [record.text("uidl") for record in follow_events(database, question, wait)]
    assert found.count("new") == 1
    assert found[-1] == "new"
    assert found.count("stolen") == 1
