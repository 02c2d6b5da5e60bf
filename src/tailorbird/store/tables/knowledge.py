"""What the assistant may answer from: documents in pieces, rules, and facts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tailorbird.store.tables.base import Base, UtcDateTime, utc_now


class DocumentRow(Base, kw_only=True):
    """One document as it was last read."""

    __tablename__ = "documents"

    name: Mapped[str] = mapped_column(String(500), primary_key=True)
    hash: Mapped[str] = mapped_column(String(64))
    """Of its bytes: an unchanged one is not read again."""
    kind: Mapped[str] = mapped_column(String(20))
    """``markdown``, ``text``, ``html``, ``pdf``, ``docx`` or ``qa``."""
    title: Mapped[str] = mapped_column(Text, default="")
    n_bytes: Mapped[int]
    updated: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)


class ChunkRow(Base, kw_only=True):
    """A piece of a document, as long as a question can be answered by."""

    __tablename__ = "chunks"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Hash of document, heading, text and place."""
    document: Mapped[str] = mapped_column(
        ForeignKey("documents.name", ondelete="CASCADE"), index=True
    )
    number: Mapped[int]
    """Its place in the document, from 0."""
    heading: Mapped[str] = mapped_column(Text, default="")
    """All headings above it, as ``Returns › How long``."""
    question: Mapped[str] = mapped_column(Text, default="")
    """Of a question with its answer: the question, which is what is searched."""
    text: Mapped[str] = mapped_column(Text)
    encoder: Mapped[str] = mapped_column(String(64), default="")
    """The hash of what made the vector; another encoder makes it anew."""
    vector: Mapped[bytes | None] = mapped_column(LargeBinary, default=None)
    """(D,) fp16, of length 1."""


class RuleSetRow(Base, kw_only=True):
    """One version of all rules and facts; a change is a new version."""

    __tablename__ = "rule_sets"

    version: Mapped[int] = mapped_column(primary_key=True, init=False)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default_factory=utc_now)
    author: Mapped[str] = mapped_column(String(200), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    rules: Mapped[str] = mapped_column(Text, default="")
    """TOML."""
    facts: Mapped[str] = mapped_column(Text, default="")
    """One ``subject | relation | object`` a line."""
