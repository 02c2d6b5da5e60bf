"""What people do with alerts: take note of them, or ask for silence."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tailorbird.errors import ConflictError, NotFoundError, RequestError
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, DeliveryRow, SilenceRow, utc_now


def find_alert(session: Session, alert: str) -> AlertRow:
    """The alert with this id, or the only one whose id begins so.

    Raises NotFoundError, and ConflictError where several begin so.
    """
    rows = list(
        session.scalars(
            select(AlertRow).where(AlertRow.id.startswith(alert, autoescape=True)).limit(2)
        )
    )
    if not alert or not rows:
        raise NotFoundError(
            f"there is no alert {alert!r}",
            where="alert",
            cure="GET /v1/opinion/alerts and tailorbird opinion alerts list them",
        )
    if len(rows) > 1 and rows[0].id != alert:
        raise ConflictError(
            f"several alerts begin with {alert!r}",
            where="alert",
            cure="write more of the id",
        )
    return rows[0]


def acknowledge(workspace: Workspace, alert: str, *, by: str) -> AlertRow:
    """Somebody has seen an alert: it is not sent any more; it is still updated and closed.

    Of two people the first is kept.
    """
    with workspace.writing() as session:
        row = find_alert(session, alert)
        if not row.acknowledged_by:
            row.acknowledged_by = by
            if row.status == "new":
                row.status = "acknowledged"
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.alert_id == row.id, DeliveryRow.arrived.is_(None))
            .values(next_try=None, error="acknowledged before it arrived")
        )
    return row


def silence(
    workspace: Workspace,
    *,
    topic: str = "",
    entity: str = "",
    until: datetime,
    author: str,
    note: str = "",
) -> SilenceRow:
    """Send nothing of a topic, an entity, or a topic with an entity until a moment.

    Alerts are found and kept all the same; one that is still open then is sent. Raises
    RequestError where nothing is named, or the moment has passed.
    """
    if not topic and not entity:
        raise RequestError("a silence names a topic or an entity", cure="give a topic or an entity")
    if until <= utc_now():
        raise RequestError(
            f"the silence would end in the past: {until.isoformat()}",
            cure="choose a later moment",
        )
    row = SilenceRow(topic=topic, entity=entity, until=until, author=author, note=note)
    with workspace.writing() as session:
        session.add(row)
    return row


def is_silent(alert: AlertRow, silences: list[SilenceRow]) -> bool:
    """Whether one of the *silences* covers the alert.

    One of a topic covers that topic's series, one of an entity that entity's, one of both that of
    both.
    """
    return any(
        (one.topic, one.entity) == (alert.topic, alert.entity)
        or (not one.entity and bool(alert.topic) and one.topic == alert.topic)
        or (not one.topic and bool(alert.entity) and one.entity == alert.entity)
        for one in silences
    )
