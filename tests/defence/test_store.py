"""What the door remembers, written and read; and what an operator does to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.defence import Place, store
from mailkeep.defence.ban_directory import BanDirectory
from mailkeep.defence.ban_notes import BanNotes, Deed
from mailkeep.defence.prefixes import InvalidPrefix
from mailkeep.defence.remembered import BanRow, Changes, FamiliarRow, GuessesRow, Remembered
from mailkeep.defence.store import DoorStore
from mailkeep.defence.tables import METADATA, SCHEMA
from mailkeep.values import AccountId

NOW_S, DAY_S = 1_800_000_000.25, 86_400.0
ALICE, BOB = AccountId(1), AccountId(2)
BERLIN = Place("DE", 52.52, 13.405)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "door.db", SCHEMA, create=True)
    yield opened
    opened.close()


def row(name: str, day: float, place: Place | None = None) -> FamiliarRow:
    return FamiliarRow(name, "192.0.2.7/32", NOW_S + day * DAY_S, place)


def test_the_migrations_lead_to_the_tables(database: Database) -> None:
    """A column that is in one and not in the other would be found by a user."""
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_the_head_that_is_written_down_is_the_head_of_the_folder() -> None:
    """Opening a database trusts it."""
    script = ScriptDirectory(SCHEMA.versions, version_locations=[SCHEMA.versions])
    assert script.get_heads() == [SCHEMA.head]


def test_what_is_written_is_read(database: Database) -> None:
    """Every field, and nothing in the place of nothing; what is written again replaces."""
    familiar = (row("a", -2), row("b", -1, BERLIN), row("c", 0, Place("FR", None, None)))
    bans = (
        BanRow("192.0.2.7/32", NOW_S + 900, "10 wrong", 2, "door"),
        BanRow("10.0.0.0/8", None, "spam", 0, "operator"),
    )
    guesses = (GuessesRow(ALICE, 7, NOW_S), GuessesRow(BOB, 8, NOW_S - 1))
    door_store = DoorStore(database)
    door_store.save(
        Changes(familiar=(row("a", -9),), guesses=(GuessesRow(ALICE, 1, NOW_S),)), NOW_S
    )
    door_store.save(Changes(familiar=familiar, bans=bans, guesses=guesses), NOW_S)
    found = door_store.load()
    assert found.familiar == list(familiar)
    assert sorted(found.bans, key=str) == sorted(bans, key=str)
    assert list(found.guesses) == list(guesses)
    assert door_store.guesses_of(BOB) == guesses[1]
    assert door_store.guesses_of(AccountId(3)) is None


def test_an_empty_database_remembers_nothing(database: Database) -> None:
    """The first start."""
    assert DoorStore(database).load() == Remembered(familiar=[], bans=[], guesses=[])
    DoorStore(database).save(Changes(), NOW_S)


def test_only_the_youngest_are_loaded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The youngest last, so that they outlive the others in memory too."""
    monkeypatch.setattr(store, "FAMILIAR_LIMIT", 2)
    DoorStore(database).save(Changes(familiar=(row("a", 3), row("b", 1), row("c", 2))), NOW_S)
    assert [it.name for it in DoorStore(database).load().familiar] == ["c", "a"]


def test_old_rows_go(database: Database) -> None:
    """Logins after a year, bans a week after their end; an operator's stay."""
    bans = [
        BanRow("192.0.2.1/32", NOW_S - 8 * DAY_S, "test", 1, "door"),
        BanRow("192.0.2.2/32", NOW_S - 6 * DAY_S, "test", 1, "door"),
        BanRow("192.0.2.3/32", None, "test", 0, "operator"),
    ]
    DoorStore(database).save(Changes((row("a", -366), row("b", -364)), tuple(bans)), NOW_S)
    found = DoorStore(database).load()
    assert [it.name for it in found.familiar] == ["b"]
    assert {it.prefix for it in found.bans} == {"192.0.2.2/32", "192.0.2.3/32"}


def test_a_confirmation_outlives_an_older_count(database: Database) -> None:
    """A running server may write what it counted before it hears of it."""
    door_store = DoorStore(database)
    door_store.save(Changes(guesses=(GuessesRow(ALICE, 150, NOW_S - 9),)), NOW_S)
    BanDirectory(database, wall_s=lambda: NOW_S).confirm(ALICE)
    door_store.save(Changes(guesses=(GuessesRow(ALICE, 151, NOW_S - 9),)), NOW_S)
    assert door_store.guesses_of(ALICE) == GuessesRow(ALICE, 0, NOW_S)
    door_store.save(Changes(guesses=(GuessesRow(ALICE, 1, NOW_S),)), NOW_S)
    assert door_store.guesses_of(ALICE) == GuessesRow(ALICE, 1, NOW_S)


def test_an_operator_bans_lists_and_lifts(database: Database) -> None:
    """In one spelling or another; what is over is not listed."""
    directory = BanDirectory(database, wall_s=lambda: NOW_S)
    DoorStore(database).save(
        Changes(bans=(BanRow("192.0.2.9/32", NOW_S - 1, "over", 1, "door"),)), NOW_S
    )
    directory.add("2001:DB8::7/64", None, "spam", "root")
    directory.add("::ffff:192.0.2.7", 60, "spam", "root")
    assert [(it.prefix, it.until_s, it.made_by) for it in directory.list()] == [
        ("192.0.2.7/32", NOW_S + 60, "root"),
        ("2001:db8::/64", None, "root"),
    ]
    assert directory.remove("192.0.2.7", "alice")
    assert not directory.remove("192.0.2.7", "alice")
    assert directory.remove("2001:db8::/64", "alice")
    assert directory.list() == []


def test_what_an_operator_does_is_noted_with_it(database: Database) -> None:
    """Until it was told; what did not happen is not noted."""
    directory, notes = BanDirectory(database, wall_s=lambda: NOW_S), BanNotes(database)
    DoorStore(database).save(
        Changes(bans=(BanRow("192.0.2.9/32", NOW_S - 1, "over", 1, "door"),)), NOW_S
    )
    directory.add("192.0.2.7", 60, "spam", "root")
    directory.remove("192.0.2.7", "alice")
    directory.remove("192.0.2.7", "alice")
    directory.remove("192.0.2.9", "alice")  # it was over: only its memory goes
    made, lifted = notes.take(10)
    assert made.deed == Deed(
        prefix="192.0.2.7/32", is_lifted=False, seconds=60, reason="spam", by="root"
    )
    assert (lifted.deed.prefix, lifted.deed.is_lifted, lifted.deed.by) == (
        "192.0.2.7/32",
        True,
        "alice",
    )
    assert notes.take(1) == [made]
    notes.done([made.id])
    assert notes.take(10) == [lifted]
    notes.done([lifted.id])
    directory.add("192.0.2.8", None, "spam", "root")
    assert notes.take(10)[0].id > lifted.id  # or it would be taken for one that was told


def test_a_ban_of_no_network_is_refused(database: Database) -> None:
    """And nothing is written."""
    directory = BanDirectory(database)
    for call in (lambda: directory.add("x", 1, "", ""), lambda: directory.remove("x", "")):
        with pytest.raises(InvalidPrefix):
            call()
    assert directory.list() == []
