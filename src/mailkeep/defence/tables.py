"""The tables of the door, as they are after the last migration."""

from pathlib import Path

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, Table, Text

from mailkeep.database.schema import Schema
from mailkeep.database.utc import UtcTime

SCHEMA = Schema(versions=Path(__file__).parent / "migrations" / "versions", head="0002")

METADATA = MetaData()

FAMILIAR = Table(
    "familiar",
    METADATA,
    Column("account_name", Text, primary_key=True, nullable=False),
    Column("prefix", Text, primary_key=True, nullable=False),
    Column("last_success", UtcTime, nullable=False),
    Column("country", Text),
    Column("latitude", Float),
    Column("longitude", Float),
    Index("familiar_by_last_success", "last_success"),
)
"""From where an account has been logged in to."""

BANS = Table(
    "bans",
    METADATA,
    Column("prefix", Text, primary_key=True, nullable=False),
    Column("until", UtcTime),
    Column("reason", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("made_by", Text, nullable=False),
)
"""Bans in force (`until` NULL: until an operator lifts it), and those over, for the next one."""

GUESSES = Table(
    "guesses",
    METADATA,
    Column("account_id", Integer, primary_key=True, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("since", UtcTime, nullable=False),
)
"""Failures from unfamiliar sources since the main password was last changed or confirmed."""

BAN_NOTES = Table(
    "ban_notes",
    METADATA,
    Column("id", Integer, primary_key=True, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("is_lifted", Boolean, nullable=False),
    Column("seconds", Integer),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    # A number that is given again could be taken for one that was told already.
    sqlite_autoincrement=True,
)
"""What operators did to bans and nobody was told yet."""
