"""What goes over the wire at the service desk; the OpenAPI document is made from this."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tailorbird.assistants.service_desk.conversing.desk import Card
from tailorbird.assistants.service_desk.conversing.exchange import Exchanged
from tailorbird.assistants.service_desk.conversing.explaining import explain
from tailorbird.store.tables import (
    Author,
    ConversationRow,
    ConversationStatus,
    DecisionRow,
    DraftRow,
    TurnRow,
)

MAX_TEXT_CHARS = 8000
"""Characters of one message; also what `ServingSettings.max_text_chars` begins with."""


def checked(text: str) -> str:
    """*text*, if it can be kept and shown: not blank, no NUL, no half of a surrogate pair."""
    if not text.strip():
        raise PydanticCustomError("blank", "is empty")
    if "\0" in text:
        raise PydanticCustomError("nul", "holds a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("surrogate", "holds half of a surrogate pair")
    return text


Checked = AfterValidator(checked)
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS), Checked]
Name = Annotated[str, Field(max_length=200), Checked]
ClientId = Annotated[str, Field(max_length=64), Checked]


class Asked(BaseModel):
    """The base of all requests: a key nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid")


class OpenRequest(Asked):
    """A new conversation."""

    user: Name | None = Field(
        default=None,
        description="Who asks, as your own system calls them; null: nobody in particular. A user "
        "with an adapter is answered by that; one whom nobody knows yet is answered as everybody. "
        "Visitors may name nobody but whom their token names.",
    )
    channel: Annotated[str, Field(max_length=20), Checked] = Field(
        default="api", description="Where from: api, widget, …"
    )
    language: Literal["", "zh", "en"] = Field(
        default="", description="Of notices before the visitor has said anything."
    )


class SayRequest(Asked):
    """One message of the visitor."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "我的包裹怎么还没到？", "client_id": "m-1"}]},
    )

    text: Text
    client_id: ClientId | None = Field(
        default=None,
        description="Your own name for the message. Send it again under the same name when no "
        "answer came: it is kept once, answered once, and you get the first answer.",
    )


class RateRequest(Asked):
    """What the visitor thinks of the whole conversation."""

    value: float = Field(ge=-1, le=1, description="From -1 (bad) to 1 (good).")


class PersonRequest(Asked):
    """Ask for a person."""

    reason: Name = Field(default="asked for", description="Shown to the agent.")


class Turn(BaseModel):
    """One message; numbers count up from 0 within a conversation."""

    id: str
    number: int
    time: datetime
    author: Author
    text: str
    client_id: str | None = None
    decision: str | None = Field(default=None, description="Why: GET /v1/decisions/ID.")

    @classmethod
    def of(cls, row: TurnRow) -> Self:
        """The turn as it goes out."""
        values = {"id": row.id, "number": row.number, "time": row.time, "text": row.text}
        return cls.model_validate(
            values | {"author": row.author, "client_id": row.client_id, "decision": row.decision_id}
        )


class Conversation(BaseModel):
    """A conversation without what was said."""

    id: str
    created: datetime
    updated: datetime
    user: str | None
    channel: str
    language: str
    status: ConversationStatus = Field(
        description="Who speaks next: the assistant; nobody yet, a person was asked for (waiting); "
        "a person (agent); nobody soon (ticket); nobody any more (closed)."
    )
    reason: str = Field(description="Why it was handed over.")
    agent: str | None
    rating: float | None

    @classmethod
    def of(cls, row: ConversationRow) -> Self:
        """The conversation as it goes out."""
        return cls.model_validate({key: getattr(row, key) for key in cls.model_fields})


class Cited(BaseModel):
    """A sentence and what it stands on."""

    text: str
    source: str = Field(description="Document › heading; empty: a template.")
    passage: str


class Decided(BaseModel):
    """What the assistant decided, in short."""

    id: str = Field(description="For POST /v1/feedback and GET /v1/decisions/ID.")
    kind: str
    intent: str
    confidence: float
    sentences: list[Cited]
    suggestions: list[str]

    @classmethod
    def of(cls, row: DecisionRow) -> Self:
        """The decision as a visitor's page may show it."""
        why: dict[str, Any] = row.why or {}
        return cls(
            id=row.id,
            kind=row.kind,
            intent=row.intent,
            confidence=row.confidence,
            sentences=[Cited.model_validate(one) for one in why.get("sentences") or ()],
            suggestions=[str(text) for text in why.get("suggestions") or ()],
        )


class SayResponse(BaseModel):
    """The message and what was answered; all of it is on disk."""

    turn: Turn
    answers: list[Turn] = Field(description="Empty while a person is to answer.")
    status: ConversationStatus
    decision: Decided | None

    @classmethod
    def of(cls, done: Exchanged) -> Self:
        """The exchange as it goes out."""
        return cls.model_validate(
            {
                "turn": Turn.of(done.turn),
                "answers": [Turn.of(row) for row in done.answers],
                "status": done.conversation.status,
                "decision": Decided.of(done.decision) if done.decision else None,
            }
        )


class Turns(BaseModel):
    """What was said, oldest first."""

    turns: list[Turn]


class FeedbackRequest(Asked):
    """What a person thinks of one answer; at least one of thumb, chosen, correction, intent."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"decision": "0f…", "thumb": "down", "correction": "退款 3 天内到账。"}]
        },
    )

    decision: ClientId = Field(description="The id of the decision.")
    thumb: Literal["up", "down"] | None = None
    chosen: Text | None = Field(default=None, description="The suggested reply that was used.")
    correction: Text | None = Field(
        default=None,
        description="What should have been answered. A visitor's becomes a draft that somebody "
        "looks at before anything is learned from it.",
    )
    intent: Name | None = Field(default=None, description="The intent that was meant.")


class FeedbackResponse(BaseModel):
    """What is now known of the decision."""

    decision: str
    feedback: float | None
    correction: str | None
    intent: str | None = Field(description="The intent that was meant.")
    draft: str | None = Field(default=None, description="The draft a visitor's correction became.")


class AnswerRequest(Asked):
    """What an agent says to the visitor."""

    text: Text
    client_id: ClientId | None = Field(default=None, description="As for messages of visitors.")


class DraftRequest(Asked):
    """Make a draft of an agent's answer."""

    turn: int = Field(ge=0, le=2**31 - 1, description="The number of the agent's turn.")


class EditRequest(Asked):
    """Change a draft; what is null stays."""

    question: Text | None = None
    answer: Text | None = None
    intent: Name | None = None


class Draft(BaseModel):
    """A question and an answer to be judged; personal data is masked."""

    id: str
    created: datetime
    conversation_id: str | None
    question: str
    answer: str
    intent: str
    status: Literal["new", "accepted", "rejected"]
    author: str
    reviewer: str

    @classmethod
    def of(cls, row: DraftRow) -> Self:
        """The draft as it goes out."""
        return cls.model_validate({key: getattr(row, key) for key in cls.model_fields})


class DraftList(BaseModel):
    """Drafts, the newest first."""

    drafts: list[Draft]


class DeskCard(BaseModel):
    """One conversation as an agent sees it."""

    conversation: Conversation
    turns: list[Turn]
    intent: str
    confidence: float
    suggestions: list[str]
    sources: list[Cited]

    @classmethod
    def of(cls, card: Card) -> Self:
        """The card as it goes out."""
        return cls(
            conversation=Conversation.of(card.conversation),
            turns=[Turn.of(row) for row in card.turns],
            intent=card.intent,
            confidence=card.confidence,
            suggestions=list(card.suggestions),
            sources=[
                Cited(text=one.text, source=one.source, passage=one.passage) for one in card.sources
            ],
        )


class DeskList(BaseModel):
    """Conversations of the desk, and who is there."""

    conversations: list[DeskCard]
    agents: list[str]


class Agents(BaseModel):
    """Who is at the desk."""

    agents: list[str]


class Decision(BaseModel):
    """Why the assistant said what it said; personal data is masked."""

    id: str
    time: datetime
    conversation_id: str | None
    user: str | None
    text: str
    answer: str
    kind: str
    intent: str
    confidence: float
    bundle_id: str
    adapter: str
    latency_ms: float
    why: dict[str, Any]
    feedback: float | None
    correction: str | None
    meant: str | None
    explanation: list[str] = Field(description="The same in sentences.")

    @classmethod
    def of(cls, row: DecisionRow) -> Self:
        """The decision as it goes out."""
        keys = [key for key in cls.model_fields if key != "explanation"]
        values = {key: getattr(row, key) for key in keys}
        return cls.model_validate(values | {"explanation": explain(row)})
