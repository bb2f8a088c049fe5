"""Notes of what operators did to bans, until they are told."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ban_notes",
        sa.Column("id", sa.Integer, primary_key=True, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("is_lifted", sa.Boolean, nullable=False),
        sa.Column("seconds", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
