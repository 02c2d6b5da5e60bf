"""The service desk: conversations, decisions, drafts, keys; documents, rules and facts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_conversations()
    _create_decisions()
    _create_access()
    _create_knowledge()


def downgrade() -> None:
    """Drop them, the referring ones first."""
    for table in (
        "rule_sets",
        "chunks",
        "documents",
        "admin_actions",
        "keys",
        "drafts",
        "decisions",
        "turns",
        "conversations",
    ):
        op.drop_table(table)


def _create_conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("updated", MOMENT, nullable=False),
        sa.Column("user", sa.String(200)),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("opened_by", sa.String(200), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("agent", sa.String(200)),
        sa.Column("n_unsure", sa.Integer, nullable=False),
        sa.Column("rating", sa.Double),
    )
    for column in ("updated", "user", "status"):
        op.create_index(f"ix_conversations_{column}", "conversations", [column])
    op.create_table(
        "turns",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column(
            "conversation_id",
            sa.String(36),
            sa.ForeignKey("conversations.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("author", sa.String(20), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("client_id", sa.String(64)),
        sa.Column("decision_id", sa.String(36)),
        sa.UniqueConstraint("conversation_id", "number"),
    )
    op.create_index("ix_turns_conversation_id", "turns", ["conversation_id"])


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("conversation_id", sa.String(36)),
        sa.Column("user", sa.String(200)),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("intent", sa.String(200), nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("bundle_id", sa.String(64), nullable=False),
        sa.Column("adapter", sa.String(64), nullable=False),
        sa.Column("latency_ms", sa.Double, nullable=False),
        sa.Column("why", sa.JSON, nullable=False),
        sa.Column("feedback", sa.Double),
        sa.Column("correction", sa.Text),
        sa.Column("meant", sa.String(200)),
    )
    for column in ("time", "conversation_id"):
        op.create_index(f"ix_decisions_{column}", "decisions", [column])
    op.create_table(
        "drafts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("conversation_id", sa.String(36)),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("intent", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("reviewer", sa.String(200), nullable=False),
    )
    op.create_index("ix_drafts_status", "drafts", ["status"])


def _create_access() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("revoked", MOMENT),
    )
    op.create_table(
        "admin_actions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_index("ix_admin_actions_time", "admin_actions", ["time"])


def _create_knowledge() -> None:
    op.create_table(
        "documents",
        sa.Column("name", sa.String(500), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("n_bytes", sa.Integer, nullable=False),
        sa.Column("updated", MOMENT, nullable=False),
    )
    op.create_table(
        "chunks",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column(
            "document",
            sa.String(500),
            sa.ForeignKey("documents.name", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("heading", sa.Text, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("encoder", sa.String(64), nullable=False),
        sa.Column("vector", sa.LargeBinary),
    )
    op.create_index("ix_chunks_document", "chunks", ["document"])
    op.create_table(
        "rule_sets",
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
    )
