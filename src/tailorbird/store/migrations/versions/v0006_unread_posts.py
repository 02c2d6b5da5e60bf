"""Posts that wait to be read are found without a look at all others."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAME = "ix_opinion_posts_unread"


def upgrade() -> None:
    """Create the index."""
    firsts = sa.text("copy_of IS NULL")
    op.create_index(NAME, "opinion_posts", ["model", "taken"], sqlite_where=firsts)


def downgrade() -> None:
    """Drop it."""
    op.drop_index(NAME, "opinion_posts")
