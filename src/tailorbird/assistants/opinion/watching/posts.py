"""The negative posts behind a series: from the tables, or from a list that is replayed."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import or_, select

from tailorbird.assistants.opinion.watching.series import (
    NEGATIVE,
    Key,
    Window,
    of_entity,
    window_of,
)
from tailorbird.assistants.opinion.watching.telling import Told
from tailorbird.store import Workspace
from tailorbird.store.tables import EntityRow, MentionRow, PostRow, PostTopicRow


class Posts(Protocol):
    """Where the texts of a rise are looked up."""

    def negatives(self, key: Key, since: datetime, until: datetime, n: int) -> list[Told]:
        """At most *n* posts that count as negative in [since, until), the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class ReadPost:
    """A post that has been read, for a replay."""

    id: str
    time: datetime
    """Aware."""
    title: str = ""
    text: str = ""
    url: str = ""
    sentiment: str = ""
    topics: tuple[str, ...] = ()
    mentions: Mapping[str, str] = field(default_factory=dict)
    """Entity → how it is spoken of; empty: as of everything in the post."""
    copy_of: str = ""
    """Id of the post that told the same before; such a one is not counted."""

    def keys(self) -> dict[Key, bool]:
        """The series it counts in, and whether as a negative one."""
        found = {Key(topic=topic): self.sentiment == NEGATIVE for topic in self.topics}
        for entity, sentiment in self.mentions.items():
            found[Key(entity=entity)] = (sentiment or self.sentiment) == NEGATIVE
        return found


class StoredPosts:
    """Those of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def negatives(self, key: Key, since: datetime, until: datetime, n: int) -> list[Told]:
        """See `Posts`."""
        query = select(PostRow).where(
            PostRow.copy_of.is_(None),
            PostRow.model != "",
            PostRow.time >= since,
            PostRow.time < until,
        )
        if key.topic:
            query = query.join(PostTopicRow, PostTopicRow.post_id == PostRow.id)
            query = query.where(PostTopicRow.topic == key.topic)
        if key.entity:
            query = query.join(MentionRow, MentionRow.post_id == PostRow.id)
            query = query.where(MentionRow.entity == key.entity, of_entity() == NEGATIVE)
        else:
            query = query.where(PostRow.sentiment == NEGATIVE)
        query = query.order_by(PostRow.time.desc(), PostRow.id.desc()).limit(n)
        with self.workspace.sessions() as session:
            rows = list(session.scalars(query))
            named = _entities(session, [row.id for row in rows])
        return [
            Told(row.id, row.time, row.title, row.text, row.url, tuple(named[row.id]))
            for row in rows
        ]


def _entities(session: Any, ids: Sequence[str]) -> dict[str, list[str]]:
    """The watched entities that each post names, sorted."""
    found: dict[str, list[str]] = defaultdict(list)
    rows = session.execute(
        select(MentionRow.post_id, MentionRow.entity)
        .join(EntityRow, (EntityRow.name == MentionRow.entity) & EntityRow.is_watched)
        .where(or_(MentionRow.post_id.in_(ids)))
        .order_by(MentionRow.entity)
    )
    for post, entity in rows:
        found[post].append(entity)
    return found


class HeldPosts:
    """Those of a list, held in memory."""

    def __init__(self, posts: Iterable[ReadPost]) -> None:
        self._posts: dict[Key, list[ReadPost]] = defaultdict(list)
        self._all = [one for one in posts if not one.copy_of]
        for post in sorted(self._all, key=lambda one: (one.time, one.id)):
            for key, is_negative in post.keys().items():
                if is_negative:
                    self._posts[key].append(post)
        self._times = {key: [post.time for post in some] for key, some in self._posts.items()}

    def negatives(self, key: Key, since: datetime, until: datetime, n: int) -> list[Told]:
        """See `Posts`."""
        some, times = self._posts.get(key, []), self._times.get(key, [])
        found = some[bisect_left(times, since) : bisect_left(times, until)][::-1][:n]
        return [
            Told(one.id, one.time, one.title, one.text, one.url, tuple(sorted(one.mentions)))
            for one in found
        ]

    def windows(self, window_s: int) -> dict[int, Window]:
        """Their counts, as `series.windows_of` gives those of the tables."""
        found: dict[int, Window] = defaultdict(Window)
        for post in self._all:
            window = found[window_of(post.time, window_s)]
            window.total += 1
            for key, is_negative in post.keys().items():
                n, n_negative = window.counts.get(key, (0, 0))
                window.counts[key] = (n + 1, n_negative + is_negative)
        return dict(found)
