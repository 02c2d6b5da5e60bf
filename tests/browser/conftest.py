"""A real browser and a real server for tests that look at pages as a person does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

SERVER = Path(__file__).parents[1] / "serving" / "server_to_stop.py"
NAMES = ("chromium", "chromium-browser", "google-chrome")

REPORT = """<!doctype html><title>Report</title>
<style>@media (prefers-color-scheme: dark) { h1 { color: white } }</style>
<h1>93 % 准确率</h1><script>document.title = "it may run its own script"</script>"""

Open = Callable[..., Page]
PATIENCE_MS = 20_000
"""How long a page may take, for machines are shared: no test measures time."""
NOWHERE: Mapping[str, Any] = MappingProxyType({})


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.fail("no browser was found; install one with: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        opened = playwright.chromium.launch(executable_path=executable, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of the server, with a report in it."""
    path = tmp_path_factory.mktemp("workspace")
    (path / "report.html").write_text(REPORT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def key() -> str:
    """The API key of the server; a module that wants one overrides this."""
    return ""


@pytest.fixture(scope="module")
def address(folder: Path, key: str) -> Iterator[str]:
    """Where a real server answers, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(folder), "console", key],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Open]:
    """Opens pages of the server; fails at the end where a page complained or left the machine."""
    complaints: list[str] = []
    contexts = []

    def open_page(path: str = "/", *, locale: str = "en-US", width: int = 1200) -> Page:
        context = browser.new_context(locale=locale, viewport={"width": width, "height": 860})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complain(message.type, message.text, message.location))
        page.on("pageerror", lambda error: complain("error", str(error)))
        page.on("request", lambda request: check(request.url))
        page.on("websocket", lambda socket: check(socket.url))
        page.goto(address + path)
        return page

    def complain(kind: str, sentence: str, place: Mapping[str, Any] = NOWHERE) -> None:
        if str(place.get("url", "")).endswith("/v1/session"):
            return  # a browser complains of each wrong key
        if kind in ("error", "warning"):
            complaints.append(f"{kind}: {sentence}")

    def check(url: str) -> None:
        here = address.removeprefix("http")
        if not url.startswith(("http" + here, "ws" + here, "data:", "blob:")):
            complaints.append(f"asked another machine: {url}")

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
