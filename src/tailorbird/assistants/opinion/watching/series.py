"""Counts of posts by topic, entity and window, as the tables have them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Integer, case, cast, func, literal, select

from tailorbird.store import Workspace
from tailorbird.store.tables import EntityRow, MentionRow, PostRow, PostTopicRow

NEGATIVE = "negative"
"""The sentiment whose posts are counted."""


class Key(NamedTuple):
    """What a series is of; one of the two may be empty."""

    topic: str = ""
    entity: str = ""


@dataclass(frozen=True)
class Series:
    """Posts and negative posts of one topic, one entity or both, window by window."""

    topic: str
    entity: str
    start: datetime
    """Of the first window."""
    window_s: int
    counts: NDArray[np.int64]
    """(T,) posts; a story that many tell counts once."""
    negatives: NDArray[np.int64]
    """(T,); of an entity: posts that speak of it negatively."""


@dataclass(slots=True)
class Window:
    """The counts of one window."""

    total: int = 0
    """Posts of all topics and none, each once."""
    counts: dict[Key, tuple[int, int]] = field(default_factory=dict)
    """(posts, negative posts) of the series that have any."""


def window_of(time: datetime, window_s: int) -> int:
    """The number of the window that *time* is in.

    >>> window_of(datetime(1970, 1, 1, 3, 59, tzinfo=UTC), 3600)
    3
    """
    return int(time.timestamp() // window_s)


def start_of(window: int, window_s: int) -> datetime:
    """When a window begins."""
    return datetime.fromtimestamp(window * window_s, UTC)


def series_of(
    workspace: Workspace, *, window_s: int, since: datetime, until: datetime, pairs: bool = False
) -> list[Series]:
    """The series between two moments, widened to whole windows; by topic, then entity.

    Args:
        workspace: whose judged posts are counted.
        window_s: length of a window.
        since: in the first window.
        until: the last window is the one before it.
        pairs: those of a topic and an entity together, too.
    """
    first = window_of(since, window_s)
    n = max(0, -int(-until.timestamp() // window_s) - first)
    found: dict[Key, NDArray[np.int64]] = defaultdict(lambda: np.zeros((2, n), dtype=np.int64))
    for window, one in windows_of(
        workspace, first, first + n, window_s=window_s, pairs=pairs
    ).items():
        for key, counts in one.counts.items():
            found[key][:, window - first] = counts
    start = start_of(first, window_s)
    return [
        Series(key.topic, key.entity, start, window_s, both[0], both[1])
        for key, both in sorted(found.items())
    ]


def windows_of(
    workspace: Workspace, first: int, end: int, *, window_s: int, pairs: bool = False
) -> dict[int, Window]:
    """Counts of the windows in [first, end) that have a post; counted by the database."""
    found: dict[int, Window] = defaultdict(Window)
    index = _window(window_s)
    between = (
        PostRow.copy_of.is_(None),
        PostRow.model != "",
        PostRow.time >= start_of(first, window_s),
        PostRow.time < start_of(end, window_s),
    )
    with workspace.sessions() as session:
        rows: Any = session.execute(select(index, func.count()).where(*between).group_by(index))
        for window, n in rows:
            found[window].total = n
        for query in _queries(index, pairs=pairs):
            for window, topic, entity, n, n_negative in session.execute(query.where(*between)):
                found[window].counts[Key(topic, entity)] = (n, int(n_negative or 0))
    return dict(found)


def first_moment(workspace: Workspace) -> datetime | None:
    """When the first judged post was published; None where there is none."""
    with workspace.sessions() as session:
        return session.scalar(select(func.min(PostRow.time)).where(PostRow.model != ""))


def first_waiting(workspace: Workspace, since: datetime, until: datetime) -> datetime | None:
    """The earliest time of a post between the two that is not judged yet."""
    waiting = (PostRow.model == "", PostRow.time >= since, PostRow.time < until)
    with workspace.sessions() as session:
        return session.scalar(
            select(func.min(PostRow.time)).where(PostRow.copy_of.is_(None), *waiting)
        )


def of_entity() -> ColumnElement[str]:
    """How a post speaks of the entity of its mention; of everything, where that was not judged."""
    return case((MentionRow.sentiment != "", MentionRow.sentiment), else_=PostRow.sentiment)


def _queries(index: ColumnElement[int], *, pairs: bool) -> Iterator[Any]:
    """(window, topic, entity, posts, negatives) by topic, by watched entity, by both."""
    nothing = literal("")
    negative = func.sum(case((PostRow.sentiment == NEGATIVE, 1), else_=0))
    of_it = func.sum(case((of_entity() == NEGATIVE, 1), else_=0))
    topics = PostRow.id == PostTopicRow.post_id
    mentions = PostRow.id == MentionRow.post_id
    watched = (MentionRow.entity == EntityRow.name) & EntityRow.is_watched
    yield (
        select(index, PostTopicRow.topic, nothing, func.count(), negative)
        .select_from(PostRow)
        .join(PostTopicRow, topics)
        .group_by(index, PostTopicRow.topic)
    )
    yield (
        select(index, nothing, MentionRow.entity, func.count(), of_it)
        .select_from(PostRow)
        .join(MentionRow, mentions)
        .join(EntityRow, watched)
        .group_by(index, MentionRow.entity)
    )
    if pairs:
        yield (
            select(index, PostTopicRow.topic, MentionRow.entity, func.count(), of_it)
            .select_from(PostRow)
            .join(PostTopicRow, topics)
            .join(MentionRow, mentions)
            .join(EntityRow, watched)
            .group_by(index, PostTopicRow.topic, MentionRow.entity)
        )


def _window(window_s: int) -> ColumnElement[int]:
    """The number of a post's window; the workspace is SQLite, whose times are text."""
    return cast(func.strftime("%s", PostRow.time), Integer).op("/")(window_s)
