"""``/v1/chat/completions`` over the wire: OpenAI's form, and one object of our own beside it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tailorbird.assistants.service_desk.answering.decision import Decision

MODEL = "tailorbird"
"""The name that the assistant goes by; requests may name any."""

ChatRole = Literal["user", "assistant", "system", "developer", "tool", "function"]


class ContentPart(BaseModel):
    """A part of a message; only texts are understood."""

    model_config = ConfigDict(extra="ignore")

    type: str = Field(default="text", description="text; others are refused.")
    text: str | None = None


class ChatMessage(BaseModel):
    """One message. What system, developer and tool messages say is not followed."""

    model_config = ConfigDict(extra="ignore")

    role: ChatRole
    content: str | list[ContentPart] | None = None


class StreamOptions(BaseModel):
    """What a stream ends with."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool | None = Field(default=None, description="A last chunk with `usage`.")


class ChatRequest(BaseModel):
    """A conversation to answer; what language models are asked (temperature, tools) is ignored."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "model": MODEL,
                    "messages": [{"role": "user", "content": "How long does a refund take?"}],
                }
            ]
        },
    )

    model: str = Field(default=MODEL, description="Any name: there is one assistant.")
    messages: list[ChatMessage] = Field(
        description="Oldest first; the last one of user and assistant must be the user's."
    )
    stream: bool | None = Field(default=None, description="Server-sent events, a sentence each.")
    stream_options: StreamOptions | None = None
    user: str | None = Field(
        default=None, description="Who asks: one with an adapter is answered by that."
    )


class Source(BaseModel):
    """What a sentence of the answer rests on."""

    text: str = Field(description="The sentence.")
    source: str = Field(description="Document › heading; empty: a template, or about itself.")
    passage: str = Field(description="The id of the passage.")


class Explanation(BaseModel):
    """What OpenAI's form has no place for."""

    kind: str = Field(
        description="template, knowledge, generated, rule, refusal or hand_over. After hand_over "
        "a person should answer: this route keeps no conversation, /v1/conversations does."
    )
    language: str = Field(description="zh or en.")
    intent: str
    confidence: float
    rule: str = Field(description="The name of the rule that decided; empty: none.")
    reason: str = Field(description="Why, in the visitor's language.")
    sources: list[Source] = Field(description="One a sentence, in their order.")
    decision: str = Field(description="What `tailorbird why` and /v1/feedback know it by.")
    bundle: str
    adapter: str | None

    @classmethod
    def of(cls, decision: Decision, decision_id: str) -> Explanation:
        """Of *decision*, which is known as *decision_id*."""
        return cls(
            kind=decision.kind,
            language=decision.language,
            intent=decision.intent,
            confidence=decision.confidence,
            rule=decision.rule,
            reason=str(decision.why.get("reason", "")),
            sources=[
                Source(text=sentence.text, source=sentence.source, passage=sentence.passage)
                for sentence in decision.sentences
            ],
            decision=decision_id,
            bundle=decision.bundle,
            adapter=decision.adapter or None,
        )


class Usage(BaseModel):
    """Counted in words and Chinese characters, as no tokenizer is asked."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    """What the assistant says."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """There is always one."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatCompletion(BaseModel):
    """The answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Seconds since 1970.")
    model: str
    choices: list[Choice]
    usage: Usage
    tailorbird: Explanation


class ModelEntry(BaseModel):
    """A name that requests may use."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = MODEL


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class ChatErrorDetail(BaseModel):
    """What is wrong, in OpenAI's words."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ChatErrorResponse(BaseModel):
    """The form of every refusal of these routes."""

    error: ChatErrorDetail


def chunk(
    answer_id: str, created: int, delta: dict[str, Any], *, finish: str | None = None
) -> dict[str, Any]:
    """One event of a stream.

    >>> chunk("a", 0, {"content": "Yes."})["choices"][0]["delta"]
    {'content': 'Yes.'}
    """
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": MODEL,
        "choices": [choice],
    }
