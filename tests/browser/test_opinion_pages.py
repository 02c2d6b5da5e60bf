"""What is said in public, as agents and admins look at it, in a real browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SERVER = Path(__file__).with_name("opinion_server.py")
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """A real server with five weeks of posts."""
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


def test_a_column_of_the_timeline_leads_to_the_texts_behind_it(visit: Visit) -> None:
    page = visit("/console/opinion?back=30d&entity=Riceglow S7")
    expect(page.get_by_test_id("chosen-entity")).to_contain_text("Riceglow S7")
    chart = page.get_by_role("img", name=re.compile("negative; most in one window"))
    bars = chart.locator('path[fill="var(--said-bad)"]')
    expect(bars.first).to_be_visible()
    heights = bars.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    bars.nth(heights.index(max(heights))).click()
    expect(page.get_by_role("heading", name=re.compile("^Texts of .* UTC"))).to_be_visible()
    posts = page.get_by_test_id("post")
    expect(posts).to_have_count(20)
    page.get_by_role("group", name="Sentiment").get_by_role("button", name="Positive").click()
    expect(posts.first).to_contain_text("Positive")
    page.get_by_role("button", name="Show all again").click()
    expect(page.get_by_role("heading", name="Texts", exact=True)).to_be_visible()
    page.get_by_role("link", name="safety").click()
    expect(page.get_by_test_id("chosen-topic")).to_contain_text("safety")


def test_a_correction_is_kept_and_told_of(visit: Visit) -> None:
    page = visit("/console/opinion?topic=management")
    post = page.get_by_test_id("post").first
    post.get_by_role("button", name="Correct").click()
    whole = post.get_by_role("group", name="Whole text")
    whole.get_by_role("button", name="Neutral").click()
    expect(whole.get_by_role("button", name="Neutral")).to_have_attribute("aria-pressed", "true")
    field = post.get_by_role("combobox", name="Topics").or_(post.get_by_label("Topics")).first
    field.fill("management, works council")
    post.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Kept. It holds at once")).to_be_visible()
    expect(post).to_contain_text("works council")
    expect(post).to_contain_text("corrected by local")
    page.reload()
    expect(page.get_by_test_id("post").first).to_contain_text("corrected by local")


def test_alerts_tell_what_rose_and_which_texts_say_why(visit: Visit) -> None:
    page = visit("/console/opinion/alerts?which=all", locale="zh-CN")
    alert = page.get_by_test_id("alert").filter(has_text="Riceglow S7").first
    expect(alert).to_contain_text("条负面信息")
    expect(alert.get_by_text("大家怎么说")).to_be_visible()
    expect(alert.locator("li")).to_have_count(5)
    expect(page.get_by_text("已通知 ops")).to_be_visible()
    page.get_by_role("link", name="未关闭", exact=True).click()
    expect(page.get_by_role("link", name="未关闭", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    expect(page.get_by_test_id("alert").filter(has_text="Riceglow S7")).to_have_count(0)


def test_a_proposed_topic_gets_its_name(visit: Visit) -> None:
    page = visit("/console/opinion/topics")
    proposal = page.get_by_test_id("proposal")
    expect(proposal).to_contain_text("packaging")
    proposal.get_by_label("Name of the topic").fill("packaging waste")
    proposal.get_by_role("button", name="Make it a topic").click()
    expect(page.get_by_text("“packaging waste” is a topic")).to_be_visible()
    expect(page.get_by_text("No new topic")).to_be_visible()
    page.goto(page.url.replace("/topics", "?back=30d&topic=packaging waste"))
    expect(page.get_by_test_id("post").first).to_contain_text("packaging waste")


def test_sources_show_how_they_are_and_no_secret(visit: Visit) -> None:
    page = visit("/console/opinion/sources")
    rows = page.get_by_test_id("source")
    expect(rows.nth(0)).to_contain_text("https://paper.example/rss")
    expect(page.get_by_text("secret")).to_have_count(0)
    expect(rows.nth(1)).to_contain_text("4 times in a row: answers 503")
    rows.nth(2).get_by_role("button", name="Pause").click()
    expect(rows.nth(2)).to_contain_text("paused")
    rows.nth(2).get_by_role("button", name="Go on").click()
    expect(rows.nth(2)).to_contain_text("well")


@pytest.mark.parametrize("path", ["", "/alerts?which=all", "/topics", "/sources"])
def test_no_page_is_wider_than_a_telephone(visit: Visit, path: str) -> None:
    page = visit(f"/console/opinion{path}", width=390, locale="zh-CN")
    expect(page.get_by_role("heading", name="公众在说什么")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
