"""What the routes of posts, timelines and corrections take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from tailorbird.assistants.opinion.figures import Tally, Timeline, Window
from tailorbird.assistants.opinion.finding import Found
from tailorbird.assistants.opinion.gathering import Taken
from tailorbird.assistants.opinion.http.routing import (
    Asked,
    Id,
    Name,
    Sentiment,
)
from tailorbird.serving.access import said
from tailorbird.store.tables import MentionRow, OpinionLabelRow, PostRow


class Refused(BaseModel):
    """A post that was not taken, and why."""

    where: str = Field(description="Which of those that were sent.")
    cause: str
    cure: str


class TakenShown(BaseModel):
    """What became of the posts; what is new is on disk."""

    n_new: int
    n_known: int = Field(description="Taken before, under the same id, address or text.")
    n_copies: int = Field(description="New ones that tell a story which is known: counted once.")
    refused: list[Refused]
    notes: list[str]

    @classmethod
    def of(cls, taken: Taken) -> Self:
        """The counts as they go out, sentences in the language of the request."""
        return cls(
            n_new=taken.n_new,
            n_known=taken.n_known,
            n_copies=taken.n_copies,
            refused=[
                Refused(where=r.where, cause=said(r.cause), cure=said(r.cure))
                for r in taken.rejects
            ],
            notes=[said(note) for note in taken.notes],
        )


class Mention(BaseModel):
    """Whom a post names, and how it speaks of them."""

    entity: str
    kind: str
    start: int
    end: int
    sentiment: str

    @classmethod
    def of(cls, row: MentionRow) -> Self:
        """The mention as it goes out."""
        return cls.model_validate({key: getattr(row, key) for key in cls.model_fields})


class Copy(BaseModel):
    """The same story elsewhere."""

    id: str
    source: str
    time: datetime
    url: str


class Post(BaseModel):
    """One text, what was read out of it, and where else it was told; personal data is masked."""

    id: str
    source: str
    time: datetime
    title: str
    text: str
    url: str
    language: str
    copy_of: str | None
    model: str = Field(description="What judged it; empty: nothing yet.")
    sentiment: str
    probabilities: dict[str, float]
    topics: dict[str, float]
    mentions: list[Mention]
    copies: list[Copy]
    corrected_by: str = Field(description="Who said more of it than the model; empty: nobody.")

    @classmethod
    def of(cls, found: Found) -> Self:
        """The post as it goes out."""
        row = found.post
        from_row = set(cls.model_fields) & set(PostRow.__table__.columns.keys())
        return cls(
            **{key: getattr(row, key) for key in from_row},
            mentions=[Mention.of(one) for one in found.mentions],
            copies=[
                Copy(id=one.id, source=one.source, time=one.time, url=one.url)
                for one in found.copies
            ],
            corrected_by=", ".join(dict.fromkeys(one.author for one in found.labels)),
        )


class Posts(BaseModel):
    """Posts, the newest first."""

    posts: list[Post]
    before: str | None = Field(
        description="Ask with this for those that are older; null: there are none."
    )


class WindowShown(BaseModel):
    """What was said in one window; copies count once."""

    start: datetime
    n: int
    n_negative: int
    n_neutral: int
    n_positive: int
    n_unjudged: int

    @classmethod
    def of(cls, window: Window) -> Self:
        """The window as it goes out."""
        return cls.model_validate({key: getattr(window, key) for key in cls.model_fields})


class TimelineShown(BaseModel):
    """Equal windows, oldest first."""

    topic: str
    entity: str
    window_h: int
    n: int
    negative_share: float | None
    windows: list[WindowShown]

    @classmethod
    def of(cls, timeline: Timeline) -> Self:
        """The timeline as it goes out."""
        return cls(
            topic=timeline.subject.topic,
            entity=timeline.subject.entity,
            window_h=round(timeline.window.total_seconds() / 3600),
            n=timeline.n,
            negative_share=timeline.negative_share,
            windows=[WindowShown.of(one) for one in timeline.windows],
        )


class TallyShown(BaseModel):
    """How often something was spoken of, and how often badly."""

    name: str
    n: int
    n_negative: int

    @classmethod
    def of(cls, tally: Tally) -> Self:
        """The tally as it goes out."""
        return cls(name=tally.name, n=tally.n, n_negative=tally.n_negative)


class Subjects(BaseModel):
    """What is spoken of most, the most frequent first."""

    topics: list[TallyShown]
    entities: list[TallyShown]


class CorrectionSent(Asked):
    """What is right of a post; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"post": "0f…", "sentiment": "negative", "topics": ["prices"]}]
        },
    )

    post: Id
    entity: Name | None = Field(default=None, description="Of how it speaks of this one alone.")
    sentiment: Sentiment | None = None
    topics: Annotated[list[Name], Field(max_length=20)] | None = Field(
        default=None, description="All that apply; empty: none does."
    )


class Correction(BaseModel):
    """What was kept: it holds at once, and is a training row of the next build."""

    id: str
    time: datetime
    post: str
    entity: str
    sentiment: str
    topics: list[str] | None
    author: str

    @classmethod
    def of(cls, row: OpinionLabelRow) -> Self:
        """The correction as it goes out."""
        return cls(
            id=row.id,
            time=row.time,
            post=row.post_id,
            entity=row.entity,
            sentiment=row.sentiment,
            topics=row.topics,
            author=row.author,
        )


class Corrections(BaseModel):
    """Corrections, the newest first."""

    corrections: list[Correction]
