"""Topics that the posts themselves propose, and what people decide about them."""

from __future__ import annotations

from sqlalchemy import select

from tailorbird.errors import NotFoundError
from tailorbird.store import Workspace
from tailorbird.store.tables import ProposalStatus, TopicProposalRow


def list_proposals(
    workspace: Workspace, status: ProposalStatus = "new", *, limit: int = 50
) -> list[TopicProposalRow]:
    """Proposals of one *status*, the largest first."""
    wanted = select(TopicProposalRow).where(TopicProposalRow.status == status)
    wanted = wanted.order_by(TopicProposalRow.n_posts.desc(), TopicProposalRow.id).limit(limit)
    with workspace.sessions() as session:
        return list(session.scalars(wanted))


def read_proposal(workspace: Workspace, proposal_id: str) -> TopicProposalRow:
    """One proposal; NotFoundError where there is none."""
    with workspace.sessions() as session:
        row = session.get(TopicProposalRow, proposal_id)
    if row is None:
        raise NotFoundError(
            f"there is no proposal {proposal_id!r}",
            where="proposal",
            cure="GET /v1/opinion/proposals and tailorbird opinion topics list name them",
        )
    return row
