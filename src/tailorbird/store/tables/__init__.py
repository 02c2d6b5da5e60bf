"""The tables of the workspace database.

A change here needs a migration in ``migrations/versions``; a test compares the two.
"""

from tailorbird.store.tables.assistant import (
    BundleRow,
    DeploymentAction,
    DeploymentRow,
    RunRow,
    RunStatus,
    ServedRow,
)
from tailorbird.store.tables.base import Base, UtcDateTime, new_id, utc_now
from tailorbird.store.tables.desk import (
    AdminActionRow,
    Author,
    ConversationRow,
    ConversationStatus,
    DecisionRow,
    DraftRow,
    DraftStatus,
    KeyRow,
    Role,
    TurnRow,
    drafted_document,
)
from tailorbird.store.tables.knowledge import ChunkRow, DocumentRow, RuleSetRow

__all__ = [
    "AdminActionRow",
    "Author",
    "Base",
    "BundleRow",
    "ChunkRow",
    "ConversationRow",
    "ConversationStatus",
    "DecisionRow",
    "DeploymentAction",
    "DeploymentRow",
    "DocumentRow",
    "DraftRow",
    "DraftStatus",
    "KeyRow",
    "Role",
    "RuleSetRow",
    "RunRow",
    "RunStatus",
    "ServedRow",
    "TurnRow",
    "UtcDateTime",
    "drafted_document",
    "new_id",
    "utc_now",
]
