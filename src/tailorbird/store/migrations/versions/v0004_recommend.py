"""Recommendation: items, events, what was shown, and the lists of the night."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_events()
    _create_lists()


def downgrade() -> None:
    """Drop them, the referring ones first."""
    for table in (
        "daily_lists",
        "impressions",
        "events",
        "items",
    ):
        op.drop_table(table)


def _create_events() -> None:
    op.create_table(
        "items",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("features", sa.JSON, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("is_withdrawn", sa.Boolean, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("user", sa.String(200), nullable=False),
        sa.Column("item", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("impression", sa.String(36)),
    )
    op.create_index("ix_events_impression", "events", ["impression"])
    op.create_index("ix_events_item", "events", ["item"])
    op.create_index("ix_events_time", "events", ["time"])
    op.create_index("ix_events_user_time", "events", ["user", "time"])


def _create_lists() -> None:
    op.create_table(
        "impressions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("user", sa.String(200)),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("items", sa.JSON, nullable=False),
    )
    op.create_index("ix_impressions_user_time", "impressions", ["user", "time"])
    op.create_table(
        "daily_lists",
        sa.Column("user", sa.String(200), primary_key=True),
        sa.Column("made", MOMENT, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("items", sa.JSON, nullable=False),
    )
