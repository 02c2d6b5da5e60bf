"""How much is said of what, and how well: the numbers behind timelines, counted by the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, String, and_, case, func, select

from tailorbird.store import Workspace
from tailorbird.store.tables import MentionRow, PostRow, PostTopicRow

HOUR = timedelta(hours=1)
N_TALLIES = 12
SENTIMENTS = ("negative", "neutral", "positive")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at: a topic, an entity, both, or everything where both are empty."""

    topic: str = ""
    entity: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """What was said in one window of a timeline; copies of a story count once."""

    start: datetime
    n_negative: int = 0
    n_neutral: int = 0
    n_positive: int = 0
    n_unjudged: int = 0
    """Posts that no model has read yet."""

    @property
    def n(self) -> int:
        """All of them.

        >>> Window(datetime(2026, 3, 1, tzinfo=UTC), 2, 3, 1, 1).n
        7
        """
        return self.n_negative + self.n_neutral + self.n_positive + self.n_unjudged


@dataclass(frozen=True, slots=True)
class Timeline:
    """Equal windows of one time, oldest first."""

    subject: Subject
    window: timedelta
    windows: tuple[Window, ...]

    @property
    def n(self) -> int:
        """Posts in all windows."""
        return sum(one.n for one in self.windows)

    @property
    def negative_share(self) -> float | None:
        """Negative posts of those that were judged, in [0, 1]; None where none was."""
        judged = sum(one.n - one.n_unjudged for one in self.windows)
        return sum(one.n_negative for one in self.windows) / judged if judged else None


@dataclass(frozen=True, slots=True)
class Tally:
    """How often one topic or entity was spoken of, and how often badly."""

    name: str
    n: int
    n_negative: int


def read_timeline(
    workspace: Workspace,
    subject: Subject,
    *,
    since: datetime,
    until: datetime,
    window: timedelta = HOUR,
) -> Timeline:
    """What was said of *subject* from *since* up to *until*, both aware, in windows of *window*.

    Windows are whole hours: ValueError for others. The first begins with the hour of *since*, and
    as many follow as reach *until*. With an entity the sentiment is the one towards it, and that
    of the whole post elsewhere.
    """
    if window < HOUR or window % HOUR:
        raise ValueError(f"a window of {window} is no number of whole hours")
    first = hour_of(since)
    n_windows = max(0, -((first - until) // window))
    counts = [dict.fromkeys((*SENTIMENTS, ""), 0) for _ in range(n_windows)]
    hour = func.substr(PostRow.time, 1, 13, type_=String)
    sentiment = sentiment_of(subject)
    wanted = of_subject(select(hour, sentiment, func.count()), subject)
    wanted = wanted.where(PostRow.time >= first, PostRow.time < until).group_by(hour, sentiment)
    with workspace.sessions() as session:
        for written, kind, n in session.execute(wanted):
            start = datetime.strptime(written, "%Y-%m-%d %H").replace(tzinfo=UTC)
            kind = kind if kind in SENTIMENTS else ""
            counts[(start - first) // window][kind] += n
    return Timeline(
        subject,
        window,
        tuple(
            Window(first + k * window, *(row[kind] for kind in (*SENTIMENTS, "")))
            for k, row in enumerate(counts)
        ),
    )


def read_topics(
    workspace: Workspace, *, since: datetime, until: datetime, entity: str = ""
) -> tuple[Tally, ...]:
    """The topics that were spoken of most, of *entity* alone where one is given."""
    subject = Subject(entity=entity)
    wanted = of_subject(_tallies(PostTopicRow.topic, subject), subject)
    wanted = wanted.join(PostTopicRow, PostTopicRow.post_id == PostRow.id)
    return _read(workspace, wanted.group_by(PostTopicRow.topic), since, until)


def read_entities(
    workspace: Workspace, *, since: datetime, until: datetime, topic: str = ""
) -> tuple[Tally, ...]:
    """The entities that were spoken of most, under *topic* alone where one is given."""
    wanted = of_subject(_tallies(MentionRow.entity, Subject(entity="any")), Subject(topic=topic))
    wanted = wanted.join(MentionRow, MentionRow.post_id == PostRow.id)
    return _read(workspace, wanted.group_by(MentionRow.entity), since, until)


def newest_post(workspace: Workspace) -> datetime | None:
    """When the newest post was published; None where there is none."""
    with workspace.sessions() as session:
        return session.scalar(select(PostRow.time).order_by(PostRow.time.desc()).limit(1))


def hour_of(time: datetime) -> datetime:
    """The full hour that *time* is in, in UTC.

    >>> hour_of(datetime(2026, 3, 14, 9, 26, tzinfo=UTC)).isoformat()
    '2026-03-14T09:00:00+00:00'
    """
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def sentiment_of(subject: Subject) -> Any:
    """The column that says how *subject* is spoken of.

    Where nothing is known of how a post speaks of an entity, it is as of everything in it.
    """
    if not subject.entity:
        return PostRow.sentiment
    is_known = MentionRow.sentiment != ""
    return case((is_known, MentionRow.sentiment), else_=PostRow.sentiment)


def of_subject(wanted: Select[Any], subject: Subject) -> Select[Any]:
    """*wanted*, a selection of posts, of those alone that are about *subject* and no copies."""
    wanted = wanted.where(PostRow.copy_of.is_(None))
    if subject.topic:
        is_of = and_(PostTopicRow.post_id == PostRow.id, PostTopicRow.topic == subject.topic)
        wanted = wanted.join(PostTopicRow, is_of)
    if subject.entity:
        is_of = and_(MentionRow.post_id == PostRow.id, MentionRow.entity == subject.entity)
        wanted = wanted.join(MentionRow, is_of)
    return wanted


def _tallies(name: Any, subject: Subject) -> Select[Any]:
    is_bad = case((sentiment_of(subject) == "negative", 1), else_=0)
    return select(name, func.count().label("times"), func.sum(is_bad)).select_from(PostRow)


def _read(
    workspace: Workspace, wanted: Select[Any], since: datetime, until: datetime
) -> tuple[Tally, ...]:
    wanted = wanted.where(PostRow.time >= since, PostRow.time < until)
    wanted = wanted.order_by(func.count().desc(), wanted.selected_columns[0]).limit(N_TALLIES)
    with workspace.sessions() as session:
        rows: Iterable[Any] = session.execute(wanted)
        return tuple(Tally(name, n, int(n_negative)) for name, n, n_negative in rows)
