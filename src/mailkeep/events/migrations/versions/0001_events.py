"""The table of events.

It names its columns itself and does not import `tables`: this is what the table was at this step,
whatever becomes of it later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True, nullable=False, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=True),
        sa.Column("account", sa.Text, nullable=True),
        sa.Column("claimed", sa.Text, nullable=True),
        sa.Column("peer", sa.Text, nullable=True),
        sa.Column("device", sa.Text, nullable=True),
        sa.Column("uidl", sa.Text, nullable=True),
        sa.Column("fields", sa.Text, nullable=False),
    )
    op.create_index("events_by_account", "events", ["account", "at"])
    op.create_index("events_by_claimed_name", "events", ["claimed", "at"])
    op.create_index("events_by_session", "events", ["session"])
    op.create_index("events_by_time", "events", ["at"])
