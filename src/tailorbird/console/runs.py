"""The pages about runs: all of them, and one with its curves while it is being tuned."""

from __future__ import annotations

import asyncio

from fastapi.responses import Response
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request

from tailorbird.console.curves import loss_plot, metric_names, metric_plot
from tailorbird.console.drawing import text
from tailorbird.console.frame import PATH, RESPONSE_TIMEOUT_S, Console, empty_state, frame
from tailorbird.console.markup import duration, link, link_out, moment, rate, section, table
from tailorbird.console.pages import page_response
from tailorbird.console.run_facts import (
    Curve,
    Listed,
    RunFacts,
    Stage,
    curve_of,
    list_runs,
    page_of_run,
    read_run,
    took_s,
)
from tailorbird.store import Workspace
from tailorbird.store.tables import utc_now

POLL_S = 1.0


def add_runs_pages(console: Console, workspace: Workspace) -> None:
    """Add ``/console/runs``, ``/console/runs/NAME`` and the pages that a run holds."""
    console.offer("runs", f"{PATH}/runs", place=40)

    @ui.page("/runs", response_timeout=RESPONSE_TIMEOUT_S)
    async def runs(request: Request) -> None:
        with frame(console, request, here="runs", is_wide=True) as words:
            if words is None:
                return
            listed, n_all = await asyncio.to_thread(list_runs, workspace)
            if not listed:
                empty_state(words["no_runs_title"], words["no_runs_text"], words["no_runs_command"])
                return
            _list(listed, n_all, words)

    @ui.page("/runs/{name}", response_timeout=RESPONSE_TIMEOUT_S)
    async def run(request: Request, name: str) -> None:
        with frame(console, request, here="runs", is_wide=True) as words:
            if words is None:
                return
            facts = await asyncio.to_thread(read_run, workspace, name)
            if facts is None:
                empty_state(words["not_found"], words["not_found_text"])
                return
            page = RunPage(workspace, facts, words)
            await page.build()

    @nicegui_app.get("/runs/{name}/{page}.html")
    async def page_of(request: Request, name: str, page: str) -> Response:
        path = await asyncio.to_thread(page_of_run, workspace, name, page)
        return page_response(request, path)


class RunPage:
    """One run; looked at again each second for as long as it is running."""

    def __init__(self, workspace: Workspace, facts: RunFacts, words: dict[str, str]) -> None:
        self._workspace = workspace
        self._facts = facts
        self._words = words
        self._curve: Curve = curve_of(facts)

    async def build(self) -> None:
        """Put everything on the page."""
        words, row = self._words, self._facts.row
        link(f"← {words['runs_back']}", f"{PATH}/runs", "tb-back")
        text(row.name, "tb-run-name", tag="h1")
        await asyncio.to_thread(self._curve.read_on)
        self._state = ui.refreshable(self._show_state)
        self._learning = ui.refreshable(self._show_curves)
        self._decisions = ui.refreshable(self._show_decisions)
        for part in (self._state, self._learning, self._decisions):
            with ui.element("div"):
                part()
        if self._facts.is_running:
            self._timer = ui.timer(POLL_S, self._look, immediate=False)

    async def _look(self) -> None:
        """Read on; draw only what has changed."""
        if await asyncio.to_thread(self._curve.read_on):
            self._learning.refresh()
        before = self._facts
        facts = await asyncio.to_thread(read_run, self._workspace, before.row.name)
        if facts is None:  # the row is gone, and with it the run
            self._timer.deactivate()
            return
        self._facts = facts
        self._state.refresh()  # at least the time has changed
        if facts.stages != before.stages:
            self._decisions.refresh()
        if not facts.is_running:
            self._timer.deactivate()

    def _show_state(self) -> None:
        words, facts = self._words, self._facts
        row = facts.row
        with ui.element("div").classes("tb-facts"):
            _status(row.status, words)
            text(row.source, "tb-source", tag="span")
            text(f"{moment(row.created)} UTC", tag="span")
            text(duration(took_s(row, utc_now())), tag="span")
        if row.note:
            text(row.note, "tb-note", tag="p")
        _stages(facts.stages, words)
        if facts.pages or facts.bundle:
            with ui.element("div").classes("tb-links"):
                for page in facts.pages:
                    link_out(
                        words[f"page_{page}"], f"{PATH}/runs/{row.name}/{page}.html", "tb-chip"
                    )
                if facts.bundle:
                    name = f"{words['runs_bundle']} {facts.bundle}"
                    link(name, f"{PATH}/bundles/compare?second={facts.bundle}", "tb-chip")

    def _show_curves(self) -> None:
        words, rows = self._words, self._curve.rows
        if not rows and not self._facts.is_running:
            return
        with section(words["runs_curves"]):
            loss = loss_plot(rows, words["runs_step"]) if rows else ""
            if not loss:
                text(words["runs_no_curve"], "tb-soft tb-quiet-line", tag="p")
                return
            last = rows[-1]
            speed = last["n_tokens"] / last["elapsed_s"] if last["elapsed_s"] else 0.0
            progress = words["runs_progress"].format(
                step=f"{last['step']:,}",
                n_steps=f"{last['n_steps']:,}",
                speed=f"{speed:,.0f}",
                elapsed=duration(last["elapsed_s"]),
            )
            text(progress, "tb-hint").props('data-testid="progress"')
            with ui.element("div").classes("tb-plots"):
                keys = [(words["runs_train"], "right"), (words["runs_validation"], "wrong")]
                _plot(words["runs_loss"], "curve-loss", keys, loss)
                metrics = metric_plot(rows, words["runs_step"])
                if metrics:
                    names = [words.get(f"compare_{one}", one) for one in metric_names(rows)]
                    keys = list(zip(names, ("right", "wrong"), strict=False))
                    _plot(words["runs_metrics"], "curve-metrics", keys, metrics)

    def _show_decisions(self) -> None:
        words = self._words
        with section(words["runs_why"]):
            told = [stage for stage in self._facts.stages if stage.decisions]
            if not told:
                text(words["runs_no_why"], "tb-soft tb-quiet-line", tag="p")
            for stage in told:
                with ui.element("div").classes("tb-decided"):
                    text(words[f"stage_{stage.name}"], "tb-label", tag="h3")
                    with ui.element("ul"):
                        for decision in stage.decisions:
                            with ui.element("li"):
                                _decision(decision)


def _list(listed: list[Listed], n_all: int, words: dict[str, str]) -> None:
    text(words["runs_heading"], tag="h1")
    names = ("name", "status", "source", "begun", "took", "accuracy")
    headings = [words[f"runs_{name}"] for name in names]
    with table(headings, label=words["runs_heading"]) as made:
        for one in listed:
            row = one.row
            with made.row():
                with made.cell():
                    link(row.name, f"{PATH}/runs/{row.name}")
                with made.cell():
                    _status(row.status, words)
                made.write(row.source, "tb-source")
                made.write(moment(row.created), "tb-figures")
                made.write(duration(took_s(row, utc_now())), "tb-figures")
                made.write(rate(one.accuracy), "tb-figures")
    if n_all > len(listed):
        shown = words["runs_more"].format(n=len(listed), of=f"{n_all:,}")
        text(shown, "tb-hint tb-below", tag="p")


def _status(status: str, words: dict[str, str]) -> None:
    badge = text(words.get(f"runs_{status}", status), "tb-status", tag="span")
    badge.props(f'data-status="{status}"')


def _stages(stages: tuple[Stage, ...], words: dict[str, str]) -> None:
    if not stages:
        return
    with ui.element("ol").classes("tb-stages").props(f'aria-label="{words["runs_stages"]}"'):
        for stage in stages:
            item = ui.element("li").props(f'data-state="{stage.state}"')
            if stage.state == "now":
                item.props('aria-current="step"')
            with item:
                text(words[f"stage_{stage.name}"], tag="span")
                text(words[f"stage_is_{stage.state}"], "tb-unseen", tag="span")


def _plot(heading: str, label: str, keys: list[tuple[str, str]], drawing: str) -> None:
    """A drawing with its heading, which names it, and the colours of its lines."""
    with ui.element("figure").classes("tb-plot tb-card"):
        with ui.element("figcaption"):
            text(heading, tag="span").props(f'id="{label}"')
            for name, kind in keys:
                text(name, f"tb-key {kind}", tag="span")
        ui.html(drawing, sanitize=False)


def _decision(sentence: str) -> None:
    """``what: value (reason)``, the first part marked."""
    what, colon, rest = sentence.partition(": ")
    if not colon:
        text(sentence, tag="span")
        return
    text(what, "tb-what", tag="span")
    text(rest, tag="span")
