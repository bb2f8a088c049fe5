"""The tables, their migrations and what `deliver` asks of it are one and the same."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Table
from sqlalchemy.schema import CreateTable

from mailkeep.accounts.tables import ACCOUNTS, CHANGES, DEVICES, METADATA, SCHEMA
from mailkeep.database.engine import Database


def test_the_migrations_lead_to_the_tables(database: Database) -> None:
    """A column that is in one and not in the other would be found by a user."""
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


@pytest.mark.parametrize("table", [ACCOUNTS, DEVICES, CHANGES], ids=str)
def test_what_alembic_does_not_compare_is_the_same_too(database: Database, table: Table) -> None:
    """AUTOINCREMENT and the checks: word for word, whatever the spacing."""
    with database.reading() as connection:
        query = "SELECT sql FROM sqlite_schema WHERE name = ?"
        migrated = connection.exec_driver_sql(query, (table.name,)).scalar_one()
        declared = str(CreateTable(table).compile(connection))
    assert migrated.split() == declared.split()
    assert "AUTOINCREMENT" in migrated


def test_the_head_that_is_written_down_is_the_head_of_the_folder() -> None:
    """Opening a database trusts it, so that it need not read the folder."""
    script = ScriptDirectory(SCHEMA.versions, version_locations=[SCHEMA.versions])
    assert script.get_heads() == [SCHEMA.head]
