"""The texts behind a point: which posts there are, whom they name, how often they were copied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from tailorbird.assistants.opinion.figures import Subject, of_subject, sentiment_of
from tailorbird.errors import NotFoundError
from tailorbird.store import Workspace
from tailorbird.store.tables import MentionRow, OpinionLabelRow, PostRow

N_POSTS = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A post with whom it names, where else it was told, and what people said of it."""

    post: PostRow
    mentions: tuple[MentionRow, ...] = ()
    copies: tuple[PostRow, ...] = ()
    """The same story elsewhere, the earliest first."""
    labels: tuple[OpinionLabelRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which posts: those of a subject, within a time, of one sentiment, with some words."""

    subject: Subject = field(default_factory=Subject)
    since: datetime | None = None
    until: datetime | None = None
    sentiment: str = ""
    words: str = ""
    source: str = ""


def find_posts(
    workspace: Workspace, wanted: Wanted, *, limit: int = N_POSTS, before: str = ""
) -> list[Found]:
    """At most *limit* posts, the newest first; copies stand with what they copy.

    *before* is the id of the last post of the page before. NotFoundError where it is none.
    """
    query = of_subject(select(PostRow), wanted.subject)
    if wanted.since is not None:
        query = query.where(PostRow.time >= wanted.since)
    if wanted.until is not None:
        query = query.where(PostRow.time < wanted.until)
    if wanted.sentiment:
        query = query.where(sentiment_of(wanted.subject) == wanted.sentiment)
    if wanted.source:
        query = query.where(PostRow.source == wanted.source)
    if wanted.words:
        contains = (column.icontains(wanted.words, autoescape=True) for column in _WRITTEN)
        query = query.where(or_(*contains))
    with workspace.sessions() as session:
        if before:
            last = _post(session, before)
            is_older = and_(PostRow.time == last.time, PostRow.id < last.id)
            query = query.where(or_(PostRow.time < last.time, is_older))
        query = query.order_by(PostRow.time.desc(), PostRow.id.desc()).limit(limit)
        return _with_all(session, session.scalars(query).all())


def read_posts(workspace: Workspace, ids: Sequence[str]) -> list[Found]:
    """The posts with these *ids* in their order; those that are gone are left out."""
    with workspace.sessions() as session:
        posts = session.scalars(select(PostRow).where(PostRow.id.in_(ids))).all()
        found = {one.post.id: one for one in _with_all(session, posts)}
    return [found[one] for one in dict.fromkeys(ids) if one in found]


def read_post(workspace: Workspace, post_id: str) -> Found:
    """One post; NotFoundError where there is none."""
    with workspace.sessions() as session:
        return _with_all(session, [_post(session, post_id)])[0]


def _post(session: Session, post_id: str) -> PostRow:
    post = session.get(PostRow, post_id)
    if post is None:
        raise NotFoundError(
            f"there is no post {post_id!r}", where="post", cure="GET /v1/opinion/posts lists them"
        )
    return post


def _with_all(session: Session, posts: Sequence[PostRow]) -> list[Found]:
    ids = [post.id for post in posts]
    mentions: dict[str, list[MentionRow]] = defaultdict(list)
    copies: dict[str, list[PostRow]] = defaultdict(list)
    labels: dict[str, list[OpinionLabelRow]] = defaultdict(list)
    in_order = select(MentionRow).where(MentionRow.post_id.in_(ids)).order_by(MentionRow.start)
    for mention in session.scalars(in_order):
        mentions[mention.post_id].append(mention)
    for copy in session.scalars(
        select(PostRow).where(PostRow.copy_of.in_(ids)).order_by(PostRow.time, PostRow.id)
    ):
        copies[copy.copy_of or ""].append(copy)
    for label in session.scalars(select(OpinionLabelRow).where(OpinionLabelRow.post_id.in_(ids))):
        labels[label.post_id].append(label)
    return [
        Found(
            post,
            mentions=tuple(mentions[post.id]),
            copies=tuple(copies[post.id]),
            labels=tuple(labels[post.id]),
        )
        for post in posts
    ]


_WRITTEN = (PostRow.title, PostRow.text)
