"""Posts filled in: topics, sentiment, and how each speaks of whom it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import delete, select

from tailorbird.assistants.opinion.reading.correcting import let_win, said_text, set_topics
from tailorbird.assistants.opinion.reading.reader import Reading, Reads
from tailorbird.assistants.opinion.reading.windows import Place, window
from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import MentionRow, OpinionLabelRow, PostRow

BATCH = 64
"""Posts that are read at once, and written in one transaction."""


class Named(Protocol):
    """A name in a text, and whom it stands for."""

    @property
    def entity(self) -> str:
        """Whom."""
        ...

    @property
    def kind(self) -> str:
        """``company``, ``person``, ``product`` or ``place``."""
        ...

    @property
    def start(self) -> int:
        """Of its first character."""
        ...

    @property
    def end(self) -> int:
        """One past its last."""
        ...


class Finds(Protocol):
    """Whatever finds names in a text."""

    def find(self, text: str) -> Sequence[Named]:
        """All of them, in their order."""
        ...


class Nobody:
    """Finds no name."""

    def find(self, text: str) -> Sequence[Named]:
        """None."""
        return ()


class Judge:
    """Fills in the posts that a model has not judged yet; what people said of them wins.

    Copies of a story are left alone: they count as their first post.
    """

    def __init__(self, workspace: Workspace, reads: Reads, entities: Finds) -> None:
        self.workspace = workspace
        self.reads = reads
        self.entities = entities

    def judge_waiting(self, limit: int = 1024) -> int:
        """Judge at most *limit* posts that this model has not, the newest first; how many it were.

        A batch that was written stays, whatever happens to the next.
        """
        wanted = (
            select(PostRow)
            .where(PostRow.model != self.reads.id, PostRow.copy_of.is_(None))
            .order_by(PostRow.taken.desc(), PostRow.id)
            .limit(limit)
        )
        with self.workspace.sessions() as session:
            posts = list(session.scalars(wanted))
        return sum(self._judge(posts[k : k + BATCH]) for k in range(0, len(posts), BATCH))

    def _judge(self, posts: Sequence[PostRow]) -> int:
        readings = self.reads.read([said_text(post) for post in posts])
        mentions = self._mentions(posts)
        n_written = 0
        with self.workspace.writing() as session:
            for seen, reading, of_post in zip(posts, readings, mentions, strict=True):
                post = session.get(PostRow, seen.id)
                if post is None or post.model == self.reads.id:
                    continue  # it was removed, or somebody else was quicker
                _fill(post, reading, self.reads.id)
                set_topics(session, post, reading.topics)
                session.execute(delete(MentionRow).where(MentionRow.post_id == post.id))
                session.add_all(of_post)
                session.flush()
                said = select(OpinionLabelRow).where(OpinionLabelRow.post_id == post.id)
                let_win(session, post, session.scalars(said).all())
                n_written += 1
        return n_written

    def _mentions(self, posts: Sequence[PostRow]) -> list[list[MentionRow]]:
        """Of each post one row a name's owner; sentiment is the mean over all its mentions."""
        texts: list[str] = []
        places: list[Place] = []
        owners: list[MentionRow] = []
        rows: list[list[MentionRow]] = []
        for post in posts:
            of_post: dict[str, MentionRow] = {}
            found, text = self.entities.find(post.text), post.text
            if not found and post.title:
                found, text = self.entities.find(post.title), post.title
            for one in found:
                is_in_text = text is post.text
                row = of_post.setdefault(
                    one.entity,
                    MentionRow(
                        post_id=post.id,
                        entity=one.entity,
                        kind=one.kind,
                        start=one.start if is_in_text else 0,
                        end=one.end if is_in_text else 0,
                    ),
                )
                others = [(x.start, x.end) for x in found if x.entity != one.entity]
                part, place = window(text, (one.start, one.end), others)
                texts.append(part)
                places.append(place)
                owners.append(row)
            rows.append(list(of_post.values()))
        _take_means(owners, [said for _, said in self.reads.read_about(texts, places)])
        return rows


def _fill(post: PostRow, reading: Reading, model: str) -> None:
    post.model = model
    post.sentiment = reading.sentiment
    post.probabilities = reading.probabilities
    post.topic_distance = reading.topic_distance


def _take_means(owners: Sequence[MentionRow], said: Sequence[dict[str, float]]) -> None:
    """Give each row the mean of what was said at its mentions, and the likeliest of it."""
    of_row: dict[int, list[dict[str, float]]] = {}
    for row, probabilities in zip(owners, said, strict=True):
        of_row.setdefault(id(row), []).append(probabilities)
    for row in {id(row): row for row in owners}.values():
        found = of_row[id(row)]
        row.probabilities = {
            name: sum(one[name] for one in found) / len(found) for name in found[0]
        }
        row.sentiment = max(row.probabilities, key=row.probabilities.__getitem__, default="")
