"""Questions to the table."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from tests.events import break_in
from tests.events.break_in import ALICE, NAMES
from tests.events.conftest import BEGIN, Clock, TrailPlace
from tests.events.samples import read

from mailkeep.database.engine import Database
from mailkeep.events import queries, types
from mailkeep.events.queries import Question, follow_events, read_events
from mailkeep.events.tables import EVENTS
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


class Ticking(Clock):
    """A clock that goes on by ten milliseconds each time that it is asked."""

    def __call__(self) -> datetime:
        self.move(0.01)
        return self.at


@pytest.fixture
def runs(place: TrailPlace) -> Iterator[Database]:
    """Three runs, two of them between each other's events, and something else."""
    place.now = Ticking()
    place.write(
        *(read(f"a{n}", session="a") for n in range(70)),
        *(read(f"{session}{n}", session=session) for n in range(10) for session in ("b", "c")),
        types.Started(version="1"),
    )
    opened = open_trail_database(place.database, place.folder)
    yield opened
    opened.close()


def rows_of(database: Database) -> int:
    with database.reading() as connection:
        return len(connection.execute(select(EVENTS.c.seq)).all())


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_from_the_middle_of_a_run_on_nothing_is_lost_or_doubled(
    runs: Database, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """After every number, with pages of every length."""
    monkeypatch.setattr(queries, "PAGE_ROWS", rows)
    everything = [*read_events(runs, Question())]
    assert rows_of(runs) < len(everything)
    assert [record.seq for record in everything] == [*range(1, 92)]
    for after in range(92):
        assert [*read_events(runs, Question(after=after))] == everything[after:]


def test_a_time_in_the_middle_of_a_run_divides_it(runs: Database) -> None:
    """Each event is asked for by its own time."""
    everything = [*read_events(runs, Question())]
    times = sorted({record.at for record in everything})
    assert len(times) == len(everything)
    for at in times:
        since = [*read_events(runs, Question(since=at))]
        before = [*read_events(runs, Question(until=at))]
        assert since == [record for record in everything if record.at >= at]
        assert before == [record for record in everything if record.at < at]


def test_a_session_is_found_whole_from_the_middle_of_its_run(runs: Database) -> None:
    """The report asks so."""
    in_the_middle = next(
        record.at for record in read_events(runs, Question()) if record.text("uidl") == "b5"
    )
    question = Question(account="alice@example.com", since=in_the_middle, whole_sessions=True)
    found = [record.text("uidl") for record in read_events(runs, question)]
    assert [uidl for uidl in found if uidl and uidl.startswith("b")] == [f"b{n}" for n in range(10)]


def test_a_time_before_all_times_is_asked_for(database: Database) -> None:
    """Nothing can be a second before it."""
    assert len(asked(database, since=datetime.min.replace(tzinfo=UTC))) == ALL
