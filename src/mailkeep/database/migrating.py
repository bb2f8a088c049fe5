"""Running migrations with alembic, without its configuration file and its environment script.

Imported only when there is something to do. The caller's transaction holds everything: all
migrations are in it or none.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from mailkeep.database.errors import DatabaseTooNew
from mailkeep.database.schema import Schema


def migrate(connection: Connection, path: Path, schema: Schema) -> None:
    """Bring the database from wherever it is to the end of `schema`.

    Args:
        connection: in a transaction that writes.
        path: the database file, for the error.
        schema: where the migrations are.

    Raises:
        DatabaseTooNew: it has been where these migrations do not lead; nothing was changed.
    """
    script = ScriptDirectory(schema.versions, version_locations=[schema.versions])

    def steps(heads: tuple[str, ...], _: MigrationContext) -> Iterable[MigrationStep]:
        return _steps(script, heads, schema.head)

    context = MigrationContext.configure(connection, opts={"fn": steps})
    _check_known(script, context.get_current_heads(), path)
    with Operations.context(context):
        context.run_migrations()


def _steps(script: ScriptDirectory, heads: tuple[str, ...], end: str) -> Iterator[MigrationStep]:
    """Yield what leads from `heads` to `end`, oldest first."""
    revisions = list(script.iterate_revisions(end, heads, implicit_base=True))
    for revision in reversed(revisions):
        yield MigrationStep.upgrade_from_script(script.revision_map, revision)


def _check_known(script: ScriptDirectory, heads: tuple[str, ...], path: Path) -> None:
    unknown = set(heads) - {revision.revision for revision in script.walk_revisions()}
    if unknown:
        raise DatabaseTooNew(
            path,
            f"it is at revision {', '.join(sorted(unknown))}, which this program does not know",
            "start the newer Mailkeep that wrote it, or restore the backup from before that one",
        )
