"""What was judged of posts, on its way to the disk: many posts in few statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from tailorbird.assistants.opinion.reading.correcting import let_win
from tailorbird.assistants.opinion.reading.reader import Reading
from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import MentionRow, OpinionLabelRow, PostRow, PostTopicRow


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model makes of one post."""

    post_id: str
    reading: Reading
    mentions: list[dict[str, Any]]
    """Columns of `MentionRow`."""


def fill_in(workspace: Workspace, model: str, judged: Sequence[Judged]) -> int:
    """Write what *model* made of posts in one transaction, people's word over it; how many.

    Left out are posts that were removed meanwhile, or that somebody else was quicker with.
    """
    with workspace.writing() as session:
        ids = [one.post_id for one in judged]
        wanted = select(PostRow.id).where(PostRow.id.in_(ids), PostRow.model != model)
        waiting = set(session.scalars(wanted))
        left = [one for one in judged if one.post_id in waiting]
        if left:
            _write(session.connection(), model, left)
            _let_people_win(session, waiting)
    return len(left)


def _write(connection: Connection, model: str, judged: Sequence[Judged]) -> None:
    ids = [one.post_id for one in judged]
    rows = [
        {
            "of_id": one.post_id,
            "model": model,
            "sentiment": one.reading.sentiment,
            "probabilities": one.reading.probabilities,
            "topics": one.reading.topics,
            "topic_distance": one.reading.topic_distance,
        }
        for one in judged
    ]
    values: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "of_id"}
    of_each = update(PostRow).where(PostRow.id == bindparam("of_id")).values(values)
    connection.execute(of_each, rows)
    topics = [{"post_id": k.post_id, "topic": topic} for k in judged for topic in k.reading.topics]
    mentions = [row for one in judged for row in one.mentions]
    for table, found in ((PostTopicRow, topics), (MentionRow, mentions)):
        connection.execute(delete(table).where(table.post_id.in_(ids)))
        if found:
            connection.execute(insert(table), found)


def _let_people_win(session: Session, ids: set[str]) -> None:
    of_post: dict[str, list[OpinionLabelRow]] = {}
    for label in session.scalars(select(OpinionLabelRow).where(OpinionLabelRow.post_id.in_(ids))):
        of_post.setdefault(label.post_id, []).append(label)
    for post in session.scalars(select(PostRow).where(PostRow.id.in_(of_post))):
        let_win(session, post, of_post[post.id])
