"""What goes over the wire at recommendation; the OpenAPI document is made from this."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tailorbird.assistants.recommend.seam import Event, Item
from tailorbird.store.tables import EventKind

MAX_ITEMS = 500
"""Items in one request."""
MAX_EVENTS = 1_000
"""Events in one request."""
MAX_LIST = 100
"""Items of one list."""
MAX_FEATURES = 50
MAX_TAGS = 50
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


def checked(text: str) -> str:
    """*text*, if it can be kept: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        raise PydanticCustomError("nul", "holds a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("surrogate", "holds half of a surrogate pair")
    return text


def named(text: str) -> str:
    """*text*, if it can name something."""
    if not checked(text).strip():
        raise PydanticCustomError("blank", "is empty")
    return text


def aware(time: datetime) -> datetime:
    """*time* in UTC; one without a zone is taken to be that."""
    try:
        moment = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("moment", "is no moment that can be kept") from error
    if moment < FIRST_MOMENT:
        raise PydanticCustomError("moment", "is before 1970")
    return moment


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(named)]
Word = Annotated[str, Field(max_length=200), AfterValidator(checked)]
Moment = Annotated[datetime, AfterValidator(aware)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]


class Asked(BaseModel):
    """The base of all requests: a key nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid")


class RecommendRequest(Asked):
    """Who wants a list, and which."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user": "u-17", "n": 10}]}
    )

    user: Name | None = Field(
        default=None,
        description="Who is to see it, as your own system calls them; one whom nobody knows yet "
        "gets what fits what they looked at, or what many like. null: somebody without a name.",
    )
    n: int = Field(default=20, ge=1, le=MAX_LIST, description="Items of the list.")
    diversity: float | None = Field(
        default=None, ge=0, le=1, description="0: the best alone; 1: as unlike as can be."
    )
    explore: bool = Field(default=True, description="Draw a few positions, to learn from them.")
    exclude: list[Name] = Field(
        default=[], max_length=MAX_ITEMS, description="Items that are not to be in it."
    )
    recent: list[Name] = Field(
        default=[],
        max_length=50,
        description="Items that somebody without a name has looked at, the latest last.",
    )
    language: Literal["zh", "en"] = Field(default="en", description="Of the reasons.")


class Why(BaseModel):
    """The reason for one item."""

    kind: str
    item: str = Field(description="The item that led to it; empty: none.")
    feature: str = Field(description="What lifted it; empty: nothing in particular.")
    text: str = Field(description="The reason in a sentence.")


class Recommended(BaseModel):
    """One item of a list."""

    item: str
    title: str
    score: float = Field(description="Of the ranking; higher is better, and that is all.")
    reason: Why
    propensity: float = Field(description="How likely this item was at this position, in (0, 1].")
    explored: bool = Field(description="True where the position was drawn.")


class RecommendResponse(BaseModel):
    """A list, best first."""

    impression: str | None = Field(
        description="Send it with the events that answer this list. null: it was made in the night."
    )
    model: str
    user: str | None
    made: datetime
    items: list[Recommended]


class PostedEvent(Asked):
    """What somebody did with an item."""

    id: Annotated[str, Field(max_length=200), AfterValidator(checked)] = Field(
        default="",
        description="Your own name for the event. Sent again under it, it counts once; without "
        "one, events that say the same are the same; without a time either, each is another.",
    )
    user: Name
    item: Name = Field(description="It need not be known yet.")
    kind: EventKind
    value: Number | None = Field(default=None, description="Of a rating: how many stars.")
    time: Moment | None = Field(
        default=None, description="Without a zone it is UTC; null: now. Not in the future."
    )
    impression: Annotated[str, Field(max_length=36), AfterValidator(checked)] | None = Field(
        default=None, description="The list that it answers."
    )

    @model_validator(mode="after")
    def _has_value(self) -> Self:
        if self.kind == "rating" and self.value is None:
            raise PydanticCustomError("no_value", "is a rating without a value")
        return self


class EventsRequest(Asked):
    """Events in any order."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"events": [{"user": "u-17", "item": "b-4", "kind": "click"}]}]
        },
    )

    events: list[PostedEvent] = Field(min_length=1, max_length=MAX_EVENTS)


class EventsResponse(BaseModel):
    """What came of them; all are kept by now."""

    n_new: int
    n_known: int = Field(description="They were here before, and count once.")
    unknown_items: list[str] = Field(
        description="Items that nobody has put here yet, the first 20; their events are kept."
    )


class PutItem(Asked):
    """Something that may be recommended."""

    id: Name
    title: Annotated[str, Field(max_length=1_000), AfterValidator(checked)] = ""
    description: Annotated[str, Field(max_length=20_000), AfterValidator(checked)] = ""
    tags: list[Word] = Field(default=[], max_length=MAX_TAGS)
    features: dict[Name, Number | Word] = Field(
        default={}, max_length=MAX_FEATURES, description="Price, brand, anything."
    )
    created: Moment | None = Field(default=None, description="null: now, or as it was.")

    def to_item(self) -> Item:
        """The item as models take it."""
        tags = tuple(dict.fromkeys(tag.strip() for tag in self.tags if tag.strip()))
        return Item(self.id, self.title, self.description, tags, self.features, self.created)


class ItemsRequest(Asked):
    """Items to add or change; what is not named stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"items": [{"id": "b-4", "title": "Wool socks", "tags": ["knitting"]}]}]
        },
    )

    items: list[PutItem] = Field(min_length=1, max_length=MAX_ITEMS)


class ItemsResponse(BaseModel):
    """What came of them."""

    n_new: int
    n_changed: int
    n_unchanged: int
    n_without_text: int = Field(
        description="They have no words: they are recommended once people did something with them."
    )


class WithdrawRequest(Asked):
    """Items that are to be recommended no more."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"items": ["b-4"]}]})

    items: list[Name] = Field(min_length=1, max_length=MAX_ITEMS)


class WithdrawResponse(BaseModel):
    """Those of them that were recommended until now."""

    withdrawn: list[str]


class HistoryEvent(BaseModel):
    """One event of a user."""

    item: str
    title: str
    kind: str
    value: float | None
    time: datetime

    @classmethod
    def of(cls, event: Event, title: str) -> Self:
        """The event with the name of its item."""
        facts: dict[str, Any] = {"item": event.item, "kind": event.kind, "value": event.value}
        return cls(**facts, title=title, time=event.time)


class HistoryResponse(BaseModel):
    """What a user did lately, newest first."""

    user: str
    events: list[HistoryEvent]
