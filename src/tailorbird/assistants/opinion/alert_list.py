"""Alerts and silences as people look at them, with what became of telling anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from tailorbird.assistants.opinion.watching.handling import find_alert
from tailorbird.errors import NotFoundError
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, AlertStatus, DeliveryRow, SilenceRow, utc_now

N_ALERTS = 50
OPEN: tuple[AlertStatus, ...] = ("new", "acknowledged")
"""Those that go on."""


@dataclass(frozen=True, slots=True)
class Told:
    """An alert with what became of telling it."""

    alert: AlertRow
    deliveries: tuple[DeliveryRow, ...] = ()


def list_alerts(
    workspace: Workspace, *, statuses: Sequence[AlertStatus] = (), limit: int = N_ALERTS
) -> list[Told]:
    """The newest alerts first, of *statuses* alone where some are given."""
    wanted = select(AlertRow).order_by(AlertRow.created.desc(), AlertRow.id).limit(limit)
    if statuses:
        wanted = wanted.where(AlertRow.status.in_(statuses))
    with workspace.sessions() as session:
        alerts = session.scalars(wanted).all()
        known = select(DeliveryRow).where(DeliveryRow.alert_id.in_([one.id for one in alerts]))
        deliveries = session.scalars(known.order_by(DeliveryRow.channel)).all()
    return [
        Told(alert, tuple(one for one in deliveries if one.alert_id == alert.id))
        for alert in alerts
    ]


def read_alert(workspace: Workspace, alert_id: str) -> Told:
    """One alert, by its id or how that begins; raises what `handling.find_alert` does."""
    with workspace.sessions() as session:
        alert = find_alert(session, alert_id)
        wanted = select(DeliveryRow).where(DeliveryRow.alert_id == alert.id)
        return Told(alert, tuple(session.scalars(wanted.order_by(DeliveryRow.channel))))


def explaining(story: Mapping[str, Any]) -> list[str]:
    """The ids of the posts that explain an alert, the most telling first.

    >>> explaining({"texts": [{"id": "a1", "title": "Recall"}]})
    ['a1']
    """
    return [str(one["id"]) for one in story.get("texts") or () if "id" in one]


def list_silences(workspace: Workspace) -> list[SilenceRow]:
    """Those that still hold, the first to end first."""
    wanted = select(SilenceRow).where(SilenceRow.until > utc_now()).order_by(SilenceRow.until)
    with workspace.sessions() as session:
        return list(session.scalars(wanted))


def lift(workspace: Workspace, silence_id: str) -> SilenceRow:
    """End a silence now; NotFoundError where there is none."""
    with workspace.writing() as session:
        row = session.get(SilenceRow, silence_id)
        if row is None:
            raise NotFoundError(
                f"there is no silence {silence_id!r}",
                where="silence",
                cure="GET /v1/opinion/silences lists them",
            )
        session.delete(row)
    return row


def open_alerts(workspace: Workspace, *, topic: str = "", entity: str = "") -> list[AlertRow]:
    """Alerts that still go on, those of *topic* or *entity* alone where one is given."""
    wanted = select(AlertRow).where(AlertRow.status != "closed")
    if topic:
        wanted = wanted.where(AlertRow.topic == topic)
    if entity:
        wanted = wanted.where(AlertRow.entity == entity)
    with workspace.sessions() as session:
        return list(session.scalars(wanted.order_by(AlertRow.since)))


def alerts_within(
    workspace: Workspace, since: datetime, until: datetime, *, topic: str = "", entity: str = ""
) -> list[AlertRow]:
    """Alerts, closed or not, of which a part lies between *since* and *until*, both aware."""
    wanted = select(AlertRow).where(AlertRow.since < until, AlertRow.until > since)
    if topic:
        wanted = wanted.where(AlertRow.topic == topic)
    if entity:
        wanted = wanted.where(AlertRow.entity == entity)
    with workspace.sessions() as session:
        return list(session.scalars(wanted.order_by(AlertRow.since)))
