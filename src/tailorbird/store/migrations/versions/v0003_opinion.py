"""Opinion monitoring: sources, posts, alerts, and what people corrected."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_posts()
    _create_alerts()
    _create_corrections()


def downgrade() -> None:
    """Drop them, the referring ones first."""
    for table in (
        "opinion_labels",
        "opinion_topic_proposals",
        "opinion_silences",
        "opinion_deliveries",
        "opinion_alerts",
        "opinion_mentions",
        "opinion_entities",
        "opinion_post_topics",
        "opinion_posts",
        "opinion_sources",
    ):
        op.drop_table(table)


def _create_posts() -> None:
    op.create_table(
        "opinion_sources",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("every_s", sa.Integer, nullable=False),
        sa.Column("is_paused", sa.Boolean, nullable=False),
        sa.Column("cursor", sa.JSON, nullable=False),
        sa.Column("next_poll", MOMENT),
        sa.Column("last_ok", MOMENT),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("n_failures", sa.Integer, nullable=False),
    )
    op.create_index("ix_opinion_sources_next_poll", "opinion_sources", ["next_poll"])
    op.create_table(
        "opinion_posts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("taken", MOMENT, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("copy_of", sa.String(36)),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("sentiment", sa.String(20), nullable=False),
        sa.Column("probabilities", sa.JSON, nullable=False),
        sa.Column("topics", sa.JSON, nullable=False),
        sa.Column("topic_distance", sa.Double),
    )
    op.create_index("ix_opinion_posts_copy_of_time", "opinion_posts", ["copy_of", "time"])
    op.create_index("ix_opinion_posts_model", "opinion_posts", ["model"])
    op.create_index("ix_opinion_posts_source", "opinion_posts", ["source"])
    op.create_index("ix_opinion_posts_taken", "opinion_posts", ["taken"])
    op.create_index("ix_opinion_posts_time", "opinion_posts", ["time"])
    op.create_table(
        "opinion_post_topics",
        sa.Column(
            "post_id",
            sa.String(36),
            sa.ForeignKey("opinion_posts.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("topic", sa.String(200), primary_key=True),
    )
    op.create_index("ix_opinion_post_topics_topic", "opinion_post_topics", ["topic"])
    op.create_table(
        "opinion_entities",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("aliases", sa.JSON, nullable=False),
        sa.Column("is_watched", sa.Boolean, nullable=False),
    )
    op.create_table(
        "opinion_mentions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column(
            "post_id",
            sa.String(36),
            sa.ForeignKey("opinion_posts.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("entity", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer, nullable=False),
        sa.Column("sentiment", sa.String(20), nullable=False),
        sa.Column("probabilities", sa.JSON, nullable=False),
        sa.UniqueConstraint("post_id", "entity"),
    )
    op.create_index("ix_opinion_mentions_entity", "opinion_mentions", ["entity"])
    op.create_index("ix_opinion_mentions_post_id", "opinion_mentions", ["post_id"])


def _create_alerts() -> None:
    op.create_table(
        "opinion_alerts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("entity", sa.String(200), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("level", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("acknowledged_by", sa.String(200), nullable=False),
        sa.Column("story", sa.JSON, nullable=False),
        sa.Column("group", sa.String(36), nullable=False),
    )
    op.create_index("ix_opinion_alerts_created", "opinion_alerts", ["created"])
    op.create_index("ix_opinion_alerts_status", "opinion_alerts", ["status"])
    op.create_table(
        "opinion_deliveries",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column(
            "alert_id",
            sa.String(36),
            sa.ForeignKey("opinion_alerts.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("n_tries", sa.Integer, nullable=False),
        sa.Column("next_try", MOMENT),
        sa.Column("arrived", MOMENT),
        sa.Column("error", sa.Text, nullable=False),
        sa.UniqueConstraint("alert_id", "channel"),
    )
    op.create_index("ix_opinion_deliveries_alert_id", "opinion_deliveries", ["alert_id"])
    op.create_index("ix_opinion_deliveries_next_try", "opinion_deliveries", ["next_try"])
    op.create_table(
        "opinion_silences",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("entity", sa.String(200), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )


def _create_corrections() -> None:
    op.create_table(
        "opinion_topic_proposals",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("words", sa.JSON, nullable=False),
        sa.Column("posts", sa.JSON, nullable=False),
        sa.Column("n_posts", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("topic", sa.String(200), nullable=False),
    )
    op.create_table(
        "opinion_labels",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column(
            "post_id",
            sa.String(36),
            sa.ForeignKey("opinion_posts.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("entity", sa.String(200), nullable=False),
        sa.Column("topics", sa.JSON),
        sa.Column("sentiment", sa.String(20), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.UniqueConstraint("post_id", "entity"),
    )
    op.create_index("ix_opinion_labels_post_id", "opinion_labels", ["post_id"])
