"""What may be recommended, what people did with it, and what they were shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tailorbird.store.tables.base import Base, UtcDateTime, new_id, utc_now

EventKind = Literal["browse", "click", "comment", "share", "purchase", "rating"]


class ItemRow(Base, kw_only=True):
    """One thing that can be recommended."""

    __tablename__ = "items"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="")
    tags: Mapped[list[Any]] = mapped_column(JSON, default_factory=list)
    features: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
    """Price, brand, anything: numbers and words that the ranker may use."""
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    is_withdrawn: Mapped[bool] = mapped_column(default=False)
    """Kept for the histories it stands in, recommended no more."""


class EventRow(Base, kw_only=True):
    """What one user did with one item."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_user_time", "user", "time"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of the sender's own id, or of all else: what is sent again counts once."""
    user: Mapped[str] = mapped_column(String(200))
    item: Mapped[str] = mapped_column(String(200), index=True)
    """No foreign key: events of items not yet known are kept."""
    kind: Mapped[str] = mapped_column(String(20))
    value: Mapped[float | None] = mapped_column(default=None)
    """Of a rating: how many stars."""
    time: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now, index=True)
    impression: Mapped[str | None] = mapped_column(String(36), default=None, index=True)
    """The list that it answers, where the sender says so."""


class ImpressionRow(Base, kw_only=True):
    """A list that was shown, with how likely each of it was: what judges a new ranker."""

    __tablename__ = "impressions"
    __table_args__ = (Index("ix_impressions_user_time", "user", "time"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    time: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    user: Mapped[str | None] = mapped_column(String(200), default=None)
    model: Mapped[str] = mapped_column(String(64))
    items: Mapped[list[Any]] = mapped_column(JSON, default_factory=list)
    """In the order shown: id, score, propensity, whether it was explored, reason."""


class DailyListRow(Base, kw_only=True):
    """A user's list as the nightly batch made it."""

    __tablename__ = "daily_lists"

    user: Mapped[str] = mapped_column(String(200), primary_key=True)
    made: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    model: Mapped[str] = mapped_column(String(64))
    items: Mapped[list[Any]] = mapped_column(JSON, default_factory=list)
