"""What ``/v1/rules`` takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from tailorbird.knowledge.graph import FactAnswer
from tailorbird.knowledge.rules import Rule, RuleSet, Ruling, Version

MAX_FACTS_CHARS = 20_000_000


class RuleShown(BaseModel):
    """One rule as it was read."""

    name: str
    when: str
    answer: dict[str, str]
    action: str
    note: str

    @classmethod
    def of(cls, rule: Rule) -> Self:
        """The rule on the wire."""
        return cls(**rule.to_json())


class Rules(BaseModel):
    """One version: both texts as they were written, and the rules as they were read."""

    version: int = Field(description="0: none was saved yet.")
    rules_toml: str
    facts: str = Field(description="One subject | relation | object a line.")
    rules: list[RuleShown]
    n_facts: int
    author: str
    note: str
    created: datetime | None

    @classmethod
    def of(cls, saved: Version, read: RuleSet) -> Self:
        """What was *saved*, and what it *read* as."""
        return cls(
            version=saved.version,
            rules_toml=saved.rules,
            facts=saved.facts,
            rules=[RuleShown.of(rule) for rule in read.rules],
            n_facts=len(read.facts),
            author=saved.author,
            note=saved.note,
            created=saved.created,
        )


class RulesChange(BaseModel):
    """Rules and facts as they shall be."""

    model_config = ConfigDict(extra="forbid")

    rules: str = Field(description="TOML of [[rule]] tables.", max_length=1_000_000)
    facts: str = Field(description="Lines of facts.", max_length=MAX_FACTS_CHARS)
    note: str = Field(default="", description="What for; kept.", max_length=1_000)
    based_on: int | None = Field(
        default=None, description="The version that was edited; refused where it is not in force."
    )


class Saved(BaseModel):
    """The version in force now."""

    version: int
    changes: list[str]


class VersionShown(BaseModel):
    """One version, without its texts."""

    version: int
    author: str
    note: str
    created: datetime | None


class History(BaseModel):
    """All versions, newest first."""

    versions: list[VersionShown]

    @classmethod
    def of(cls, versions: Sequence[Version]) -> Self:
        """The versions on the wire."""
        return cls(versions=[VersionShown(**version.to_json()) for version in versions])


class Changes(BaseModel):
    """What changed between two versions, a sentence each."""

    old: int
    new: int
    changes: list[str]


class Values(BaseModel):
    """What rules look at beside the text; what is left out is not known."""

    model_config = ConfigDict(extra="forbid")

    intent: str | None = None
    confidence: float | None = Field(default=None, ge=0, le=1)
    language: Literal["zh", "en"] | None = None
    user: str | None = None
    n_turns: int | None = Field(default=None, ge=0)
    n_unsure: int | None = Field(default=None, ge=0)
    anger: float | None = Field(default=None, ge=0, le=1)
    hour: int | None = Field(default=None, ge=0, le=23)
    weekday: int | None = Field(default=None, ge=1, le=7)
    slots: dict[str, str] = Field(default_factory=dict)


class RulesTest(BaseModel):
    """A message, and what else rules look at."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "is the X200 under warranty?", "values": {"intent": "warranty_repair"}}
            ]
        },
    )

    text: str = Field(max_length=10_000)
    values: Values = Field(default_factory=Values)
    rules: str | None = Field(
        default=None, description="Rules that are not saved yet.", max_length=1_000_000
    )
    facts: str | None = Field(
        default=None, description="Facts that are not saved yet.", max_length=MAX_FACTS_CHARS
    )


class FactsShown(BaseModel):
    """An answer from facts, with the facts."""

    text: str
    facts: list[str]


class Ruled(BaseModel):
    """The rule that fits, what it would say, and what facts alone would say."""

    version: int
    rule: RuleShown | None
    text: str
    facts: list[str]
    notes: list[str] = Field(description="Rules that were put aside, with the reason.")
    from_facts: FactsShown | None

    @classmethod
    def of(cls, ruling: Ruling, answer: FactAnswer | None, version: int) -> Self:
        """The *ruling* and the facts' *answer* on the wire."""
        return cls(
            version=version,
            rule=RuleShown.of(ruling.rule) if ruling.rule else None,
            text=ruling.text,
            facts=[str(triple) for triple in ruling.triples],
            notes=list(ruling.notes),
            from_facts=FactsShown(text=answer.text, facts=list(answer.sources)) if answer else None,
        )
