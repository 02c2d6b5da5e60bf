"""What ``GET /v1/decisions/ID/attribution`` answers."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from tailorbird.assistants.service_desk.conversing.attributing import Attributed, facts_of


class Word(BaseModel):
    """A word of the question, and what it adds to the log-odds of the intent."""

    text: str
    start: int = Field(description="Of its first character in the text.")
    end: int
    weight: float = Field(description="In nats: 0.69 makes the intent twice as likely.")


class Near(BaseModel):
    """A training example that is near in what the model sees."""

    text: str
    intent: str
    similarity: float = Field(description="Cosine, in [-1, 1].")


class Attribution(BaseModel):
    """Which words made a message its intent; personal data is masked."""

    decision: str
    text: str = Field(description="What was read: the message, or an earlier one with it.")
    is_with_earlier: bool
    is_whole: bool = Field(description="False: that earlier message is not kept here.")
    bundle: str = Field(description="The bundle that was asked, the live one.")
    is_same_bundle: bool = Field(description="Whether it is the one that decided.")
    is_by_adapter: bool = Field(
        description="Whether a user's own adapter decided; explained is the shared assistant."
    )
    intent: str
    probability: float | None
    words: list[Word]
    rest: float = Field(description="What marks of the tokenizer add, that are no words.")
    gap: float = Field(description="What the sum of the weights misses.")
    nearest: list[Near]
    problem: str = Field(description="Why there are no weights, and what to do; else empty.")

    @classmethod
    def of(cls, found: Attributed) -> Self:
        """As it goes out."""
        return cls.model_validate(facts_of(found))
