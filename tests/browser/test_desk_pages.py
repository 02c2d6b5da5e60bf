"""Desk, review, knowledge and rules as agents and admins use them, in a real browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SERVER = Path(__file__).with_name("desk_server.py")
RULE = """[[rule]]
name = "hurt"
when = 'text =~~ "hurt"'
answer.en = "I am sorry."
"""
Visit = Callable[..., Page]
Say = Callable[..., Any]


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """A real server with a desk."""
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


@pytest.fixture
def http(address: str) -> Say:
    """Asks the service as the program of a visitor does."""

    def ask(path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            address + path, headers={"content-type": "application/json"}
        )
        if body:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    return ask


def handed_over(http: Say, user: str) -> str:
    """A conversation in which *user* asked for a refund, and then for a person."""
    opened = http("/v1/conversations", user=user)["id"]
    for text in ("where is my refund?", "I want a person"):
        http(f"/v1/conversations/{opened}/turns", text=text)
    return str(opened)


def test_who_asks_for_a_person_is_there_at_once_and_gets_the_answer(
    visit: Visit, http: Say
) -> None:
    page = visit("/console/desk")
    expect(page.get_by_text("Nobody waits.")).to_be_visible()
    opened = handed_over(http, "li.lei")
    page.get_by_test_id("waiting").get_by_role("button", name="li.lei").click()
    expect(page).to_have_title(re.compile(r"^\(1\) Desk"))
    expect(page.get_by_test_id("reason")).to_have_text("They asked for a person")
    expect(page.get_by_text("61 %")).to_be_visible()
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_test_id("mine").get_by_role("button", name="li.lei")).to_be_visible()
    page.get_by_role("button", name="We have sent it again.").click()
    field = page.get_by_role("textbox", name="Your answer")
    expect(field).to_have_value("We have sent it again.")
    field.press("Control+Enter")
    expect(page.locator("[data-author=agent]")).to_contain_text("We have sent it again.")
    expect(field).to_have_value("")
    turns = http(f"/v1/conversations/{opened}/turns")["turns"]
    assert (turns[-1]["author"], turns[-1]["text"]) == ("agent", "We have sent it again.")
    http(f"/v1/conversations/{opened}/turns", text="thank you <b>so</b> much")
    expect(page.get_by_text("thank you <b>so</b> much").last).to_be_visible()
    page.get_by_role("button", name="Make a draft of this answer").click()
    expect(page.get_by_text("A draft was made")).to_be_visible()
    (draft,) = http("/v1/desk/drafts")["drafts"]
    assert draft["question"] == "where is my refund?"  # and not "I want a person"
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_text("You have taken none.")).to_be_visible()
    assert http(f"/v1/conversations/{opened}")["status"] == "closed"


def test_agents_see_who_was_first_and_an_admin_may_take_over(visit: Visit, http: Say) -> None:
    pages = {}
    for name in ("Ada", "Bo"):
        pages[name] = page = visit("/console/desk")
        field = page.get_by_role("textbox", name="Your name here")
        field.fill(name)
        field.press("Enter")
    expect(pages["Ada"].get_by_text("with Bo")).to_be_visible()
    opened = handed_over(http, "han.mei")
    for page in pages.values():
        page.get_by_test_id("waiting").get_by_role("button", name="han.mei").click()
    pages["Ada"].get_by_role("button", name="Take it").click()
    expect(pages["Bo"].get_by_text("Ada has it")).to_be_visible()
    pages["Bo"].get_by_role("button", name="Take over from Ada").click()
    expect(pages["Ada"].get_by_text("Bo has it")).to_be_visible()
    expect(pages["Ada"].get_by_role("textbox", name="Your answer")).to_be_hidden()
    pages["Bo"].get_by_role("button", name="Back to the assistant").click()
    expect(pages["Bo"].get_by_text("You have taken none.")).to_be_visible()
    assert http(f"/v1/conversations/{opened}")["status"] == "assistant"


def test_a_refused_question_is_answered_by_keyboard_and_known_from_then_on(
    visit: Visit, http: Say
) -> None:
    opened = http("/v1/conversations", user="jim")["id"]
    for text in ("do you sell yachts?", "do you sell boats?"):
        http(f"/v1/conversations/{opened}/turns", text=text)
    page = visit("/console/review?kind=unsure")
    question = page.get_by_role("textbox", name="Question")
    expect(question).to_have_value("do you sell boats?")
    page.keyboard.press("a")
    expect(page.get_by_text("Nothing to learn")).to_be_visible()
    page.keyboard.press("j")
    expect(question).to_have_value("do you sell yachts?")
    page.keyboard.press("r")
    expect(page.get_by_text("Rejected")).to_be_visible()
    expect(question).to_have_value("do you sell boats?")
    page.get_by_role("textbox", name="What should be answered").fill("Only model boats.")
    intent = page.get_by_label("The intent that was meant")
    intent.fill("boating")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("There is no intent 'boating'")).to_be_visible()
    intent.fill("greeting")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("Accepted: known from now on")).to_be_visible()
    page.goto(page.url.replace("review?kind=unsure", "knowledge"))
    page.get_by_role("textbox", name="Ask as a visitor would").fill("sell boats")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_test_id("passage").first).to_contain_text("Only model boats.")


def test_a_document_is_uploaded_found_looked_at_and_removed(visit: Visit, tmp_path: Path) -> None:
    page = visit("/console/knowledge")
    good, bad = tmp_path / "warranty.md", tmp_path / "scan.pdf"
    good.write_text("# Warranty\n\nKettles are guaranteed for two years.\n", encoding="utf-8")
    bad.write_bytes(b"%PDF-1.7 nothing")
    page.locator("input[type=file]").set_input_files([good, bad])
    expect(page.get_by_text("added: 1 pieces")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("scan.pdf")
    table = page.get_by_role("table", name="Documents")
    row = table.get_by_role("row").filter(has_text="warranty.md")
    expect(row).to_contain_text("Markdown")
    page.get_by_role("textbox", name="Ask as a visitor would").fill("are kettles guaranteed?")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("passage").first).to_contain_text("guaranteed for two years")
    expect(page.get_by_text("50 %").first).to_be_visible()
    row.get_by_role("button", name="Remove").click()
    row.get_by_role("button", name="Keep it").click()
    row.get_by_role("link", name="warranty.md").click()
    expect(page.get_by_test_id("piece")).to_contain_text("Kettles are guaranteed")
    page.get_by_role("link", name="← Knowledge").click()
    row.get_by_role("button", name="Remove").click()
    row.get_by_role("button", name="Yes, remove").click()
    expect(row).to_have_count(0)


def test_a_file_is_dropped_on_the_page(visit: Visit) -> None:
    page = visit("/console/knowledge")
    expect(page.get_by_test_id("drop")).to_be_visible()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["# Teapots\\n\\nThey pour."], "teapots.md"));
          document.querySelector("[data-testid=drop]")
            .dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }"""
    )
    expect(page.get_by_text("added: 1 pieces")).to_be_visible()


def test_a_rule_is_checked_tried_saved_and_an_old_one_restored(visit: Visit) -> None:
    page = visit("/console/rules")
    rules = page.get_by_role("textbox", name="Rules", exact=True)
    rules.fill(RULE.replace("text =~~", "txt =~~"))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("rules:1 (hurt), when: 'txt' is no symbol")).to_be_visible()
    expect(page.locator("[data-editor=rules] .tb-mark")).to_be_visible()
    rules.fill(RULE)
    page.locator(".tb-asking input").fill("I hurt my hand")
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_test_id("ruled")).to_contain_text("Rule “hurt” fits: it answers.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Say what for")).to_be_visible()
    note = page.get_by_role("textbox", name="What for?")
    for number, text in ((1, RULE), (2, RULE.replace("sorry", "very sorry"))):
        rules.fill(text)
        note.fill(f"try {number}")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_test_id("version")).to_have_text(f"Version {number} is in force")
    page.get_by_test_id("version-2").get_by_role("button", name="What changed").click()
    expect(page.get_by_test_id("version-2")).to_contain_text(
        "rule 'hurt' now says in English: I am very sorry.; before: I am sorry."
    )
    page.get_by_test_id("version-1").get_by_role("button", name="Restore").click()
    page.get_by_role("button", name="Yes, restore").click()
    expect(page.get_by_test_id("version")).to_have_text("Version 3 is in force")
    expect(rules).to_have_value(RULE)
    expect(page.get_by_test_id("version-3")).to_contain_text("version 1 again")


@pytest.mark.parametrize("name", ["desk", "review", "knowledge", "rules"])
def test_no_page_is_wider_than_a_phone(visit: Visit, http: Say, name: str) -> None:
    opened = handed_over(http, "a-very-long-name-without-any-space-" * 4)
    path = f"desk?conversation={opened}" if name == "desk" else name
    page = visit(f"/console/{path}", width=390, locale="zh-CN")
    expect(page.get_by_role("heading").first).to_be_visible()
    if name == "desk":
        expect(page.get_by_test_id("visitor")).to_be_visible()
        expect(page.get_by_test_id("waiting")).to_be_hidden()
        page.get_by_role("button", name="← 全部会话").click()
        expect(page.get_by_test_id("waiting")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
