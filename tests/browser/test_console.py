"""The console as a person sees it, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

Visit = Callable[..., Page]


def ask(page: Page, text: str) -> None:
    page.get_by_role("textbox").fill(text)
    page.get_by_role("textbox").press("Enter")


def test_a_person_types_and_sees_intent_confidence_and_answer(visit: Visit, tmp_path: Path) -> None:
    page = visit("/console/try")
    ask(page, "I want my money back")
    expect(page.get_by_test_id("intent")).to_have_text("refund")
    expect(page.get_by_test_id("answer")).to_have_text("The money is back within 5 days.")
    expect(page.get_by_text("78 %")).to_be_visible()
    expect(page.get_by_text("In scope").first).to_be_visible()
    expect(page.get_by_test_id("bundle")).to_have_text("bundle slow")
    expect(page.get_by_test_id("adapter")).to_have_text("adapter none, the assistant shared by all")
    expect(page.get_by_test_id("why")).to_contain_text("shipping")  # what else it could have been
    page.screenshot(path=tmp_path / "console.png", full_page=True)
    assert (tmp_path / "console.png").stat().st_size > 10_000


def test_an_example_is_asked_by_one_click(visit: Visit) -> None:
    page = visit("/console/try")
    page.get_by_role("button", name="我的包裹怎么还没到？").click()
    expect(page.get_by_test_id("intent")).to_have_text("shipping")
    expect(page.get_by_test_id("answer")).to_have_text("您的包裹正在路上。")


def test_enter_brings_the_text_with_it(visit: Visit) -> None:
    page = visit("/console/try")
    field = page.get_by_role("textbox")
    # What was typed has not come yet, as while a page is still connecting.
    field.evaluate(
        "e => { e.value = 'I want my money back'; e.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', bubbles: true, cancelable: true})) }"
    )
    expect(page.get_by_test_id("intent")).to_have_text("refund")
    expect(field).to_have_value("I want my money back")


def test_enter_chooses_a_word_while_chinese_is_typed(visit: Visit) -> None:
    page = visit("/console/try", locale="zh-CN")
    field = page.get_by_role("textbox")
    field.fill("退")
    field.evaluate(
        "e => e.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    field.fill("退款")
    field.press("Enter")
    expect(page.get_by_test_id("intent")).to_be_visible()
    expect(page.get_by_test_id("history")).to_have_count(0)  # one was asked, not two


def test_what_is_out_of_scope_is_marked_so(visit: Visit) -> None:
    page = visit("/console/try")
    ask(page, "tell me a joke")
    expect(page.get_by_text("Out of scope")).to_be_visible()


def test_the_language_is_switched_and_remembered(visit: Visit) -> None:
    page = visit("/console/try", locale="en-US")
    ask(page, "I want my money back")
    expect(page.get_by_test_id("intent")).to_have_text("refund")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="对你的助手说句话")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.get_by_test_id("intent")).to_have_text("refund")  # the try is still there
    page.reload()
    expect(page.get_by_role("heading", name="对你的助手说句话")).to_be_visible()


def test_the_colours_follow_the_system_until_chosen(visit: Visit) -> None:
    page = visit("/console/try")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body.body--dark")).to_be_visible()
    page.emulate_media(color_scheme="light")
    expect(page.locator("body.body--light")).to_be_visible()
    page.get_by_role("button", name="Colours: as the system").click()
    page.get_by_role("button", name="Colours: light").click()
    expect(page.locator("body.body--dark")).to_be_visible()
    page.reload()
    expect(page.locator("body.body--dark")).to_be_visible()
    page.get_by_role("link", name="Report").click()
    heading = page.frame_locator("iframe.tb-report").get_by_role("heading")
    expect(heading).to_have_css("color", "rgb(255, 255, 255)")  # the report goes along


def test_earlier_tries_are_listed_and_can_be_asked_again(visit: Visit) -> None:
    page = visit("/console/try")
    for text, intent in (("refund", "refund"), ("parcel", "shipping")):
        ask(page, text)
        expect(page.get_by_test_id("intent")).to_have_text(intent)
    expect(page.get_by_role("heading", name="Your last tries")).to_be_visible()
    page.get_by_role("listitem").get_by_role("button").click()
    expect(page.get_by_test_id("intent")).to_have_text("refund")


def test_text_is_shown_as_text(visit: Visit) -> None:
    page = visit("/console/try")
    for text in ("<img src=x onerror=alert(1)> refund", "hello"):
        ask(page, text)
    expect(page.get_by_text("<img src=x onerror=alert(1)> refund")).to_be_visible()


def test_the_report_is_read_inside_the_console(visit: Visit) -> None:
    page = visit("/console/report")
    frame = page.frame_locator("iframe.tb-report")
    expect(frame.get_by_role("heading", name="93 % 准确率")).to_be_visible()


@pytest.mark.parametrize("path", ["/console/", "/console/try", "/console/report", "/docs"])
def test_nothing_is_wider_than_a_phone(visit: Visit, path: str) -> None:
    page = visit(path, width=400)
    expect(page.get_by_role("heading").first).to_be_visible()
    if path == "/console/try":
        ask(page, "where is my parcel, I want my money back, " * 8)
        expect(page.get_by_test_id("intent")).to_be_visible()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 400


def test_the_docs_page_tries_a_request(visit: Visit) -> None:
    page = visit("/docs")
    page.get_by_role("button", name="Send").first.click()
    expect(page.locator("pre.result")).to_contain_text('"intent": "shipping"')
