"""A web server that answers what a test says, and a clock that a test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Reply = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""


class Now:
    """A clock of moments."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def move(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


@dataclass
class Site:
    """What lies at each path, and who asked for it how."""

    url: str
    pages: dict[str, Reply | Callable[[str, Mapping[str, str]], Reply]] = field(
        default_factory=dict
    )
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def has(self, path: str, body: str | bytes, **headers: str) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.pages[path] = (200, {k.replace("_", "-"): v for k, v in headers.items()}, content)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.asked.append((self.path, headers))
            page = made.pages.get(self.path) or made.pages.get(self.path.partition("?")[0])
            if callable(page):
                page = page(self.path, headers)
            status, sent, body = page or (404, {}, b"")
            self.send_response(status)
            for name, value in sent.items():
                self.send_header(name, value)
            if not any(name.lower() == "content-length" for name in sent):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()
