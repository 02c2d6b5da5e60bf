"""Which words made it that intent, as a person sees it in a real browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SOON_MS = 60_000
"""Words are weighed after everything that has to be answered; on a busy machine that takes."""
SERVER = Path(__file__).with_name("why_server.py")
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with a bundle that was tuned."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(tmp_path_factory.mktemp("workspace"))],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


def ask(page: Page, text: str) -> None:
    page.get_by_role("textbox").fill(text)
    page.get_by_role("textbox").press("Enter")


def words_of(page: Page) -> list[str]:
    return page.get_by_test_id("weighed").locator(".tb-word").all_inner_texts()


def test_words_are_coloured_with_a_legend_and_numbers_on_hover(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit("/console/try")
    ask(page, "where is my parcel please")
    expect(page.get_by_test_id("intent")).to_have_text("parcel", timeout=SOON_MS)
    expect(page.get_by_text("Which words speak for parcel")).to_be_visible(timeout=SOON_MS)
    assert words_of(page) == ["where", "is", "my", "parcel", "please"]
    parcel = page.get_by_test_id("weighed").get_by_text("parcel", exact=True)
    expect(parcel).to_have_class("tb-word tb-for")
    assert "+" in str(parcel.get_attribute("title"))
    assert "nats" in str(parcel.get_attribute("title"))
    colour = parcel.evaluate("one => getComputedStyle(one).backgroundColor")
    assert colour not in ("rgba(0, 0, 0, 0)", "transparent")
    expect(page.get_by_test_id("legend")).to_contain_text("speaks against it")
    expect(page.get_by_test_id("legend")).to_contain_text("speaks for it")
    expect(page.get_by_test_id("nearest").get_by_role("listitem")).to_have_count(5)
    expect(page.get_by_test_id("nearest")).to_contain_text("parcel")
    page.screenshot(path=tmp_path / "why.png", full_page=True)
    assert (tmp_path / "why.png").stat().st_size > 10_000


def test_chinese_words_are_weighed_too_and_told_in_chinese(visit: Visit) -> None:
    page = visit("/console/try", locale="zh-CN")
    ask(page, "想查 我的 退款")
    expect(page.get_by_text("哪些词支持“refund”")).to_be_visible(timeout=SOON_MS)
    assert "".join(words_of(page)) == "想查我的退款"
    page.get_by_role("button", name="EN").click()  # which loads the page anew
    expect(page.get_by_text("Which words speak for refund")).to_be_visible(timeout=SOON_MS)


def test_markup_in_a_question_stays_text(visit: Visit) -> None:
    page = visit("/console/try")
    ask(page, '<img src=x onerror=alert(1)> "parcel" & more')
    expect(page.get_by_test_id("weighed")).to_contain_text("<img", timeout=SOON_MS)
    assert page.locator("main img").count() == 0


def test_an_agent_sees_which_words_made_it_that(visit: Visit, address: str) -> None:
    def post(path: str, **body: Any) -> Any:
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(address + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    opened = post("/v1/conversations", user="li.lei")["id"]
    post(f"/v1/conversations/{opened}/turns", text="please give me the refund")
    page = visit(f"/console/desk?conversation={opened}")
    page.get_by_role("button", name="Which words made it that?").click()
    expect(page.get_by_test_id("weighed")).to_contain_text("refund", timeout=SOON_MS)
    assert words_of(page) == ["please", "give", "me", "the", "refund"]
    expect(page.get_by_test_id("nearest")).to_be_visible()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_it_fits_a_phone(visit: Visit, colours: Any, tmp_path: Path) -> None:
    page = visit("/console/try", width=390)
    page.emulate_media(color_scheme=colours)
    ask(page, "where is my parcel, I want my money back, " * 4)
    expect(page.get_by_test_id("legend")).to_be_visible(timeout=SOON_MS)
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
