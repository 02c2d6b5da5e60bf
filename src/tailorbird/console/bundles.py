"""The pages about bundles: all of them, two compared, and what was live when and why."""

from __future__ import annotations

import asyncio

from fastapi.responses import Response
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request

from tailorbird.console.bundle_facts import BundleFacts, find_bundle, list_bundles
from tailorbird.console.changing import add_changing_pages
from tailorbird.console.comparing import show_comparison
from tailorbird.console.deploying import Deployment, deployments, earlier_bundle
from tailorbird.console.drawing import text
from tailorbird.console.frame import (
    PATH,
    RESPONSE_TIMEOUT_S,
    Console,
    empty_state,
    frame,
    person_of,
)
from tailorbird.console.markup import link, link_out, moment, rate, section, table
from tailorbird.console.pages import page_response
from tailorbird.store import Workspace

BUNDLES = f"{PATH}/bundles"


def add_bundles_pages(console: Console, workspace: Workspace) -> None:
    """Add ``/console/bundles``, comparing, reports, and the pages that change what is live."""
    console.offer("bundles", BUNDLES, place=41)

    @ui.page("/bundles", response_timeout=RESPONSE_TIMEOUT_S)
    async def bundles(request: Request) -> None:
        with frame(console, request, here="bundles", is_wide=True) as words:
            if words is None:
                return
            known = await asyncio.to_thread(list_bundles, workspace)
            past = await asyncio.to_thread(deployments, workspace)
            earlier = await asyncio.to_thread(earlier_bundle, workspace)
            if not known and not past:
                empty_state(
                    words["no_bundles_title"], words["no_bundles_text"], words["no_bundles_command"]
                )
                return
            text(words["bundles_heading"], tag="h1")
            may_change = person_of(request).may("admin")
            _show_live(known, past, earlier if may_change else "", words)
            _show_all(known, words, may_change=may_change)
            _show_history(past, words)

    @ui.page("/bundles/compare", response_timeout=RESPONSE_TIMEOUT_S)
    async def compare(request: Request, first: str = "", second: str = "") -> None:
        with frame(console, request, here="bundles", is_wide=True) as words:
            if words is None:
                return
            known = await asyncio.to_thread(list_bundles, workspace)
            if len(known) < 1:
                empty_state(
                    words["no_bundles_title"], words["no_bundles_text"], words["no_bundles_command"]
                )
                return
            link(f"← {words['bundles_heading']}", BUNDLES, "tb-back")
            text(words["compare_heading"], tag="h1")
            show_comparison(
                known,
                _pair(known, first, second),
                words,
                may_change=person_of(request).may("admin"),
            )

    add_changing_pages(console, workspace)

    @nicegui_app.get("/bundles/{bundle_id}/report.html")
    async def report_of(request: Request, bundle_id: str) -> Response:
        facts = await asyncio.to_thread(find_bundle, workspace, bundle_id)
        path = facts.path / "report.html" if facts is not None and facts.has_page else None
        return page_response(request, path)


def _pair(known: list[BundleFacts], first: str, second: str) -> tuple[BundleFacts, BundleFacts]:
    """The two that were asked for; else the live one, and the newest that is another."""
    by_id = {one.id: one for one in known}
    live = next((one for one in known if one.is_live), known[-1])
    a = by_id.get(first, live)
    other = next((one for one in known if one.id != a.id), a)
    return a, by_id.get(second, other)


def _show_live(
    known: list[BundleFacts], past: list[Deployment], earlier: str, words: dict[str, str]
) -> None:
    live = next((one.record for one in past if one.record.is_live), None)
    if live is None:
        text(words["bundles_none_live"], "tb-note", tag="p")
        return
    facts = next((one for one in known if one.id == live.id), None)
    with ui.element("section").classes("tb-card tb-live").props('data-testid="live"'):
        with ui.element("div"):
            text(words["bundles_live"], "tb-badge", tag="span")
            text(live.id, "tb-id", tag="h2")
            since = words["bundles_now"].format(since=moment(live.since))
            text(f"{since} · {live.reason}", "tb-soft", tag="p")
        with ui.element("div").classes("tb-live-side"):
            text(_accuracy(live.accuracy, words), "tb-figure")
            text(words["bundles_accuracy"], "tb-hint")
        with ui.element("div").classes("tb-links"):
            if facts is not None and facts.has_page:
                link_out(words["bundles_report"], f"{BUNDLES}/{live.id}/report.html", "tb-chip")
            if earlier:
                link(words["bundles_roll_back"], f"{BUNDLES}/rollback", "tb-chip")


def _show_all(known: list[BundleFacts], words: dict[str, str], *, may_change: bool) -> None:
    names = [words[f"bundles_{name}"] for name in ("bundle", "accuracy", "run", "made")]
    label = words["bundles_all"]
    with section(label), table([*names, ""], label=label) as made:
        for one in known:
            with made.row():
                with made.cell("tb-named"):
                    text(one.id, "tb-id", tag="span")
                    if one.is_live:
                        live = text(words["bundles_live"], "tb-status", tag="span")
                        live.props('data-status="done"')
                made.write(_accuracy(one.accuracy, words), "tb-figures")
                with made.cell():
                    if one.run:
                        link(one.run, f"{PATH}/runs/{one.run}")
                made.write(moment(one.made), "tb-figures")
                with made.cell("tb-actions"):
                    if not one.is_live:
                        target = f"{BUNDLES}/compare?second={one.id}"
                        link(words["bundles_compare_live"], target)
                        if may_change:
                            link(words["bundles_promote"], f"{BUNDLES}/promote?bundle={one.id}")
                    elif one.has_page:
                        link_out(words["bundles_report"], f"{BUNDLES}/{one.id}/report.html")


def _show_history(past: list[Deployment], words: dict[str, str]) -> None:
    if not past:
        return
    names = ("since", "until", "bundle", "action", "reason", "who")
    headings = [words[f"bundles_{name}"] for name in names]
    label = words["bundles_history"]
    with section(label), table(headings, label=label) as made:
        for one in past:
            record = one.record
            until = words["bundles_until_now"] if record.until is None else moment(record.until)
            action = "bundles_publish" if record.action == "publish" else "bundles_rolled"
            with made.row():
                made.write(moment(record.since), "tb-figures")
                made.write(until, "tb-figures")
                made.write(record.id, "tb-id")
                made.write(words[action], "tb-figures")
                made.write(record.reason, "tb-reason")
                made.write(one.who or words["bundles_who_unknown"], "tb-figures")


def _accuracy(accuracy: float | None, words: dict[str, str]) -> str:
    return words["bundles_unknown_accuracy"] if accuracy is None else rate(accuracy)
