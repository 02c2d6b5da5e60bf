"""``/widget.js``, the chat for any page, and ``/widget``, a page to try it on."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request

FOLDER = Path(__file__).parent
PAGE = Environment(loader=FileSystemLoader(FOLDER), autoescape=True)


def widget_routes() -> APIRouter:
    """The two routes; neither needs a key, and neither tells anything about the workspace.

    The script may be shown by pages of every site; whether it may talk is for ``access.origins``
    and ``serving.public_chat``.
    """
    routes = APIRouter(include_in_schema=False)
    script = (FOLDER / "widget.js").read_bytes()
    tag = f'"{hashlib.sha256(script).hexdigest()[:16]}"'

    @routes.get("/widget.js")
    async def widget_script(request: Request) -> Response:
        headers = {
            "Cache-Control": "no-cache",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "ETag": tag,
        }
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(script, media_type="text/javascript; charset=utf-8", headers=headers)

    @routes.get("/widget")
    async def widget_page(request: Request, lang: str = "", theme: str = "auto") -> Response:
        wanted = lang or request.headers.get("accept-language", "")
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'self'; style-src 'nonce-{nonce}'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'self'"
        )
        page = PAGE.get_template("widget.html").render(
            language="zh" if wanted.lower().startswith("zh") else "en",
            theme=theme if theme in ("light", "dark") else "auto",
            address=str(request.base_url).rstrip("/"),
            nonce=nonce,
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    return routes
