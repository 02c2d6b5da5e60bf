"""What the routes of alerts and silences take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from tailorbird.assistants.opinion.alert_list import Told
from tailorbird.assistants.opinion.http.post_schemas import Post
from tailorbird.assistants.opinion.http.routing import Asked, Moment, Name
from tailorbird.store.tables import AlertRow, AlertStatus, DeliveryRow, SilenceRow


class Delivery(BaseModel):
    """An alert on its way to one channel."""

    channel: str = Field(description="Its name in the settings; its address stays there.")
    n_tries: int
    next_try: datetime | None = Field(description="null: it has arrived, or was given up.")
    arrived: datetime | None
    error: str

    @classmethod
    def of(cls, row: DeliveryRow) -> Self:
        """The delivery as it goes out."""
        return cls.model_validate({key: getattr(row, key) for key in cls.model_fields})


class Alert(BaseModel):
    """A surge, with its story."""

    id: str
    created: datetime
    topic: str
    entity: str
    since: datetime = Field(description="When it began to rise.")
    until: datetime = Field(description="The end of the last window in which it was still up.")
    level: str = Field(description="notice, warning or critical.")
    status: AlertStatus
    acknowledged_by: str
    story: dict[str, Any] = Field(description="What rose, from what to what, and which texts say.")
    group: str = Field(description="Alerts of one cause share the id of the first.")
    deliveries: list[Delivery]

    @classmethod
    def of(cls, told: Told) -> Self:
        """The alert as it goes out."""
        from_row = set(cls.model_fields) & set(AlertRow.__table__.columns.keys())
        return cls(
            **{key: getattr(told.alert, key) for key in from_row},
            deliveries=[Delivery.of(one) for one in told.deliveries],
        )


class Alerts(BaseModel):
    """Alerts, the newest first."""

    alerts: list[Alert]


class AlertWithPosts(BaseModel):
    """One alert and the texts that explain it."""

    alert: Alert
    posts: list[Post]


class SilenceSent(Asked):
    """What nobody wants to hear of for a while; of a topic, an entity, or one within the other."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"topic": "prices", "until": "2030-01-01T09:00:00Z", "note": "price round"}
            ]
        },
    )

    topic: Name | None = None
    entity: Name | None = None
    until: Moment
    note: Annotated[str, Field(max_length=1000)] = ""


class Silence(BaseModel):
    """A silence that holds."""

    id: str
    topic: str
    entity: str
    until: datetime
    author: str
    note: str

    @classmethod
    def of(cls, row: SilenceRow) -> Self:
        """The silence as it goes out."""
        return cls.model_validate({key: getattr(row, key) for key in cls.model_fields})


class Silences(BaseModel):
    """Silences that hold, the first to end first."""

    silences: list[Silence]
