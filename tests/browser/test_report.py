"""The report as a person uses it: from disk, in two languages, sorted, pointed at, on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tailorbird.evaluation import calibrate, evaluate, examine, write_report

pytestmark = pytest.mark.browser

LABELS = ("cancel_order", "refund", "track_order", "warranty_repair")
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2, 3], [20, 40, 60, 80])
    logits = np.eye(4)[targets] * 4 + rng.normal(0, 2, (200, 4))
    texts = ["<script>document.title = 'owned'</script> 我要退款"] * 200
    calibration = calibrate(logits, targets)
    test = evaluate("test", logits, targets, LABELS, temperature=calibration.temperature)
    folder = tmp_path_factory.mktemp("report")
    write_report(
        folder,
        {"test": test.to_json(), "calibration": calibration.to_json()}
        | examine(texts, logits, targets, LABELS),
    )
    return folder / "report.html"


@pytest.fixture
def visit_report(browser: Browser, report: Path) -> Iterator[Open]:
    """Opens the file; fails at the end where the page complained or asked for anything."""
    complaints: list[str] = []
    contexts = []

    def open_page(query: str = "", *, locale: str = "en-US", width: int = 1200) -> Page:
        context = browser.new_context(
            locale=locale, viewport={"width": width, "height": 860}, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(report.as_uri() + query)
        page.on("request", lambda request: complaints.append(request.url))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def test_report_speaks_the_language_of_its_reader(visit_report: Open) -> None:
    expect(visit_report(locale="zh-CN").locator("#confusion-title")).to_have_text(
        "混淆", use_inner_text=True
    )
    page = visit_report()
    heading = page.locator("#confusion-title")
    expect(heading).to_have_text("Confusions", use_inner_text=True)
    page.get_by_role("button", name="中文").click()
    expect(heading).to_have_text("混淆", use_inner_text=True)
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    expect(visit_report("?lang=zh").locator("html")).to_have_attribute("lang", "zh")


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_the_order(visit_report: Open) -> None:
    page = visit_report()
    first = page.locator(".sortable tbody tr").first.locator("th")
    page.get_by_role("button", name="Texts").click()
    expect(first).to_have_text("cancel_order")
    page.get_by_role("button", name="Texts").click()
    expect(first).to_have_text("warranty_repair")
    expect(page.get_by_role("columnheader", name="Texts")).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_role("button", name="Class").click()
    expect(first).to_have_text("cancel_order")


def test_a_cell_says_what_it_counts_when_it_is_pointed_at(visit_report: Open) -> None:
    page = visit_report()
    cell = page.locator(".cell.wrong").first
    cell.scroll_into_view_if_needed()
    cell.hover()
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#tip")).to_have_text(str(cell.get_attribute("data-tip")))


def test_a_script_in_a_logged_text_is_text(visit_report: Open) -> None:
    page = visit_report()
    assert "owned" not in page.title()
    expect(page.locator("blockquote").first).to_contain_text("<script>")


@pytest.mark.parametrize("width", [360, 400, 820])
def test_report_is_never_wider_than_the_screen(visit_report: Open, width: int) -> None:
    page = visit_report(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
