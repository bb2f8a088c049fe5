"""The table of accounts.

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
        "accounts",
        sa.Column("id", sa.Integer, primary_key=True, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("password_version", sa.Integer, nullable=False),
        sa.Column("password_changed", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("address", name="accounts_address_is_unique"),
        sa.CheckConstraint("state IN ('enabled', 'disabled')", name="accounts_state_is_known"),
        sqlite_autoincrement=True,
    )
