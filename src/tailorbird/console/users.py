"""The page about users: what each of them gets, and whether it helps."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import Response
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request

from tailorbird.console.frame import PATH, Console, empty_state, frame
from tailorbird.console.pages import page_response, show_page

FILE_NAME = "personalise.html"


def latest_page(runs: Path | None) -> Path | None:
    """The page of the latest run that was personalised; run names sort by time."""
    if runs is None or not runs.is_dir():
        return None
    found = sorted(runs.glob(f"*/{FILE_NAME}"))
    return found[-1] if found else None


def add_users_page(console: Console) -> None:
    """Add ``/console/users`` and the page that it frames."""
    runs = console.workspace.runs_path if console.workspace else None
    console.offer("users", f"{PATH}/users", place=43)

    @ui.page("/users")
    async def users(request: Request) -> None:
        with frame(console, request, here="users") as words:
            if words is None:
                return
            if latest_page(runs) is None:
                empty_state(
                    words["no_users_title"], words["no_users_text"], words["no_users_command"]
                )
                return
            show_page(request, words, "users")

    @nicegui_app.get("/users.html")
    async def users_page(request: Request) -> Response:
        return page_response(request, latest_page(runs))
