"""What people say of posts: it wins over the model at once, and is learned from next time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tailorbird.assistants.opinion.reading.windows import marked, window
from tailorbird.errors import NotFoundError, RequestError
from tailorbird.records import Example
from tailorbird.store import Workspace
from tailorbird.store.tables import utc_now
from tailorbird.store.tables.opinion import MentionRow, OpinionLabelRow, PostRow, PostTopicRow

MAX_NAME = 200
"""Characters of a topic or a sentiment."""


def correct(
    workspace: Workspace,
    post_id: str,
    *,
    entity: str = "",
    topics: Sequence[str] | None = None,
    sentiment: str = "",
    author: str = "",
) -> OpinionLabelRow:
    """Keep what *author* says of a post, or of *entity* in it, and let it stand from now on.

    What is left out (topics None, sentiment empty) stays as it was said before.

    Raises NotFoundError where there is no such post, RequestError where nothing is said.
    """
    check_names([*(topics or ()), *([sentiment] if sentiment else [])])
    if topics is None and not sentiment:
        raise RequestError("says neither topics nor sentiment", cure="give one of them")
    if entity and topics is not None:
        raise RequestError(
            "topics are those of a whole post", cure=f"leave them out, or leave {entity!r} out"
        )
    with workspace.writing() as session:
        post = session.get(PostRow, post_id)
        if post is None:
            raise NotFoundError(f"there is no post {post_id!r}", cure="it may have been removed")
        return note(session, post, entity=entity, topics=topics, sentiment=sentiment, author=author)


def note(
    session: Session,
    post: PostRow,
    *,
    entity: str = "",
    topics: Sequence[str] | None = None,
    sentiment: str = "",
    author: str = "",
) -> OpinionLabelRow:
    """The same within a transaction."""
    wanted = select(OpinionLabelRow).where(
        OpinionLabelRow.post_id == post.id, OpinionLabelRow.entity == entity
    )
    row = session.scalar(wanted)
    if row is None:
        row = OpinionLabelRow(post_id=post.id, entity=entity)
        session.add(row)
    if topics is not None:
        row.topics = list(dict.fromkeys(topics))
    row.sentiment = sentiment or row.sentiment
    row.author, row.time = author, utc_now()
    session.flush()
    let_win(session, post, [row])
    return row


def check_names(names: Iterable[str]) -> None:
    """Raise RequestError for a name that is empty or too long."""
    for name in names:
        if not name.strip() or len(name) > MAX_NAME:
            raise RequestError(
                f"{name[:40]!r} is no name", cure=f"use 1 to {MAX_NAME} characters, not only spaces"
            )


def let_win(session: Session, post: PostRow, said: Iterable[OpinionLabelRow]) -> None:
    """Write what people *said* of a post over what the model made of it."""
    for row in said:
        sure = {row.sentiment: 1.0}
        if row.entity:
            if row.sentiment:
                mention = _mention(session, post, row.entity)
                mention.sentiment, mention.probabilities = row.sentiment, sure
            continue
        if row.sentiment:
            post.sentiment, post.probabilities = row.sentiment, sure
        if row.topics is not None:
            set_topics(session, post, dict.fromkeys(row.topics, 1.0))


def set_topics(session: Session, post: PostRow, topics: dict[str, float]) -> None:
    """Give a post these topics and no others."""
    session.execute(delete(PostTopicRow).where(PostTopicRow.post_id == post.id))
    session.add_all(PostTopicRow(post_id=post.id, topic=topic) for topic in topics)
    post.topics = topics


def _mention(session: Session, post: PostRow, entity: str) -> MentionRow:
    wanted = select(MentionRow).where(MentionRow.post_id == post.id, MentionRow.entity == entity)
    found = session.scalar(wanted)
    if found is None:  # nobody but this person saw it
        start = max(0, post.text.find(entity))
        end = start + len(entity) if post.text.startswith(entity, start) else 0
        found = MentionRow(post_id=post.id, entity=entity, start=start, end=end)
        session.add(found)
    return found


def said_text(post: Any) -> str:
    """What is read of a post, or of a row with its *title* and *text*: one of them, or both."""
    title, text = str(post.title), str(post.text)
    if not title or text.startswith(title):
        return text
    return f"{title}\n{text}"


def training_rows(workspace: Workspace) -> list[Example]:
    """Rows of the task ``joint``, one for each thing that a person said of a post.

    What is said of somebody in a post is a row of the part that speaks of them, marked.
    """
    wanted = select(OpinionLabelRow, PostRow).join(PostRow, PostRow.id == OpinionLabelRow.post_id)
    with workspace.sessions() as session:
        said = session.execute(wanted.order_by(OpinionLabelRow.time)).all()
        places = {
            (row.post_id, row.entity): (row.start, row.end)
            for row in session.scalars(select(MentionRow))
        }
    rows: list[Example] = []
    for label, post in said:
        name = f"correction:{label.id}"
        if not label.entity:
            lacks = () if label.topics is not None else ("labels",)
            topics = tuple(label.topics or ())
            rows.append(Example(said_text(post), label.sentiment, name, labels=topics, lacks=lacks))
            continue
        start, end = places.get((post.id, label.entity), (0, 0))
        if end > start:
            text = marked(*window(post.text, (start, end)))
            rows.append(Example(text, label.sentiment, name, lacks=("labels",)))
    return rows


def with_names_marked(examples: Iterable[Example]) -> list[Example]:
    """Rows that say of whom they speak (*second*) as rows of the part that does, marked.

    A name that is not in its text stands before it.

    >>> (row,) = with_names_marked([Example("B fell. A rose.", "good", second="A")])
    >>> row.text, row.lacks
    ('«A» rose', ('labels',))
    """
    rows: list[Example] = []
    for example in examples:
        if not example.second:
            rows.append(example)
            continue
        start = example.text.find(example.second)
        if start < 0:
            text = marked(f"{example.second}: {example.text}", (0, len(example.second)))
        else:
            text = marked(*window(example.text, (start, start + len(example.second))))
        rows.append(replace(example, text=text, second="", labels=(), lacks=("labels",)))
    return rows
