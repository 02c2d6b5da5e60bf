"""What is said in public: sources, posts, whom they name, alerts, and what people corrected."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tailorbird.store.tables.base import Base, UtcDateTime, new_id, utc_now

SourceKind = Literal["file", "feed", "json", "webhook"]
AlertStatus = Literal["new", "acknowledged", "closed"]
ProposalStatus = Literal["new", "named", "dismissed"]


class SourceRow(Base, kw_only=True):
    """One place that posts come from, and how far it has been read."""

    __tablename__ = "opinion_sources"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    address: Mapped[str] = mapped_column(Text)
    """A path or URL; of a webhook: empty."""
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
    """Which field is which, headers, time zone; of a webhook: the hash of its secret."""
    every_s: Mapped[int] = mapped_column(default=900)
    is_paused: Mapped[bool] = mapped_column(default=False)
    cursor: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
    """ETag, last change, place in a file: where reading goes on."""
    next_poll: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None, index=True)
    last_ok: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    last_error: Mapped[str] = mapped_column(Text, default="")
    n_failures: Mapped[int] = mapped_column(default=0)
    """In a row."""


class PostRow(Base, kw_only=True):
    """One text that was published, with what was read out of it."""

    __tablename__ = "opinion_posts"
    __table_args__ = (
        Index("ix_opinion_posts_copy_of_time", "copy_of", "time"),
        Index("ix_opinion_posts_unread", "model", "taken", sqlite_where=text("copy_of IS NULL")),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of source and the item's own id, address or text: what came before comes no more."""
    source: Mapped[str] = mapped_column(String(200), index=True)
    time: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    """When it was published; when it was taken where it does not say or says the future."""
    taken: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now, index=True)
    title: Mapped[str] = mapped_column(Text, default="")
    text: Mapped[str] = mapped_column(Text)
    """PII masked."""
    url: Mapped[str] = mapped_column(Text, default="")
    language: Mapped[str] = mapped_column(String(8), default="")
    copy_of: Mapped[str | None] = mapped_column(String(36), default=None)
    """The first post that told the same story; counts are of posts without."""
    model: Mapped[str] = mapped_column(String(64), default="", index=True)
    """Id of what judged it; empty: not judged yet."""
    sentiment: Mapped[str] = mapped_column(String(20), default="")
    probabilities: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
    """Calibrated, of each sentiment."""
    topics: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
    """Topic → calibrated probability, of those that apply."""
    topic_distance: Mapped[float | None] = mapped_column(default=None)
    """From all known topics; high ones are clustered into proposals."""


class PostTopicRow(Base, kw_only=True):
    """A topic of a post: what counts of topics are made of."""

    __tablename__ = "opinion_post_topics"

    post_id: Mapped[str] = mapped_column(
        ForeignKey("opinion_posts.id", ondelete="CASCADE"), primary_key=True
    )
    topic: Mapped[str] = mapped_column(String(200), primary_key=True, index=True)


class MentionRow(Base, kw_only=True):
    """A company, person or product that a post names, and how it speaks of them."""

    __tablename__ = "opinion_mentions"
    __table_args__ = (UniqueConstraint("post_id", "entity"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    post_id: Mapped[str] = mapped_column(
        ForeignKey("opinion_posts.id", ondelete="CASCADE"), index=True
    )
    entity: Mapped[str] = mapped_column(String(200), index=True)
    """The name that its aliases stand for."""
    kind: Mapped[str] = mapped_column(String(20), default="")
    """``company``, ``person``, ``product`` or ``place``."""
    start: Mapped[int] = mapped_column(default=0)
    end: Mapped[int] = mapped_column(default=0)
    """Of its first mention, in characters of the post's text."""
    sentiment: Mapped[str] = mapped_column(String(20), default="")
    probabilities: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)


class EntityRow(Base, kw_only=True):
    """A known name with what else it is called."""

    __tablename__ = "opinion_entities"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), default="company")
    aliases: Mapped[list[Any]] = mapped_column(JSON, default_factory=list)
    is_watched: Mapped[bool] = mapped_column(default=True)


class AlertRow(Base, kw_only=True):
    """A surge that was found, and what became of it."""

    __tablename__ = "opinion_alerts"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now, index=True)
    topic: Mapped[str] = mapped_column(String(200), default="")
    entity: Mapped[str] = mapped_column(String(200), default="")
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it began to rise, as the change point says."""
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    """End of the last window in which it was still up."""
    level: Mapped[str] = mapped_column(String(20))
    """``notice``, ``warning`` or ``critical``."""
    status: Mapped[str] = mapped_column(String(20), default="new", index=True)
    acknowledged_by: Mapped[str] = mapped_column(String(200), default="")
    story: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
    """What rose, from what to what, statistic and threshold, ids of the texts that explain it."""
    group: Mapped[str] = mapped_column(String(36), default="")
    """Alerts of one cause share the id of the first."""


class SilenceRow(Base, kw_only=True):
    """What nobody wants to hear of for a while."""

    __tablename__ = "opinion_silences"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    topic: Mapped[str] = mapped_column(String(200), default="")
    entity: Mapped[str] = mapped_column(String(200), default="")
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    author: Mapped[str] = mapped_column(String(200), default="")
    note: Mapped[str] = mapped_column(Text, default="")


class DeliveryRow(Base, kw_only=True):
    """An alert on its way to one channel; tried again until it has arrived."""

    __tablename__ = "opinion_deliveries"
    __table_args__ = (UniqueConstraint("alert_id", "channel"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    alert_id: Mapped[str] = mapped_column(
        ForeignKey("opinion_alerts.id", ondelete="CASCADE"), index=True
    )
    channel: Mapped[str] = mapped_column(String(200))
    """The name of a channel in the settings: its address holds secrets."""
    n_tries: Mapped[int] = mapped_column(default=0)
    next_try: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None, index=True)
    """None once it has arrived or was given up."""
    arrived: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    error: Mapped[str] = mapped_column(Text, default="")


class TopicProposalRow(Base, kw_only=True):
    """Texts far from every known topic that belong together: for a person to name."""

    __tablename__ = "opinion_topic_proposals"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    words: Mapped[list[Any]] = mapped_column(JSON, default_factory=list)
    """Key words, the most telling first."""
    posts: Mapped[list[Any]] = mapped_column(JSON, default_factory=list)
    """Ids, the nearest to the middle first."""
    n_posts: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(20), default="new")
    topic: Mapped[str] = mapped_column(String(200), default="")
    """The name that a person gave."""


class OpinionLabelRow(Base, kw_only=True):
    """What a person says of a post: a training row of the next build."""

    __tablename__ = "opinion_labels"
    __table_args__ = (UniqueConstraint("post_id", "entity"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    time: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    post_id: Mapped[str] = mapped_column(
        ForeignKey("opinion_posts.id", ondelete="CASCADE"), index=True
    )
    entity: Mapped[str] = mapped_column(String(200), default="")
    """Empty: of the whole post."""
    topics: Mapped[list[Any] | None] = mapped_column(JSON, default=None)
    """None: nothing was said of them; empty: none applies."""
    sentiment: Mapped[str] = mapped_column(String(20), default="")
    author: Mapped[str] = mapped_column(String(200), default="")
