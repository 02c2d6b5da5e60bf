"""What the service answered, kept for monitoring and for the next round of learning."""

from __future__ import annotations

from collections.abc import Iterable

from tailorbird.errors import StoreError
from tailorbird.store.tables import ServedRow
from tailorbird.store.workspace import Workspace


def record_served(workspace: Workspace, rows: Iterable[ServedRow]) -> int:
    """Store *rows* in one transaction; returns how many.

    The caller has masked PII in their texts.
    """
    new = list(rows)
    with workspace.writing() as session:
        session.add_all(new)
    return len(new)


def record_feedback(workspace: Workspace, served_id: str, feedback: float) -> None:
    """Remember what a person thought of one answer, from -1 (bad) to 1 (good)."""
    if not -1 <= feedback <= 1:
        raise StoreError(f"feedback {feedback} is not between -1 and 1", where=served_id)
    with workspace.writing() as session:
        row = session.get(ServedRow, served_id)
        if row is None:
            raise StoreError(f"no answer with id {served_id!r} was served", where="feedback")
        row.feedback = feedback
