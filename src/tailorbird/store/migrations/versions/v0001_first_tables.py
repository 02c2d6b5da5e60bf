"""The first tables: runs, bundles, deployments, served interactions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "runs",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("ended", MOMENT),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("ix_runs_created", "runs", ["created"])
    op.create_table(
        "bundles",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("run", sa.String(200), sa.ForeignKey("runs.name")),
        sa.Column("accuracy", sa.Double),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bundle_id", sa.String(16), sa.ForeignKey("bundles.id"), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT),
        sa.Column("previous_id", sa.Integer, sa.ForeignKey("deployments.id")),
        sa.Column("is_live", sa.Boolean, unique=True),
    )
    op.create_table(
        "served_interactions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("user", sa.String(200)),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("intent", sa.String(200), nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("in_scope", sa.Boolean, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("bundle_id", sa.String(64), nullable=False),
        sa.Column("latency_ms", sa.Double, nullable=False),
        sa.Column("feedback", sa.Double),
    )
    op.create_index("ix_served_interactions_time", "served_interactions", ["time"])


def downgrade() -> None:
    """Drop them, the referring ones first."""
    for table in ("served_interactions", "deployments", "bundles", "runs"):
        op.drop_table(table)
