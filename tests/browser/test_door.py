"""The console of a service with an API key: closed until the key is given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def key() -> str:
    return "k3y"


def test_the_key_opens_the_console_and_is_remembered(visit: Callable[..., Page]) -> None:
    page = visit("/console/report")
    expect(page.get_by_role("heading", name="This console needs the API key")).to_be_visible()
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_text("That is not the key.")).to_be_visible()
    page.get_by_label("API key").fill("k3y")
    page.get_by_label("API key").press("Enter")
    frame = page.frame_locator("iframe.tb-report")
    expect(frame.get_by_role("heading", name="93 % 准确率")).to_be_visible()
    page.get_by_role("link", name="Try it").click()
    page.get_by_role("textbox").fill("I want my money back")
    page.get_by_role("textbox").press("Enter")
    expect(page.get_by_test_id("intent")).to_have_text("refund")


def test_whoever_goes_out_finds_the_door_again(visit: Callable[..., Page]) -> None:
    page = visit("/console/try", locale="zh-CN")
    page.get_by_label("API 密钥").fill("k3y")
    page.get_by_label("API 密钥").press("Enter")
    expect(page.get_by_role("heading", name="对你的助手说句话")).to_be_visible()
    page.get_by_role("button", name="退出").click()
    expect(page.get_by_role("heading", name="打开控制台需要 API 密钥")).to_be_visible()
    assert page.evaluate("document.cookie").count("tailorbird_csrf") == 0
