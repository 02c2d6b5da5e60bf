"""The chat widget as a visitor uses it, on the page of the service and on the page of a shop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, Locator, Page, expect

from tailorbird.config import AccessSettings, ServingSettings

from .widget_server import FakeDesk, app_of, serving

pytestmark = pytest.mark.browser

Chat = Callable[..., Page]


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[str, list[str]]]:
    """Another site, and the address its page takes the widget from."""
    app, service = FastAPI(), [""]

    @app.get("/")
    async def page() -> HTMLResponse:
        tag = f'<script src="{service[0]}/widget.js" defer data-title="Ask the shop"></script>'
        head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title>'
        style = "<style>button { display: none !important } * { color: red }</style>"
        return HTMLResponse(f"{head}{style}<h1>Teapots</h1>{tag}</html>")

    @app.get("/favicon.ico")
    async def icon() -> HTMLResponse:
        return HTMLResponse("")

    with serving(app) as address:
        yield address, service


@pytest.fixture(scope="module")
def service(shop: tuple[str, list[str]]) -> Iterator[tuple[str, FakeDesk]]:
    """A service with a key, whose chat is open to visitors, also on the page of the shop."""
    desk = FakeDesk()
    settings = ServingSettings(api_key="k", public_chat=True)
    access = AccessSettings(origins=shop[0], visitor_per_minute=0)
    with serving(app_of(desk, settings, access)) as address:
        shop[1][0] = address
        yield address, desk
        desk.is_over = True


@pytest.fixture
def desk(service: tuple[str, FakeDesk]) -> FakeDesk:
    found = service[1]
    found.failing, found.n_failed = "", 0
    found.thumbs.clear()
    return found


@pytest.fixture
def chat(browser: Browser, service: tuple[str, FakeDesk]) -> Iterator[Chat]:
    """Opens a page with the widget; fails at the end where its script threw."""
    thrown: list[str] = []
    contexts = []

    def open_page(
        path: str = "/widget", *, locale: str = "en-US", dark: bool = False, width: int = 1000
    ) -> Page:
        context = browser.new_context(
            locale=locale,
            viewport={"width": width, "height": 760},
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: thrown.append(str(error)))
        page.goto(path if path.startswith("http") else service[0] + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert thrown == []


def ask(page: Page, text: str) -> None:
    page.get_by_role("textbox").fill(text)
    page.get_by_role("textbox").press("Enter")


def bubbles(page: Page, author: str) -> Locator:
    return page.locator(f".turn.{author} .bubble")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("locale", "question", "answer", "source"),
    [
        ("en-US", "How do I return it?", "send it back within 30 days", "returns.md › How long"),
        ("zh-CN", "怎么退货？", "30 天内退回", "退货政策.md › 退货期限"),
    ],
)
def test_a_visitor_asks_and_sees_the_source_of_each_sentence(
    chat: Chat, tmp_path: Path, dark: bool, locale: str, question: str, answer: str, source: str
) -> None:
    page = chat(locale=locale, dark=dark)
    page.keyboard.press("Tab")
    page.get_by_role("button", name="联系客服" if locale == "zh-CN" else "Chat with us").press(
        "Enter"
    )
    expect(page.get_by_role("textbox")).to_be_focused()
    ask(page, question)
    expect(bubbles(page, "visitor")).to_have_text(question)
    expect(bubbles(page, "assistant").last).to_contain_text(answer)
    word = "来源" if locale == "zh-CN" else "Source"
    page.get_by_role("button", name=f"{word} 1: {source}").click()
    expect(page.locator("li.shown")).to_have_text(source)
    expect(page.locator("details li")).to_have_count(2)
    colour = page.locator(".panel").evaluate("e => getComputedStyle(e).backgroundColor")
    assert colour == ("rgb(26, 32, 26)" if dark else "rgb(255, 255, 255)")
    page.screenshot(path=tmp_path / "widget.png")
    assert (tmp_path / "widget.png").stat().st_size > 10_000


def test_the_panel_is_used_by_keyboard_and_heard_by_a_reader(chat: Chat) -> None:
    page = chat()
    launch = page.get_by_role("button", name="Chat with us")
    expect(launch).to_have_attribute("aria-expanded", "false")
    launch.press("Enter")
    panel = page.get_by_role("dialog", name="Customer service")
    expect(panel).to_be_visible()
    expect(panel.get_by_role("log")).to_have_attribute("aria-live", "polite")
    page.keyboard.type("first line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    page.keyboard.press("Enter")
    expect(bubbles(page, "visitor")).to_have_text("first line\nsecond line")
    expect(page.locator(".turn.visitor")).to_contain_text("You:")  # for who does not see sides
    expect(page.locator(".turn.assistant").last).to_contain_text("Assistant:")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(launch).to_be_focused()


def test_enter_chooses_a_word_while_chinese_is_typed(chat: Chat) -> None:
    page = chat(locale="zh-CN")
    page.get_by_role("button", name="联系客服").click()
    field = page.get_by_role("textbox")
    field.fill("退")
    field.evaluate(
        "e => e.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: true, bubbles: true, composed: true, cancelable: true}))"
    )
    expect(field).to_have_value("退")
    expect(bubbles(page, "visitor")).to_have_count(0)


def test_a_reload_loses_nothing(chat: Chat, desk: FakeDesk) -> None:
    page = chat()
    page.get_by_role("button", name="Chat with us").click()
    ask(page, "How do I return it?")
    page.get_by_role("button", name="Helpful", exact=True).click()
    expect(page.get_by_text("Thank you for the feedback.")).to_be_visible()
    conversation = list(desk.turns)[-1]
    name = desk.turns[conversation][0]["client_id"]
    assert desk.thumbs == [{"decision": f"d-{name}", "thumb": "up"}]
    page.reload()
    expect(bubbles(page, "visitor")).to_have_text("How do I return it?")
    expect(page.get_by_role("button", name="Source 2: returns.md › Refunds")).to_be_visible()
    helpful = page.get_by_role("button", name="Helpful", exact=True)
    expect(helpful).to_have_attribute("aria-pressed", "true")
    ask(page, "And then?")
    expect(bubbles(page, "visitor")).to_have_count(2)
    expect(bubbles(page, "assistant")).to_have_count(3)  # the first says hello
    assert len(desk.turns[conversation]) == 4


@pytest.mark.parametrize("failing", ["before", "after"])
def test_a_message_is_sent_again_and_kept_once(chat: Chat, desk: FakeDesk, failing: str) -> None:
    page = chat()
    page.get_by_role("button", name="Chat with us").click()
    desk.failing = failing
    ask(page, "Is anybody there?")
    expect(page.get_by_role("status")).to_have_text(
        "No connection. Your message is kept and sent again."
    )
    page.reload()  # in the middle of it
    expect(bubbles(page, "visitor")).to_have_text("Is anybody there?")
    desk.failing = ""
    expect(bubbles(page, "assistant").last).to_contain_text("within 30 days")
    expect(page.get_by_role("status")).to_have_text("")
    said = desk.turns[list(desk.turns)[-1]]
    assert [turn["author"] for turn in said] == ["visitor", "assistant"]
    assert desk.n_failed >= 1


def test_a_person_is_asked_for_and_answers(chat: Chat, desk: FakeDesk) -> None:
    page = chat()
    page.get_by_role("button", name="Chat with us").click()
    page.get_by_role("button", name="Talk to a person").click()
    expect(page.get_by_role("status")).to_have_text("A person has been asked for.")
    conversation = list(desk.turns)[-1]
    desk.status[conversation] = "agent"
    desk.add(conversation, "agent", "Hello, this is Mia. <img src=x onerror=alert(1)>")
    expect(page.get_by_role("status")).to_have_text("You are talking to a person.")
    expect(bubbles(page, "agent")).to_have_text("Hello, this is Mia. <img src=x onerror=alert(1)>")
    assert page.locator(".bubble img").count() == 0
    page.get_by_role("button", name="Close the chat").click()
    desk.add(conversation, "agent", "Are you there?")
    expect(page.get_by_role("button", name="Chat with us, 1 unread")).to_be_visible()
    desk.status[conversation] = "closed"
    page.get_by_role("button", name="Chat with us").click()
    expect(page.get_by_role("status")).to_have_text("This conversation is closed.")
    page.get_by_role("button", name="Start a new conversation").click()
    ask(page, "One more thing")
    expect(bubbles(page, "assistant").last).to_contain_text("within 30 days")
    assert list(desk.turns)[-1] != conversation


def test_a_conversation_that_is_gone_becomes_a_new_one(chat: Chat, desk: FakeDesk) -> None:
    page = chat()
    page.get_by_role("button", name="Chat with us").click()
    ask(page, "Hello")
    expect(bubbles(page, "assistant").last).to_contain_text("within 30 days")
    desk.turns.pop(list(desk.turns)[-1])
    ask(page, "Hello again")
    expect(bubbles(page, "assistant").last).to_contain_text("within 30 days")
    expect(bubbles(page, "visitor").last).to_have_text("Hello again")


def test_the_page_of_a_shop_shows_the_widget_of_the_service(
    chat: Chat, desk: FakeDesk, shop: tuple[str, list[str]], service: tuple[str, FakeDesk]
) -> None:
    page = chat(shop[0])
    launch = page.get_by_role("button", name="Chat with us")
    expect(launch).to_be_visible()  # the styles of the shop end at the shadow root
    launch.click()
    expect(page.get_by_role("dialog", name="Ask the shop")).to_be_visible()
    ask(page, "How do I return it?")
    expect(bubbles(page, "assistant").last).to_contain_text("within 30 days")
    page.get_by_role("button", name="Not helpful").click()
    expect(page.get_by_text("Thank you for the feedback.")).to_be_visible()
    desk.add(list(desk.turns)[-1], "agent", "May I help?")
    expect(bubbles(page, "agent")).to_have_text("May I help?")


def test_on_a_phone_the_panel_fills_the_screen(chat: Chat, tmp_path: Path) -> None:
    page = chat(width=390)
    page.get_by_role("button", name="Chat with us").click()
    ask(page, "How do I return it? " * 20)
    expect(bubbles(page, "assistant").last).to_contain_text("within 30 days")
    box = page.locator(".panel").bounding_box()
    assert box is not None
    assert [round(box[side]) for side in ("x", "width", "height")] == [0, 390, 760]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.screenshot(path=tmp_path / "phone.png")
