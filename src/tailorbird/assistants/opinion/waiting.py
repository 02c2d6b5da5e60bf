"""What waits for a person, or for a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, PostRow, TopicProposalRow


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person, or for a model."""

    n_alerts: int
    """That go on and nobody has acknowledged."""
    n_proposals: int
    n_unread: int
    """Posts that no model has read."""
    has_model: bool


def read_waiting(workspace: Workspace, *, has_model: bool) -> Waiting:
    """What waits in *workspace*: three queries."""
    with workspace.sessions() as session:

        def count(*conditions: Any) -> int:
            return session.scalar(select(func.count()).where(*conditions)) or 0

        return Waiting(
            n_alerts=count(AlertRow.status == "new"),
            n_proposals=count(TopicProposalRow.status == "new"),
            n_unread=count(PostRow.model == "", PostRow.copy_of.is_(None)),
            has_model=has_model,
        )
