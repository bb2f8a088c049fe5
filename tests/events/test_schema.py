"""The table and its migrations are one and the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.events.tables import METADATA, SCHEMA


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "events.db", SCHEMA, create=True)
    yield opened
    opened.close()


def test_the_migrations_lead_to_the_table(database: Database) -> None:
    """A column or an index that is in one and not in the other would be found by a user."""
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_the_head_that_is_written_down_is_the_head_of_the_folder() -> None:
    """Opening a database trusts it, so that it need not read the folder."""
    script = ScriptDirectory(SCHEMA.versions, version_locations=[SCHEMA.versions])
    assert script.get_heads() == [SCHEMA.head]
