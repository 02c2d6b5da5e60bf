"""The page about recommendation as people use it, in a real browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SERVER = Path(__file__).with_name("recommend_server.py")
Visit = Callable[..., Page]
LEARNER = "u-of-the-test"


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """A real server with the sample shop."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


def post(address: str, path: str, body: object) -> None:
    request = urllib.request.Request(
        address + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 200


def test_a_list_stands_beside_what_led_to_it(visit: Visit) -> None:
    page = visit("/console/recommend?user=u017")
    expect(page).to_have_title(re.compile("Recommend"))
    expect(page.get_by_test_id("did").first).to_be_visible()
    offers = page.get_by_test_id("offer")
    expect(offers).to_have_count(12)
    expect(offers.first).to_contain_text("Because you liked “")


def test_what_is_imagined_changes_the_list_and_is_taken_back(visit: Visit) -> None:
    page = visit("/console/recommend")
    page.get_by_role("button", name="Somebody new").click()
    expect(page.get_by_text("Nothing yet, so they are shown what many like.")).to_be_visible()
    first = page.get_by_test_id("offer").first
    expect(first).to_contain_text("Many like it just now")
    first.get_by_role("button", name="What if they took it?").click()
    expect(page.locator("[data-imagined]")).to_have_count(1)
    expect(page.get_by_test_id("offer").nth(1)).to_contain_text("Because you liked “")
    page.get_by_role("button", name="Take back what was imagined").click()
    expect(page.locator("[data-imagined]")).to_have_count(0)
    expect(page.get_by_test_id("offer").first).to_contain_text("Many like it just now")


def test_a_posted_event_is_in_the_next_look(visit: Visit, address: str) -> None:
    page = visit("/console/recommend")
    field = page.get_by_role("textbox", name="A user, as your own system calls them")
    field.fill(LEARNER)
    field.press("Enter")
    expect(page.get_by_text("Nothing yet, so they are shown")).to_be_visible()
    event = {"user": LEARNER, "item": "i100", "kind": "purchase"}
    post(address, "/v1/events", {"events": [event]})
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_test_id("did")).to_have_count(1)
    expect(page.get_by_test_id("did")).to_contain_text("bought")


def test_dials_are_turned_by_keyboard_and_drawn_positions_say_how_likely(visit: Visit) -> None:
    page = visit("/console/recommend?user=u017")
    dial = page.get_by_role("slider", name="Diversity")
    dial.focus()
    dial.press("ArrowRight")
    expect(page.locator(".tb-dial .tb-number")).to_have_text("0.25")
    expect(page.locator(".tb-drawn")).to_have_count(0)
    page.get_by_role("checkbox", name="Draw some positions").check()
    expect(page.locator(".tb-drawn")).to_have_count(2)
    expect(page.locator(".tb-drawn").first).to_contain_text("%")


def test_in_chinese_and_on_a_telephone_it_fits(visit: Visit) -> None:
    page = visit("/console/recommend?user=u017", locale="zh-CN", width=390)
    expect(page.get_by_role("heading", name="个性化推荐")).to_be_visible()
    expect(page.get_by_test_id("offer").first).to_contain_text("因为您喜欢“")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="新来的人").click()
    expect(page.get_by_test_id("offer").first).to_contain_text("最近很受欢迎")
