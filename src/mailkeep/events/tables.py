"""The table of events, and how a row becomes a record again.

The table answers questions; the chain of files (`chain`) is the truth that it is filled from. What
questions are asked by has a column of its own; everything else is in `fields`. A row is a line of
the chain: an event, or a run of them (`runs`).
"""

import json
from pathlib import Path

from sqlalchemy import Column, Index, Integer, MetaData, RowMapping, Table, Text, text

from mailkeep.database.schema import Schema
from mailkeep.database.utc import UtcTime
from mailkeep.events.records import Record

SCHEMA = Schema(versions=Path(__file__).parent / "migrations" / "versions", head="0002")

METADATA = MetaData()

EVENTS = Table(
    "events",
    METADATA,
    Column("seq", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("type", Text, nullable=False),
    Column("session", Text),
    Column("account", Text),
    Column("claimed", Text),
    Column("peer", Text),
    Column("device", Text),
    Column("uidl", Text),
    Column("fields", Text, nullable=False),
    Index("events_by_account", "account", "at", sqlite_where=text("account IS NOT NULL")),
    Index("events_by_claimed_name", "claimed", "at", sqlite_where=text("claimed IS NOT NULL")),
    Index("events_by_session", "session"),
    Index("events_by_time", "at"),
)
"""`seq` and `at` are of a run's first event, and its `uidl` is not known here. `claimed` is what
somebody who was not let in called himself, as `fold_name` makes it."""


def record_of(row: RowMapping) -> Record:
    """Return the record that a row was made from."""
    return Record(row["seq"], row["at"], row["type"], json.loads(row["fields"]))
