"""What the door remembers: who has been here, bans, guesses at accounts.

It names its columns itself and does not import `tables`: this is what the tables were at this step,
whatever becomes of them later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "familiar",
        sa.Column("account_name", sa.Text, primary_key=True, nullable=False),
        sa.Column("prefix", sa.Text, primary_key=True, nullable=False),
        sa.Column("last_success", sa.DateTime(timezone=True), nullable=False),
        sa.Column("country", sa.Text),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
    )
    op.create_index("familiar_by_last_success", "familiar", ["last_success"])
    op.create_table(
        "bans",
        sa.Column("prefix", sa.Text, primary_key=True, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
    )
    op.create_table(
        "guesses",
        sa.Column("account_id", sa.Integer, primary_key=True, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
