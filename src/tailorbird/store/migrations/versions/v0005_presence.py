"""Who is at the desk, heard by whichever process of the service."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "desk_agents",
        sa.Column("agent", sa.String(200), primary_key=True),
        sa.Column("process", sa.String(36), primary_key=True),
        sa.Column("heard", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("desk_agents")
