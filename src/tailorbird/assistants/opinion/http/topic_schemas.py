"""What the routes of proposed topics, sources and entities take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from tailorbird.assistants.opinion.http.routing import Asked, Name
from tailorbird.assistants.opinion.sources import Health
from tailorbird.store.tables import EntityRow, ProposalStatus, TopicProposalRow


class Proposal(BaseModel):
    """Texts far from every known topic that belong together."""

    id: str
    created: datetime
    words: list[str] = Field(description="Key words, the most telling first.")
    posts: list[str] = Field(description="Ids, the nearest to the middle first.")
    n_posts: int
    status: ProposalStatus
    topic: str = Field(description="The name that a person gave.")

    @classmethod
    def of(cls, row: TopicProposalRow) -> Self:
        """The proposal as it goes out."""
        return cls.model_validate({key: getattr(row, key) for key in cls.model_fields})


class Proposals(BaseModel):
    """Proposals, the largest first."""

    proposals: list[Proposal]


class NameSent(Asked):
    """The name of a topic."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"topic": "recalls"}]}
    )

    topic: Name


class Source(BaseModel):
    """Where posts come from, and how that goes; addresses are shown without secrets."""

    name: str
    kind: str
    address: str
    every_s: int
    is_paused: bool
    state: str = Field(description="ok, waiting (not read yet), paused or failing.")
    last_ok: datetime | None
    last_error: str
    n_failures: int = Field(description="In a row.")
    next_poll: datetime | None
    n_posts: int
    n_last_day: int = Field(description="Taken within the last 24 hours.")

    @classmethod
    def of(cls, health: Health) -> Self:
        """The source as it goes out."""
        own = ("address", "state", "n_posts", "n_last_day")
        values = {key: getattr(health, key) for key in own}
        return cls.model_validate(
            values | {key: getattr(health.row, key) for key in cls.model_fields if key not in own}
        )


class Sources(BaseModel):
    """All sources, by name."""

    sources: list[Source]


class Entity(BaseModel):
    """A known name with what else it is called."""

    name: str
    kind: str
    aliases: list[str]
    is_watched: bool

    @classmethod
    def of(cls, row: EntityRow) -> Self:
        """The entity as it goes out."""
        return cls.model_validate({key: getattr(row, key) for key in cls.model_fields})


class Entities(BaseModel):
    """Known names."""

    entities: list[Entity]


class StepShown(BaseModel):
    """One part of the work beside the service."""

    name: str
    last_ok: datetime | None
    error: str = Field(description="Of the last time; empty: it went well.")


class Status(BaseModel):
    """What waits, and how the work goes."""

    n_alerts: int = Field(description="That go on and nobody has acknowledged.")
    n_proposals: int
    n_unread: int = Field(description="Posts that no model has read.")
    has_model: bool
    steps: list[StepShown]
