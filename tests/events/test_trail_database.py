"""The trail's table has what the records say, in the form in which SQLAlchemy reads it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.events.conftest import BEGIN
from tests.events.samples import EVERY_EVENT, read

from mailkeep.database.engine import Database
from mailkeep.events import types
from mailkeep.events.records import Record, record_from
from mailkeep.events.tables import EVENTS, record_of
from mailkeep.events.trail_database import add_records, open_trail_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty table."""
    database = open_trail_database(tmp_path / "events.db", tmp_path / "trail")
    yield database
    database.close()


def records_in(database: Database) -> list[Record]:
    with database.reading() as connection:
        rows = connection.execute(select(EVENTS).order_by(EVENTS.c.seq)).mappings()
        return [record_of(row) for row in rows]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 63, 64, 65, 137, 200])
def test_a_group_of_any_size_is_written_whole(database: Database, count: int) -> None:
    """However it is divided into statements."""
    records = [record_from(n, BEGIN, read(str(n))) for n in range(1, count + 1)]
    add_records(database, records)
    assert records_in(database) == records


def test_every_event_comes_back(database: Database) -> None:
    """With each of its fields."""
    records = [record_from(n, BEGIN, event) for n, event in enumerate(EVERY_EVENT, 1)]
    add_records(database, records)
    assert records_in(database) == records


def test_the_later_record_of_a_number_is_the_right_one(database: Database) -> None:
    """A table that says something else than the chain gives way."""
    later = [record_from(n, BEGIN, read("later")) for n in range(1, 80)]
    add_records(database, [record_from(n, BEGIN, read("earlier")) for n in range(1, 80)])
    add_records(database, later)
    assert records_in(database) == later


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 25, 20, 0, 0, 0, tzinfo=UTC),
        datetime(2026, 11, 25, 20, 0, 0, 7, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_time_is_found_and_read_as_it_was(database: Database, at: datetime) -> None:
    """What is written without SQLAlchemy is compared and read with it."""
    add_records(database, [record_from(1, at, read("1"))])
    moment = timedelta(microseconds=1)
    with database.reading() as connection:
        for since, until, found in ((at, at, [at]), (at + moment, at + moment, [])):
            asked = select(EVENTS.c.at).where(EVENTS.c.at.between(since, until))
            assert list(connection.execute(asked).scalars()) == found


def test_each_column_has_what_it_is_asked_by(database: Database) -> None:
    """A name is folded, and what UTF-8 has no form for is written as an escape."""
    refused = types.LoginRefused(
        session="s1", peer="192.0.2.7:1", mechanism="PLAIN", reason="r", name=" \udcffAlice "
    )
    fetched = types.MaildropFetched(
        session="s2", account="é@example.com", peer="p", device="d", messages=1, octets=2
    )
    add_records(
        database,
        [
            record_from(1, BEGIN, refused),
            record_from(2, BEGIN, fetched),
            record_from(3, BEGIN, read("u1", session="s3", account="a@b", peer="q")),
        ],
    )
    columns = [EVENTS.c[name] for name in ("session", "account", "claimed", "peer")]
    with database.reading() as connection:
        rows = connection.execute(select(*columns, EVENTS.c.device, EVENTS.c.uidl)).all()
    assert [tuple(row) for row in rows] == [
        ("s1", None, "\\udcffalice", "192.0.2.7:1", None, None),
        ("s2", "é@example.com", None, "p", "d", None),
        ("s3", "a@b", None, "q", None, "u1"),
    ]


@pytest.mark.parametrize("text", ["", "0", "0.0", "null"])
def test_a_text_is_never_taken_for_one_that_is_not_known(database: Database, text: str) -> None:
    """What a client called itself is found, however odd; what is not known is NULL."""
    refused = types.LoginRefused(session=text, peer=text, mechanism="M", reason="r", name=text)
    add_records(
        database,
        [
            record_from(1, BEGIN, refused),
            record_from(2, BEGIN, read(text, session=text, account=text, peer=text, device=text)),
        ],
    )
    columns = ("session", "account", "claimed", "peer", "device", "uidl")
    with database.reading() as connection:
        rows = connection.execute(select(*[EVENTS.c[name] for name in columns])).all()
    assert [tuple(row) for row in rows] == [
        (text, None, text, text, None, None),
        (text, text, None, text, text, text),
    ]
