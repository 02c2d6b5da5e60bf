"""What people taught at the desk, as interactions that ``tailorbird build`` reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import or_, select

from tailorbird.data import write_interactions
from tailorbird.records import Interaction
from tailorbird.store import Workspace
from tailorbird.store.tables import ConversationRow, DecisionRow, DraftRow


def training_pairs(workspace: Workspace) -> Iterator[Interaction]:
    """Accepted drafts, then corrected decisions, the oldest first; personal data is masked.

    A draft has its question, the answer, and the intent the assistant saw in it, where any. A
    correction has what was asked, what should have been answered, and the intent that was meant;
    of the two what is not known is None.
    """
    drafts = (
        select(DraftRow, ConversationRow.user)
        .outerjoin(ConversationRow, ConversationRow.id == DraftRow.conversation_id)
        .where(DraftRow.status == "accepted")
        .order_by(DraftRow.created)
    )
    corrected = (
        select(DecisionRow)
        .where(or_(DecisionRow.correction.is_not(None), DecisionRow.meant.is_not(None)))
        .order_by(DecisionRow.time)
    )
    with workspace.sessions() as session:
        for draft, user in session.execute(drafts):
            yield Interaction(
                id=f"draft-{draft.id}",
                text=draft.question,
                reply=draft.answer,
                label=draft.intent or None,
                user=user,
                time=draft.created,
                feedback=1.0,
                source=f"drafts:{draft.id}",
            )
        for row in session.scalars(corrected):
            yield Interaction(
                id=f"decision-{row.id}",
                text=row.text,
                reply=row.correction,
                label=row.meant,
                user=row.user,
                time=row.time,
                source=f"decisions:{row.id}",
            )


def write_training_pairs(workspace: Workspace, path: str | Path) -> int:
    """Write them to *path*, one JSON object a line; how many."""
    return write_interactions(path, training_pairs(workspace))
