"""What operators did to bans, written down with the change itself until it was told.

As in the accounts' room: the change and its note are one transaction, so that nothing happens
untold, whether the server runs at that moment or not.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select

from mailkeep.database.engine import Database
from mailkeep.defence.tables import BAN_NOTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What an operator did to one ban."""

    prefix: str
    is_lifted: bool
    seconds: int | None
    """Of a new ban, from then on; None for one that lasts until it is lifted."""
    reason: str
    by: str
    """The system user."""


@dataclass(frozen=True, slots=True)
class BanNote:
    """A deed that is still to be told."""

    id: int
    deed: Deed


class BanNotes:
    """The notes. Every method blocks and can raise `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, limit: int) -> Sequence[BanNote]:
        """Return the oldest that nobody was told; they stay until they are `done`."""
        query = select(BAN_NOTES).order_by(BAN_NOTES.c.id).limit(limit)
        with self._database.reading() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [BanNote(row.pop("id"), Deed(**row)) for row in rows]

    def done(self, ids: Sequence[int]) -> None:
        """Forget those that were told."""
        told = [{"told": number} for number in ids]
        if told:
            with self._database.writing() as connection:
                forget = delete(BAN_NOTES).where(BAN_NOTES.c.id == bindparam("told"))
                connection.execute(forget, told)


def note_deed(connection: Connection, deed: Deed) -> None:
    """Write down a deed in the transaction that does it."""
    connection.execute(insert(BAN_NOTES).values(**asdict(deed)))
