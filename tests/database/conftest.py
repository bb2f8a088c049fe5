"""A room of its own for these tests: a table, and its history in two steps."""

from pathlib import Path

import pytest

from mailkeep.database.schema import Schema

FIRST = '''
"""First step."""
import sqlalchemy as sa
from alembic import op
revision = "0001"
down_revision = None
def upgrade():
    op.create_table(
        "things",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
'''

SECOND = '''
"""Second step."""
import os, signal
import sqlalchemy as sa
from alembic import op
revision = "0002"
down_revision = "0001"
def upgrade():
    op.add_column("things", sa.Column("weight", sa.Integer))
    if "DIE_HALFWAY" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    if "FAIL_HALFWAY" in os.environ:
        raise ArithmeticError("half way")
    op.create_table("more_things", sa.Column("id", sa.Integer, primary_key=True))
'''


@pytest.fixture
def older(tmp_path: Path) -> Schema:
    """What an older program had."""
    return _schema(tmp_path / "older", {"0001_things.py": FIRST}, "0001")


@pytest.fixture
def newer(tmp_path: Path) -> Schema:
    """What this program has."""
    steps = {"0001_things.py": FIRST, "0002_more_things.py": SECOND}
    return _schema(tmp_path / "newer", steps, "0002")


def _schema(folder: Path, steps: dict[str, str], head: str) -> Schema:
    folder.mkdir()
    for name, text in steps.items():
        (folder / name).write_text(text)
    return Schema(versions=folder, head=head)
