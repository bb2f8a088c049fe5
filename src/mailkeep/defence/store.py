"""What the door remembers, in a database of its own. Every call blocks.

Old rows go when new ones are written; so does a ban's memory. Times in the tables are UTC.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, RowMapping, Table, delete, desc, select
from sqlalchemy.dialects.sqlite import insert

from mailkeep.database.engine import Database
from mailkeep.defence.ban_notes import Deed, note_deed
from mailkeep.defence.familiar import FAMILIAR_LIMIT
from mailkeep.defence.remembered import (
    BAN_REMEMBERED_S,
    PLACES_FOR_S,
    BanRow,
    Changes,
    FamiliarRow,
    GuessesRow,
    Remembered,
)
from mailkeep.defence.seam import Place
from mailkeep.defence.tables import BANS, FAMILIAR, GUESSES
from mailkeep.values import AccountId


class DoorStore:
    """Reads and writes the door's tables. Every method can raise `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> Remembered:
        """Return what is remembered, the most recent logins up to what the door keeps."""
        newest = select(FAMILIAR).order_by(desc(FAMILIAR.c.last_success)).limit(FAMILIAR_LIMIT)
        with self._database.reading() as connection:
            familiar = [_familiar_of(row) for row in connection.execute(newest).mappings()]
            guesses = connection.execute(select(GUESSES)).mappings().all()
        return Remembered(
            familiar=familiar[::-1],
            bans=self.bans(),
            guesses=[_guesses_of(row) for row in guesses],
        )

    def bans(self) -> Sequence[BanRow]:
        """Return all bans, those over too while they count."""
        with self._database.reading() as connection:
            return [_ban_of(row) for row in connection.execute(select(BANS)).mappings()]

    def guesses_of(self, account: AccountId) -> GuessesRow | None:
        """Return the failures of strangers on an account, if there were any."""
        query = select(GUESSES).where(GUESSES.c.account_id == account)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _guesses_of(row)

    def confirm(self, account: AccountId, now_s: float) -> None:
        """Forget the failures on an account: the owner has changed or confirmed the password."""
        self.save(Changes(guesses=(GuessesRow(account, 0, now_s),)), now_s)

    def save(self, changes: Changes, now_s: float) -> None:
        """Write what is new, all of it or nothing, and drop what is too old.

        Args:
            changes: rows; a row replaces the one that is there.
            now_s: seconds since 1970.
        """
        with self._database.writing() as connection:
            _put(connection, FAMILIAR, [_familiar_values(row) for row in changes.familiar])
            _put(connection, BANS, [_ban_values(row) for row in changes.bans])
            guesses = [_guesses_values(row) for row in changes.guesses]
            # An owner may have confirmed the password while an older count was on its way here.
            _put(connection, GUESSES, guesses, newer=GUESSES.c.since)
            _prune(connection, now_s)

    def put_ban(self, row: BanRow, deed: Deed) -> None:
        """Write one ban, and that an operator made it."""
        with self._database.writing() as connection:
            _put(connection, BANS, [_ban_values(row)])
            note_deed(connection, deed)

    def remove_ban(self, deed: Deed, now_s: float) -> bool:
        """Remove a ban with all memory of it; tell whether it was in force."""
        meant = BANS.c.prefix == deed.prefix
        with self._database.writing() as connection:
            row = connection.execute(select(BANS).where(meant)).mappings().one_or_none()
            is_lifted = row is not None and _ban_of(row).is_in_force(now_s)
            connection.execute(delete(BANS).where(meant))
            if is_lifted:
                note_deed(connection, deed)
        return is_lifted


def _put(
    connection: Connection,
    table: Table,
    rows: list[dict[str, Any]],
    *,
    newer: Column[Any] | None = None,
) -> None:
    """Insert rows or replace those there are, with `newer` only where that is no younger."""
    if not rows:
        return
    new = insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {name: new.excluded[name] for name in rows[0] if name not in keys}
    where = None if newer is None else new.excluded[newer.name] >= newer
    put = new.on_conflict_do_update(index_elements=keys, set_=rest, where=where)
    connection.execute(put, rows)


def _prune(connection: Connection, now_s: float) -> None:
    too_old, over = _time_of(now_s - PLACES_FOR_S), _time_of(now_s - BAN_REMEMBERED_S)
    connection.execute(delete(FAMILIAR).where(FAMILIAR.c.last_success < too_old))
    connection.execute(delete(BANS).where(BANS.c.until < over))


def _time_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _familiar_values(row: FamiliarRow) -> dict[str, Any]:
    place = row.place or Place(None, None, None)
    return {
        "account_name": row.name,
        "prefix": row.prefix,
        "last_success": _time_of(row.last_success_s),
        "country": place.country,
        "latitude": place.latitude,
        "longitude": place.longitude,
    }


def _familiar_of(row: RowMapping) -> FamiliarRow:
    place = Place(row["country"], row["latitude"], row["longitude"])
    return FamiliarRow(
        name=row["account_name"],
        prefix=row["prefix"],
        last_success_s=row["last_success"].timestamp(),
        place=None if place == Place(None, None, None) else place,
    )


def _ban_values(row: BanRow) -> dict[str, Any]:
    return {
        "prefix": row.prefix,
        "until": None if row.until_s is None else _time_of(row.until_s),
        "reason": row.reason,
        "times": row.times,
        "made_by": row.made_by,
    }


def _ban_of(row: RowMapping) -> BanRow:
    return BanRow(
        prefix=row["prefix"],
        until_s=None if row["until"] is None else row["until"].timestamp(),
        reason=row["reason"],
        times=row["times"],
        made_by=row["made_by"],
    )


def _guesses_values(row: GuessesRow) -> dict[str, Any]:
    return {
        "account_id": row.account,
        "failures": row.failures,
        "since": _time_of(row.since_s),
    }


def _guesses_of(row: RowMapping) -> GuessesRow:
    return GuessesRow(
        account=AccountId(row["account_id"]),
        failures=row["failures"],
        since_s=row["since"].timestamp(),
    )
