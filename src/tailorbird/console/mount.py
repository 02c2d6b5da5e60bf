"""Puts the console on the app: the pages, the secret that signs cookies, the folder they use.

NiceGUI is one per process: the console mounted last is the one that every app of the process
shows. A service has one app; only tests make several.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Protocol, runtime_checkable

from fastapi import FastAPI
from fastapi.responses import Response
from nicegui import app as nicegui_app
from nicegui import ui
from nicegui.storage import Storage
from starlette.requests import Request

from tailorbird.assistants.opinion import OpenOpinion
from tailorbird.assistants.recommend import Recommender
from tailorbird.assistants.service_desk import ServiceDesk
from tailorbird.console.ask import add_ask_page
from tailorbird.console.bundles import add_bundles_pages
from tailorbird.console.desk import add_desk_page
from tailorbird.console.frame import LEAF, PATH, Console, empty_state, frame
from tailorbird.console.knowledge import add_knowledge_pages
from tailorbird.console.opinion import add_opinion_pages
from tailorbird.console.overview import add_overview_page
from tailorbird.console.pages import page_response, show_page
from tailorbird.console.recommend import add_recommend_page
from tailorbird.console.review import add_review_page
from tailorbird.console.rules import add_rules_page
from tailorbird.console.runs import add_runs_pages
from tailorbird.console.users import add_users_page
from tailorbird.knowledge import KnowledgeBase
from tailorbird.serving import Service
from tailorbird.serving.sessions import secret_in
from tailorbird.store import Workspace

OF_NICEGUI = "/_nicegui"
CONSOLE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'"
)
"""Vue compiles templates in the browser, so the console cannot do without inline scripts; but
nothing may come from, or go to, another host."""


@runtime_checkable
class HasFolder(Protocol):
    """A predictor that lives in a folder, as a Bundle does, may have a report there."""

    path: Path


def mount_console(
    app: FastAPI,
    service: Service,
    workspace: Workspace | None = None,
    *,
    desk: ServiceDesk | None = None,
    knowledge: KnowledgeBase | None = None,
    opinion: OpenOpinion | None = None,
    recommender: Recommender | None = None,
) -> None:
    """Mount the console at ``/console``.

    The *workspace* keeps its secret and each visitor's choices, and what most pages are about;
    without one there are fewer pages, and choices last as long as the process. *desk* is what
    serves ``/v1/conversations`` in this process, *knowledge* what it answers from; the pages about
    what is None say that it is not there. *opinion* is what ``/v1/opinion`` speaks of,
    *recommender* what ``/v1/recommend`` asks; without them they have no pages.
    """
    folder = workspace.path / "console" if workspace else None
    folder = folder or Path(tempfile.mkdtemp(prefix="tailorbird-console-"))
    console = Console(service, secret_in(folder), workspace)
    Storage.path = folder
    _forget_pages()
    if workspace is not None:
        add_overview_page(console, workspace)
        add_runs_pages(console, workspace)
        add_bundles_pages(console, workspace)
        add_desk_page(console, desk)
        add_review_page(console, desk)
        add_knowledge_pages(console, knowledge)
        add_rules_page(console, workspace)
    if opinion is not None:
        add_opinion_pages(console, opinion)
    if recommender is not None:
        add_recommend_page(console, recommender)
    add_ask_page(console, is_first=workspace is None)
    _add_report_page(console)
    add_users_page(console)
    console.offer("api", "/docs", place=60, role="visitor")
    # At its start NiceGUI looks at every object in memory; touching this one of torch's warns.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.reduce_op`", FutureWarning)
    ui.run_with(
        app,
        mount_path=PATH,
        title="Tailorbird 缝叶莺",
        favicon=LEAF.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ').replace(
            'class="leaf-back"', 'fill="#4f9143"'
        ),
        dark=None,
        tailwind=False,
        reconnect_timeout=20,
        storage_secret=console.secret,
        session_middleware_kwargs={"session_cookie": "tailorbird", "same_site": "strict"},
        show_welcome_message=False,
    )


def report_of(service: Service) -> Path | None:
    """The report page of the live bundle, where it has one."""
    predictor = service.engine.predictor
    path = predictor.path / "report.html" if isinstance(predictor, HasFolder) else None
    return path if path is not None and path.is_file() else None


def _forget_pages() -> None:
    """Take away what an earlier app of this process left, which NiceGUI does not expect."""
    nicegui_app.user_middleware.clear()
    nicegui_app.middleware_stack = None
    nicegui_app.routes[:] = [
        route
        for route in nicegui_app.routes
        if getattr(route, "path", OF_NICEGUI).startswith(OF_NICEGUI)
    ]


def _add_report_page(console: Console) -> None:
    service = console.service
    console.offer("report", f"{PATH}/report", place=42)

    @ui.page("/report")
    async def report(request: Request) -> None:
        with frame(console, request, here="report") as words:
            if words is None:
                return
            if report_of(service) is None:
                empty_state(words["no_report_title"], words["no_report_text"])
                return
            show_page(request, words, "report")

    @nicegui_app.get("/report.html")
    async def report_page(request: Request) -> Response:
        return page_response(request, report_of(service))
