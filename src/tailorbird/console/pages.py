"""Pages of their own, as reports are, shown inside the console."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import HTMLResponse, Response
from nicegui import ui
from starlette.exceptions import HTTPException
from starlette.requests import Request

from tailorbird.console.drawing import text
from tailorbird.console.frame import PATH, colours_of_visitor, language_of_visitor, person_of

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "font-src data:; frame-ancestors 'self'; sandbox allow-scripts allow-popups"
)
"""A report is a self-contained page of its own: it can reach neither the net nor the console."""


def show_page(request: Request, words: dict[str, str], name: str) -> None:
    """The page ``/console/NAME.html`` in a frame, under the heading ``NAME_heading``."""
    address = f"{PATH}/{name}.html?lang={language_of_visitor(request)}"
    heading = words[f"{name}_heading"]
    with ui.element("div").classes("tb-report-head"):
        text(heading, tag="h1")
        text(words["open_report"], "tb-link", tag="a").props(
            f'href="{address}" target="_blank" rel="noopener"'
        )
    ui.element("iframe").classes("tb-report").props(f'src="{address}" title="{heading}"')


def page_response(request: Request, path: Path | None) -> Response:
    """The file at *path* for who may use the console, kept from net and console."""
    if path is None or not person_of(request).may("agent"):
        raise HTTPException(404)
    return HTMLResponse(
        _in_colours(path.read_text(encoding="utf-8"), colours_of_visitor()),
        headers={"Content-Security-Policy": REPORT_POLICY, "Cache-Control": "no-cache"},
    )


def _in_colours(page: str, is_dark: bool | None) -> str:
    """The page as a system of these colours would show it; None leaves that to the system.

    >>> _in_colours("@media (prefers-color-scheme: dark) { … }", True)
    '@media all { … }'
    """
    if is_dark is None:
        return page
    answer = "all" if is_dark else "not all"
    return page.replace("(prefers-color-scheme: dark)", answer).replace(
        'name="color-scheme" content="light dark"',
        f'name="color-scheme" content="{"dark" if is_dark else "light"}"',
    )
