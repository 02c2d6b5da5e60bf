"""What goes over the wire; the OpenAPI document is made from this."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from tailorbird.serving.engine import Answer


class PredictRequest(BaseModel):
    """Texts to understand, each on its own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"texts": ["我的包裹怎么还没到？", "I want my money back"]}]
        },
    )

    texts: list[str] = Field(description="At least one text; the service limits number and length.")
    user: str | None = Field(
        default=None,
        description="Who asks, as your own system calls them; kept with the text. A user with an "
        "adapter is answered by that. Visitors may name nobody but whom their token names.",
    )


class Alternative(BaseModel):
    """Another intent that the text may have."""

    intent: str
    confidence: float


class Prediction(BaseModel):
    """What the assistant makes of one text."""

    intent: str
    confidence: float = Field(description="Calibrated probability of the intent, in [0, 1].")
    in_scope: bool = Field(description="False where the assistant should rather not answer.")
    scope_score: float = Field(
        default=1.0, description="Probability that the text is in scope at all, in [0, 1]."
    )
    answer: str | None = Field(description="The template for the intent, in the text's language.")
    language: str = Field(description="zh or en.")
    alternatives: list[Alternative] = Field(description="The next likely intents, best first.")


class PredictResponse(BaseModel):
    """One prediction a text, in the order of the request, and what made them."""

    predictions: list[Prediction]
    bundle: str = Field(description="The id of the bundle.")
    adapter: str | None = Field(
        default=None,
        description="The hash of the user's adapter; null where the shared assistant answered: "
        "without a user, for one without an adapter, and while it is being loaded.",
    )

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """The response that carries *answer*."""
        predictions = [
            Prediction(
                intent=row.intent,
                confidence=row.confidence,
                in_scope=row.in_scope,
                scope_score=row.scope_score,
                answer=row.answer,
                language=row.language,
                alternatives=[
                    Alternative(intent=intent, confidence=confidence)
                    for intent, confidence in row.alternatives
                ],
            )
            for row in answer.predictions
        ]
        adapter = next(iter(answer.adapters), "") or None
        return cls(predictions=predictions, bundle=answer.bundle, adapter=adapter)


class Health(BaseModel):
    """The service is there."""

    status: str


class Readiness(BaseModel):
    """The service can answer, with this bundle."""

    status: str
    bundle: str


class ErrorDetail(BaseModel):
    """One sentence each: what is wrong, where, and what to do."""

    message: str
    where: str
    cure: str | None = None


class ErrorResponse(BaseModel):
    """The form of every refusal."""

    error: ErrorDetail
