"""Posts that a model has not read yet, found by the index alone, however many others there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import PostRow


def unread(workspace: Workspace, model: str, limit: int) -> list[Row[Any]]:
    """(id, title, text, taken) of at most *limit* posts that *model* has not read, newest first.

    Copies of a story are left out.
    """
    found: list[Any] = []
    with workspace.sessions() as session:
        for other in _models(session):
            if other == model:
                continue
            of_it = (
                select(PostRow.id, PostRow.title, PostRow.text, PostRow.taken)
                .where(PostRow.copy_of.is_(None), PostRow.model == other)
                .order_by(PostRow.taken.desc(), PostRow.id)
            )
            found += session.execute(of_it.limit(limit)).all()
    found.sort(key=lambda row: row.id)
    found.sort(key=lambda row: row.taken, reverse=True)  # it keeps the order of equal ones
    return found[:limit]


def _models(session: Session) -> Iterator[str]:
    """What has read posts, in order; empty: nothing yet. One look into the index for each."""
    least = select(func.min(PostRow.model)).where(PostRow.copy_of.is_(None))
    model: str | None = session.scalar(least)
    while model is not None:
        yield model
        model = session.scalar(least.where(PostRow.model > model))
