"""The tables of the workspace database.

A change here needs a migration in ``migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import DateTime, Dialect, ForeignKey, MetaData, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

RunStatus = Literal["running", "done", "failed", "interrupted"]
DeploymentAction = Literal["publish", "roll back"]


def utc_now() -> datetime:
    """The present moment, timezone-aware."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware when it goes in, UTC when it comes out, also where SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert an aware *value* to UTC; ValueError for one without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time {value} has no timezone; pass an aware datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give the zone back that the database did not keep."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Base(MappedAsDataclass, DeclarativeBase):
    """What all tables share: constraint names that later migrations can refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class RunRow(Base, kw_only=True):
    """One execution of a build; its folder is ``runs/<name>``."""

    __tablename__ = "runs"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    """The logs it was built from."""
    status: Mapped[str] = mapped_column(String(20), default="running")
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now, index=True)
    ended: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    note: Mapped[str] = mapped_column(Text, default="")
    """Why it failed or was interrupted."""


class BundleRow(Base, kw_only=True):
    """One bundle that was published at least once; its folder is ``bundles/<id>``."""

    __tablename__ = "bundles"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    run: Mapped[str | None] = mapped_column(ForeignKey("runs.name"), default=None)
    """The run it came from, where this workspace knows it."""
    accuracy: Mapped[float | None] = mapped_column(default=None)
    """On the test split, in [0, 1]."""


class DeploymentRow(Base, kw_only=True):
    """One stretch of time in which a bundle was live."""

    __tablename__ = "deployments"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    bundle_id: Mapped[str] = mapped_column(ForeignKey("bundles.id"))
    action: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text, default="")
    since: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    previous_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"), default=None)
    """The deployment a roll-back from this one returns to."""
    is_live: Mapped[bool | None] = mapped_column(unique=True, default=True)
    """True or NULL, never False: the unique constraint then allows one live bundle and no more."""


class ServedRow(Base, kw_only=True):
    """One answered text, PII masked by the caller; the next round of learning starts here."""

    __tablename__ = "served_interactions"

    id: Mapped[str] = mapped_column(
        String(36), primary_key=True, default_factory=lambda: uuid4().hex
    )
    time: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now, index=True)
    user: Mapped[str | None] = mapped_column(String(200), default=None)
    text: Mapped[str] = mapped_column(Text)
    intent: Mapped[str] = mapped_column(String(200))
    confidence: Mapped[float]
    in_scope: Mapped[bool]
    answer: Mapped[str | None] = mapped_column(Text, default=None)
    bundle_id: Mapped[str] = mapped_column(String(64))
    """No foreign key: a bundle may be served straight from a folder, never published here."""
    latency_ms: Mapped[float]
    feedback: Mapped[float | None] = mapped_column(default=None)
    """From -1 (bad) to 1 (good)."""
