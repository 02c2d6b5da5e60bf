"""Alerts over HTTP: read them, acknowledge them, silence what nobody wants to hear of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from tailorbird.assistants.opinion.alert_list import (
    explaining,
    lift,
    list_alerts,
    list_silences,
    read_alert,
)
from tailorbird.assistants.opinion.finding import read_posts
from tailorbird.assistants.opinion.http.alert_schemas import (
    Alert,
    Alerts,
    AlertWithPosts,
    Silence,
    Silences,
    SilenceSent,
)
from tailorbird.assistants.opinion.http.post_schemas import Post
from tailorbird.assistants.opinion.http.routing import Agent, Limit, router
from tailorbird.assistants.opinion.watching.handling import acknowledge, silence
from tailorbird.errors import RequestError
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertStatus, utc_now

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "font-src data:; frame-ancestors 'self'; sandbox allow-scripts allow-popups"
)
"""A report is one page with a script of its own: it fetches nothing, and is nobody's session."""

MakeReport = Callable[[date, str], str]
"""``report(day, language)`` as HTML."""


def alert_routes(workspace: Workspace) -> APIRouter:
    """The routes of alerts and silences."""
    routes = router()

    @routes.get("/alerts", summary="Alerts, newest first")
    def alerts(person: Agent, status: AlertStatus | None = None, limit: Limit = 50) -> Alerts:
        found = list_alerts(workspace, statuses=[status] if status else (), limit=limit)
        return Alerts(alerts=[Alert.of(one) for one in found])

    @routes.get("/alerts/{alert}", summary="One alert, with the texts that explain it")
    def one_alert(alert: str, person: Agent) -> AlertWithPosts:
        told = read_alert(workspace, alert)
        posts = read_posts(workspace, explaining(told.alert.story))
        return AlertWithPosts(alert=Alert.of(told), posts=[Post.of(one) for one in posts])

    @routes.post("/alerts/{alert}/acknowledge", summary="Say that somebody looks after it")
    def acknowledge_alert(alert: str, person: Agent) -> Alert:
        row = acknowledge(workspace, alert, by=person.name)
        return Alert.of(read_alert(workspace, row.id))

    @routes.get("/silences", summary="What nobody is told of now")
    def silences(person: Agent) -> Silences:
        return Silences(silences=[Silence.of(one) for one in list_silences(workspace)])

    @routes.post("/silences", summary="Tell nobody of a topic or entity for a while")
    def add_silence(sent: SilenceSent, person: Agent) -> Silence:
        row = silence(
            workspace,
            topic=sent.topic or "",
            entity=sent.entity or "",
            until=sent.until,
            author=person.name,
            note=sent.note,
        )
        return Silence.of(row)

    @routes.delete("/silences/{silence_id}", summary="Tell everybody again")
    def end_silence(silence_id: str, person: Agent) -> Silence:
        return Silence.of(lift(workspace, silence_id))

    return routes


def report_routes(report: MakeReport) -> APIRouter:
    """The daily report as a page."""
    routes = router()

    @routes.get("/report", summary="What was said on one day", response_class=HTMLResponse)
    def daily(
        person: Agent,
        day: Annotated[date | None, Query(description="In UTC; left out: yesterday.")] = None,
        language: Literal["zh", "en"] = "en",
    ) -> HTMLResponse:
        wanted = day or date.fromordinal(utc_now().date().toordinal() - 1)
        if not 1971 <= wanted.year <= 2199:
            raise RequestError("is not between 1971 and 2199", where="day")
        page = report(wanted, language)
        return HTMLResponse(page, headers={"Content-Security-Policy": REPORT_POLICY})

    return routes
