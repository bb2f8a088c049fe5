"""What a door learned is there after a restart, and what others changed reaches it."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.defence.knocking import ALICE, HOME, attempt, is_in, log_in

from mailkeep.database import engine
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.defence import Let, Turned, Turning, Welcome
from mailkeep.defence.ban_directory import BanDirectory
from mailkeep.defence.door import Door
from mailkeep.defence.keeping import DoorKeeper
from mailkeep.defence.places import Places
from mailkeep.defence.remembered import Changes, GuessesRow
from mailkeep.defence.rules import DoorRules
from mailkeep.defence.store import DoorStore
from mailkeep.defence.tables import SCHEMA
from mailkeep.defence.welcomes import GUESSES_LIMIT

STRANGE = "203.0.113.9"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "door.db", SCHEMA, create=True)
    yield opened
    opened.close()


def open_door(database: Database) -> Door:
    return Door(DoorRules(), remembered=DoorStore(database).load(), chance=lambda: 0.0)


async def test_a_restart_forgets_nothing_that_matters(database: Database) -> None:
    """Who is familiar, who is banned, and how often an account was guessed at."""
    door = open_door(database)
    assert is_in(await log_in(door))
    let = await door.ask(attempt(STRANGE))
    assert isinstance(let, Let)
    await door.fail(let, account=ALICE)
    door._ban(f"{STRANGE}/32", "test")
    await DoorKeeper(door, database).close()
    door = open_door(database)
    assert door.has_good_past(attempt(HOME).source)
    assert door.guesses(ALICE) == 1
    assert isinstance(await door.ask(attempt(STRANGE)), Turned)
    assert door._ban(f"{STRANGE}/32", "again") is None


async def test_a_database_that_fails_stops_no_login_and_loses_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once a minute and tried again."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.01)
    told = list[str]()
    door = open_door(database)
    keeper = DoorKeeper(door, database, tell=told.append)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert is_in(await log_in(door))
        await keeper.keep()
        await keeper.keep()
        assert len(door.pending) == 1
    assert len(told) == 1
    assert "locked" in told[0]
    await keeper.keep()
    assert len(door.pending) == 0
    assert open_door(database).has_good_past(attempt(HOME).source)


async def test_it_keeps_by_itself_until_it_is_cancelled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a second; here more often."""
    monkeypatch.setattr("mailkeep.defence.keeping.EVERY_S", 0.001)
    door = open_door(database)
    running = asyncio.ensure_future(DoorKeeper(door, database).run())
    assert is_in(await log_in(door))
    async with asyncio.timeout(10):
        while not DoorStore(database).load().familiar:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_operators_ban_reaches_a_running_door(database: Database, tmp_path: Path) -> None:
    """And its end; the door's own bans stay, and the file says what is in force."""
    door, operator = open_door(database), BanDirectory(database)
    keeper = DoorKeeper(door, database, bans_file=tmp_path / "bans")
    door._ban("198.51.100.9/32", "test")
    operator.add("203.0.113.0/24", None, "spam", "root")
    await keeper.reload_bans()
    turned = await door.ask(attempt(STRANGE))
    assert isinstance(turned, Turned)
    assert turned.reason is Turning.BANNED
    assert (tmp_path / "bans").read_text() == "198.51.100.9/32\n203.0.113.0/24\n"
    operator.remove("203.0.113.0/24", "root")
    operator.remove("198.51.100.9", "root")
    await keeper.reload_bans()
    assert isinstance(await door.ask(attempt(STRANGE)), Let)
    assert (tmp_path / "bans").read_text() == ""


async def test_a_bans_file_that_cannot_be_written_is_told(
    database: Database, tmp_path: Path
) -> None:
    """The bans are in force all the same."""
    told = list[str]()
    door = open_door(database)
    path = tmp_path / "missing" / "bans"
    keeper = DoorKeeper(door, database, bans_file=path, tell=told.append)
    door._ban(f"{STRANGE}/32", "test")
    await keeper.keep()
    assert len(told) == 1
    assert str(path) in told[0]
    assert isinstance(await door.ask(attempt(STRANGE)), Turned)


async def test_an_owners_confirmation_reaches_a_running_door(database: Database) -> None:
    """The main password is good again from everywhere."""
    many = GuessesRow(ALICE, GUESSES_LIMIT, 0.0)
    DoorStore(database).save(Changes(guesses=(many,)), 0.0)
    door = open_door(database)
    keeper = DoorKeeper(door, database)
    refused = await log_in(door, STRANGE)
    assert isinstance(refused, Welcome)
    assert refused.refused is Turning.GUESSED_AT
    BanDirectory(database).confirm(ALICE)
    await keeper.account_changed(ALICE)
    assert door.guesses(ALICE) == 0
    await keeper.close()
    assert BanDirectory(database).guesses_of(ALICE) is not None
    assert open_door(database).guesses(ALICE) == 0


async def test_places_that_cannot_be_read_are_told(database: Database, tmp_path: Path) -> None:
    """Once."""
    told = list[str]()
    places = Places(tmp_path / "places.mmdb")
    keeper = DoorKeeper(open_door(database), database, places=places, tell=told.append)
    await keeper.keep()
    await keeper.keep()
    assert len(told) == 1
