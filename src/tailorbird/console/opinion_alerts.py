"""Alerts with their story: what rose, since when, which texts say why, and what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from tailorbird.assistants.opinion.alert_list import (
    OPEN,
    Told,
    explaining,
    lift,
    list_alerts,
    list_silences,
)
from tailorbird.assistants.opinion.figures import Subject, Timeline, read_timeline
from tailorbird.assistants.opinion.finding import Found, read_posts
from tailorbird.assistants.opinion.watching.handling import acknowledge, is_silent, silence
from tailorbird.assistants.opinion.watching.wording import sentence
from tailorbird.console.acting import Said, button
from tailorbird.console.drawing import text
from tailorbird.console.frame import PATH
from tailorbird.console.markup import link, moment
from tailorbird.console.opinion_chart import options
from tailorbird.console.opinion_posts import sentiment
from tailorbird.serving.access import Person
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, AlertStatus, DeliveryRow, SilenceRow, utc_now
from tailorbird.text import shorten

REFRESH_S = 15.0
N_CHARTS = 12
"""So many alerts are drawn; older ones are told in words alone."""
AROUND = timedelta(days=2)
WINDOW = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Shown:
    """An alert with what is drawn and quoted of it."""

    told: Told
    posts: list[Found]
    timeline: Timeline | None
    silence: SilenceRow | None


class AlertsPage:
    """The alerts of one visitor."""

    def __init__(self, workspace: Workspace, person: Person, words: dict[str, str]) -> None:
        self._workspace = workspace
        self._person = person
        self._words = words
        self._said = Said(words)
        self._shown: list[Shown] = []
        self._statuses: tuple[AlertStatus, ...] = OPEN

    async def build(self, which: str) -> None:
        """Put everything on the page: the open alerts, or all."""
        words = self._words
        self._statuses = () if which == "all" else OPEN
        self._shown = await asyncio.to_thread(self._read)
        self._list = ui.refreshable(self._show)
        text(words["opinion_alerts_lead"], "tb-lead tb-soft", tag="p")
        with (
            ui.element("div").classes("tb-choices"),
            ui.element("div").classes("tb-segments").props('role="group"'),
        ):
            for name in ("open", "all"):
                target = f"{PATH}/opinion/alerts?which={name}"
                one = link(words[f"opinion_show_{name}"], target, "tb-segment")
                if (name == "all") == (not self._statuses):
                    one.props('aria-current="true"')
        self._said.build()
        with ui.element("div"):
            self._list()
        ui.timer(REFRESH_S, self._refresh, immediate=False)

    def _read(self) -> list[Shown]:
        silences = list_silences(self._workspace)
        return [
            Shown(
                told,
                read_posts(self._workspace, explaining(told.alert.story)),
                self._around(told.alert) if place < N_CHARTS else None,
                next((one for one in silences if is_silent(told.alert, [one])), None),
            )
            for place, told in enumerate(list_alerts(self._workspace, statuses=self._statuses))
        ]

    def _around(self, alert: AlertRow) -> Timeline:
        return read_timeline(
            self._workspace,
            Subject(alert.topic, alert.entity),
            since=alert.since - AROUND,
            until=min(alert.until, alert.since + 5 * AROUND) + AROUND / 4,
            window=WINDOW,
        )

    async def _refresh(self) -> None:
        shown = await asyncio.to_thread(self._read)
        if _state(shown) != _state(self._shown):
            self._shown = shown
            self._list.refresh()

    def _show(self) -> None:
        words = self._words
        if not self._shown:
            with ui.element("section").classes("tb-card tb-quiet"):
                text(words["opinion_no_alerts"], tag="h2")
                text(words["opinion_no_alerts_text"], "tb-soft", tag="p")
            return
        for shown in self._shown:
            self._show_alert(shown)

    def _show_alert(self, shown: Shown) -> None:
        words, alert = self._words, shown.told.alert
        card = ui.element("article").classes("tb-card tb-alert")
        card.props(f'data-testid="alert" data-level="{alert.level}" data-status="{alert.status}"')
        with card:
            with ui.element("div").classes("tb-post-head"):
                level = words.get(f"opinion_level_{alert.level}", alert.level)
                text(level, "tb-level", tag="span").props(f'data-level="{alert.level}"')
                text(words[f"opinion_status_{alert.status}"], "tb-hint", tag="span")
                if alert.acknowledged_by:
                    by = words["opinion_by"].format(who=alert.acknowledged_by)
                    text(by, "tb-hint", tag="span")
            subject = {"entity": alert.entity, "topic": alert.topic}
            wanted = {key: value for key, value in subject.items() if value}
            name = subject_of(alert) or words["opinion_everything"]
            with ui.element("h2"):
                address = f"{PATH}/opinion?{urlencode(wanted | {'back': '30d'})}"
                link(name, address, "tb-in-text")
            self._show_story(alert)
            if shown.timeline is not None:
                ui.echart(options(shown.timeline, words, [alert]), renderer="svg").classes(
                    "tb-chart tb-chart-small"
                )
            self._show_texts(shown.posts)
            self._show_deliveries(shown.told.deliveries)
            self._show_buttons(shown)

    def _show_story(self, alert: AlertRow) -> None:
        words = self._words
        text(sentence(alert, words["opinion_language"]), "tb-story", tag="p")
        if found := alert.story.get("words"):
            with ui.element("div").classes("tb-tags"):
                for word in found:
                    text(str(word), "tb-tag", tag="span")
        if alert.group and alert.group != alert.id:
            first = next(
                (s.told.alert for s in self._shown if s.told.alert.id == alert.group), None
            )
            if first is not None:
                what = subject_of(first)
                text(words["opinion_group"].format(what=what), "tb-hint", tag="p")

    def _show_texts(self, posts: list[Found]) -> None:
        if not posts:
            return
        words = self._words
        text(words["opinion_explains"], "tb-label")
        with ui.element("ul").classes("tb-explaining"):
            for found in posts:
                with ui.element("li"):
                    sentiment(found.post.sentiment, words)
                    text(shorten(found.post.text, 220), tag="span")
                    about = f"{moment(found.post.time)} UTC · {found.post.source}"
                    text(about, "tb-hint", tag="span")

    def _show_deliveries(self, deliveries: tuple[DeliveryRow, ...]) -> None:
        for one in deliveries:
            text(delivery(one, self._words), "tb-hint", tag="p")

    def _show_buttons(self, shown: Shown) -> None:
        words, alert = self._words, shown.told.alert
        if alert.status == "closed":
            return
        with ui.element("div").classes("tb-form-foot"):
            if alert.status == "new":
                button(words["opinion_acknowledge"], partial(self._acknowledge, alert))
            if shown.silence is not None:
                until = words["opinion_silenced"].format(until=moment(shown.silence.until))
                text(until, "tb-hint", tag="span")
                end = partial(self._do, partial(lift, self._workspace, shown.silence.id))
                button(words["opinion_lift"], end, "tb-small-link")
                return
            for days in (1, 7):
                do = partial(self._silence, alert, timedelta(days=days))
                button(words[f"opinion_silence_{days}"], do, "tb-small-link")

    async def _acknowledge(self, alert: AlertRow) -> None:
        await self._do(partial(acknowledge, self._workspace, alert.id, by=self._person.name))

    async def _silence(self, alert: AlertRow, length: timedelta) -> None:
        ask = partial(silence, topic=alert.topic, entity=alert.entity, until=utc_now() + length)
        await self._do(partial(ask, self._workspace, author=self._person.name))

    async def _do(self, act: Callable[[], Any]) -> None:
        await self._said.attempt(asyncio.to_thread(act))
        self._shown = await asyncio.to_thread(self._read)
        self._list.refresh()


def subject_of(alert: AlertRow) -> str:
    """What an alert is about."""
    return " · ".join(filter(None, (alert.entity, alert.topic)))


def delivery(row: DeliveryRow, words: dict[str, str]) -> str:
    """What became of telling one channel."""
    if row.arrived is not None:
        return words["opinion_told"].format(channel=row.channel, time=moment(row.arrived))
    if row.error:
        return words["opinion_not_told"].format(
            channel=row.channel, n=row.n_tries, error=shorten(row.error, 160)
        )
    return words["opinion_to_be_told"].format(channel=row.channel)


def _state(shown: list[Shown]) -> list[Any]:
    return [
        (
            one.told.alert.id,
            one.told.alert.status,
            one.told.alert.level,
            one.told.alert.until,
            one.silence and one.silence.id,
            [(row.channel, row.n_tries, row.arrived) for row in one.told.deliveries],
        )
        for one in shown
    ]
