"""Conversations with people who wait for an answer, why they got it, and who may help."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tailorbird.store.tables.base import Base, UtcDateTime, new_id, utc_now

ConversationStatus = Literal["assistant", "waiting", "agent", "ticket", "closed"]
"""Who is to speak next: the assistant; nobody yet, an agent is asked for; the agent who took it;
nobody soon, as none was at the desk; or nobody any more."""
Author = Literal["visitor", "assistant", "agent", "system"]
DraftStatus = Literal["new", "accepted", "rejected"]
Role = Literal["visitor", "agent", "admin"]


class ConversationRow(Base, kw_only=True):
    """One visitor's conversation."""

    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    updated: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now, index=True)
    user: Mapped[str | None] = mapped_column(String(200), default=None, index=True)
    channel: Mapped[str] = mapped_column(String(20), default="api")
    opened_by: Mapped[str] = mapped_column(String(200), default="")
    """The name of the key that opened it; a visitor sees only what their own key opened."""
    language: Mapped[str] = mapped_column(String(8), default="")
    status: Mapped[str] = mapped_column(String(20), default="assistant", index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it was handed over."""
    agent: Mapped[str | None] = mapped_column(String(200), default=None)
    """The name of the key of whoever took it."""
    n_unsure: Mapped[int] = mapped_column(default=0)
    """Answers in a row that the assistant was not sure of."""
    rating: Mapped[float | None] = mapped_column(default=None)
    """The visitor's, of the whole conversation, from -1 to 1."""


class TurnRow(Base, kw_only=True):
    """One message; numbers are given within a conversation, each once."""

    __tablename__ = "turns"
    __table_args__ = (UniqueConstraint("conversation_id", "number"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    conversation_id: Mapped[str] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), index=True
    )
    number: Mapped[int]
    """From 0."""
    time: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    author: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)
    """As it was said: who helps needs the number of the order. Masked wherever it goes on."""
    client_id: Mapped[str | None] = mapped_column(String(64), default=None)
    """The sender's own name for it, so that a message sent again is not a second one."""
    decision_id: Mapped[str | None] = mapped_column(String(36), default=None)


class DecisionRow(Base, kw_only=True):
    """Why the assistant said what it said; rows are added and never changed, but for feedback."""

    __tablename__ = "decisions"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    time: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now, index=True)
    conversation_id: Mapped[str | None] = mapped_column(String(36), default=None, index=True)
    user: Mapped[str | None] = mapped_column(String(200), default=None)
    text: Mapped[str] = mapped_column(Text)
    """The question, PII masked."""
    answer: Mapped[str] = mapped_column(Text, default="")
    """PII masked."""
    kind: Mapped[str] = mapped_column(String(20))
    """``template``, ``knowledge``, ``generated``, ``rule``, ``refusal`` or ``hand_over``."""
    intent: Mapped[str] = mapped_column(String(200), default="")
    confidence: Mapped[float] = mapped_column(default=0.0)
    bundle_id: Mapped[str] = mapped_column(String(64), default="")
    adapter: Mapped[str] = mapped_column(String(64), default="")
    latency_ms: Mapped[float] = mapped_column(default=0.0)
    why: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
    """Candidates, scores, sources, the rule, and a sentence for a person."""
    feedback: Mapped[float | None] = mapped_column(default=None)
    """From -1 (bad) to 1 (good)."""
    correction: Mapped[str | None] = mapped_column(Text, default=None)
    """What should have been answered; PII masked."""
    meant: Mapped[str | None] = mapped_column(String(200), default=None)
    """The intent that was meant, as somebody said afterwards."""


class DraftRow(Base, kw_only=True):
    """A question and an answer that a person gave, until somebody has looked at them."""

    __tablename__ = "drafts"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default_factory=new_id)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    conversation_id: Mapped[str | None] = mapped_column(String(36), default=None)
    question: Mapped[str] = mapped_column(Text)
    """PII masked."""
    answer: Mapped[str] = mapped_column(Text)
    """PII masked."""
    intent: Mapped[str] = mapped_column(String(200), default="")
    status: Mapped[str] = mapped_column(String(20), default="new", index=True)
    author: Mapped[str] = mapped_column(String(200), default="")
    reviewer: Mapped[str] = mapped_column(String(200), default="")


def drafted_document(draft_id: str) -> str:
    """The name of the document that an accepted draft becomes.

    >>> drafted_document("0f3a")
    'draft-0f3a.csv'
    """
    return f"draft-{draft_id}.csv"


class KeyRow(Base, kw_only=True):
    """Somebody's API key, of which a slow hash is kept."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """The first part of the key, by which it is found."""
    name: Mapped[str] = mapped_column(String(200), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    hash: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    revoked: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class PresenceRow(Base, kw_only=True):
    """An agent at the desk, as one process of the service heard them."""

    __tablename__ = "desk_agents"

    agent: Mapped[str] = mapped_column(String(200), primary_key=True)
    """The name of their key."""
    process: Mapped[str] = mapped_column(String(36), primary_key=True)
    heard: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    """Their last heartbeat, some seconds more or less."""


class AdminActionRow(Base, kw_only=True):
    """Something that changed how everybody is answered, or who may do what; never changed."""

    __tablename__ = "admin_actions"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    time: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now, index=True)
    who: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(60))
    """As ``add document``, ``publish bundle``, ``revoke key``."""
    target: Mapped[str] = mapped_column(Text, default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default_factory=dict)
