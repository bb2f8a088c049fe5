"""Devices, policies, last uses, and the changes that are to be told.

It names its columns itself and does not import `tables`: this is what the tables were at this step,
whatever becomes of them later. The table of accounts is made anew, because SQLite adds no check to
one that exists; its numbers, and the highest number ever given, stay.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_KEPT = (
    "id", "address", "state", "created", "password_hash", "password_version", "password_changed",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables, with every account in its new one."""
    op.rename_table("accounts", "accounts_before")
    _create_accounts()
    _carry_over()
    op.drop_table("accounts_before")
    op.create_index("accounts_scram_iterations", "accounts", ["scram_iterations"])
    _create_devices()
    _create_changes()


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer, primary_key=True, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("password_version", sa.Integer, nullable=False),
        sa.Column("password_changed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("main_password", sa.Text),
        sa.Column("expires", sa.DateTime(timezone=True)),
        sa.Column("last_used", sa.DateTime(timezone=True)),
        sa.Column("counted_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scram_salt", sa.LargeBinary),
        sa.Column("scram_iterations", sa.Integer),
        sa.Column("scram_stored_key", sa.LargeBinary),
        sa.Column("scram_server_key", sa.LargeBinary),
        sa.UniqueConstraint("address", name="accounts_address_is_unique"),
        sa.CheckConstraint("state IN ('enabled', 'disabled')", name="accounts_state_is_known"),
        sa.CheckConstraint(
            "main_password IN ('allow', 'devices_only')", name="accounts_main_password_is_known"
        ),
        sqlite_autoincrement=True,
    )


def _carry_over() -> None:
    """Copy the accounts. Nobody knows when they were used: days without use count from now."""
    connection = op.get_bind()
    kept = ", ".join(_KEPT)
    copy = f"""
        INSERT INTO accounts ({kept}, counted_from, confirmed)
        SELECT {kept}, :now, password_changed FROM accounts_before
    """  # noqa: S608  # the names are above
    now = sa.bindparam("now", datetime.now(UTC), sa.DateTime(timezone=True))
    connection.execute(sa.text(copy).bindparams(now))
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'accounts'")
    connection.exec_driver_sql(
        "UPDATE sqlite_sequence SET name = 'accounts' WHERE name = 'accounts_before'"
    )


def _create_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("id", sa.Integer, primary_key=True, nullable=False),
        sa.Column(
            "account_id",
            sa.Integer,
            sa.ForeignKey("accounts.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("password_hash", sa.LargeBinary),
        sa.Column("scram_keys", sa.LargeBinary),
        sa.Column("key_id", sa.LargeBinary),
        sa.Column("certificate", sa.Text),
        sa.Column("networks", sa.Text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("may", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used", sa.DateTime(timezone=True)),
        sa.Column("last_address", sa.Text),
        sa.Column("last_client", sa.Text),
        sa.UniqueConstraint("account_id", "name_key", name="devices_name_is_unique"),
        sa.UniqueConstraint("certificate", name="devices_certificate_is_unique"),
        sa.CheckConstraint("may IN ('read', 'delete')", name="devices_may_is_known"),
        sa.CheckConstraint(
            "(certificate IS NULL) = (password_hash IS NOT NULL)",
            name="devices_have_one_credential",
        ),
        sqlite_autoincrement=True,
    )


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("device", sa.Text),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
