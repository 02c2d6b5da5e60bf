"""Runs, bundles, what is live since when, and what was served."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tailorbird.store.tables.base import Base, UtcDateTime, new_id, utc_now

RunStatus = Literal["running", "done", "failed", "interrupted"]
DeploymentAction = Literal["publish", "roll back"]


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

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
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
