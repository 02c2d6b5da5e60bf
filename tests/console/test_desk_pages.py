"""Desk, review, knowledge and rules as a browser's first request sees them."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tailorbird.app import Wanted, create_app
from tailorbird.assistant_settings import DeskSettings
from tailorbird.config import ServingSettings
from tailorbird.knowledge import rules
from tailorbird.serving.access import Keys
from tailorbird.store import Workspace
from tailorbird.testing import KeywordPredictor

SERVER = Path(__file__).parents[1] / "browser" / "desk_server.py"
desk_app: Callable[..., Any] = runpy.run_path(str(SERVER))["desk_app"]
Open = Callable[..., TestClient]
NAMES = ("desk", "review", "knowledge", "rules")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def open_app(workspace: Workspace) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(**parts: Any) -> TestClient:
            return stack.enter_context(TestClient(desk_app(workspace, **parts)))

        yield make


def look(client: TestClient, path: str, language: str = "en") -> str:
    response = client.get(f"/console/{path}", headers={"accept-language": language})
    assert response.status_code == 200
    return response.text


def test_each_page_says_honestly_that_it_is_empty(open_app: Open) -> None:
    client = open_app()
    assert "Nobody waits." in look(client, "desk")
    assert "No draft waits." in look(client, "review")
    assert "tailorbird knowledge add FOLDER" in look(client, "knowledge")
    assert "Nothing was saved yet." in look(client, "rules")
    in_chinese = ("没有人在等。", "没有待审的草稿", "还没有文档", "还没有保存过")
    for name, word in zip(NAMES, in_chinese, strict=True):
        assert word in look(client, name, "zh")


def test_a_page_without_its_parts_says_what_is_missing(open_app: Open) -> None:
    client = open_app(has_parts=False)
    assert "without its service desk" in look(client, "desk")
    assert "without its service desk" in look(client, "review")
    assert "pip install 'tailorbird[knowledge]'" in look(client, "knowledge").replace("\\'", "'")
    assert "Rules and facts" in look(client, "rules")


def test_strangers_see_none_of_it(open_app: Open, workspace: Workspace) -> None:
    rules.save_rules(workspace, "", "kettle | price | 99 secret", author="ada")
    client = open_app(key="k3y")
    for name in (*NAMES, "knowledge/document?name=x"):
        page = look(client, name)
        assert "This console needs the API key" in page
        assert "99 secret" not in page


def test_a_conversation_is_opened_by_its_address(open_app: Open) -> None:
    client = open_app()
    opened = client.post("/v1/conversations", json={"user": "li.lei"}).json()["id"]
    client.post(f"/v1/conversations/{opened}/turns", json={"text": "a person please"})
    page = look(client, f"desk?conversation={opened}")
    assert "They asked for a person" in page
    assert "The money is back within 5 days." in page  # a source the assistant found
    assert "This conversation is not there any more." in look(client, "desk?conversation=nothing")


def test_a_document_that_is_not_there_is_said_so(open_app: Open) -> None:
    page = look(open_app(), "knowledge/document?name=%3Cb%3E")
    assert "Nothing here" in page


def test_what_people_say_is_never_markup(open_app: Open) -> None:
    client = open_app()
    for text in ("<script>alert(1)</script> boats", "<script>alert(1)</script> person"):
        opened = client.post("/v1/conversations", json={"user": "<i>x</i>"}).json()["id"]
        client.post(f"/v1/conversations/{opened}/turns", json={"text": text})
    for name in ("desk", f"desk?conversation={opened}", "review?kind=unsure"):
        page = look(client, name)
        assert "alert(1)" in page
        assert "<script>alert(1)" not in page


def test_agents_look_and_admins_change(workspace: Workspace) -> None:
    keys = {role: Keys(workspace).create(f"my {role}", role) for role in ("agent", "admin")}
    app = create_app(
        workspace, KeywordPredictor(), ServingSettings(), wanted=Wanted(DeskSettings())
    )
    with TestClient(app) as client:
        pages = {}
        for role, key in keys.items():
            client.cookies.clear()
            client.post("/v1/session", json={"key": key})
            pages[role] = {name: look(client, name) for name in NAMES}
    for role in keys:
        assert "Nobody waits." in pages[role]["desk"]
        assert f"my {role}" in pages[role]["desk"]
        assert "Ask as a visitor would" in pages[role]["knowledge"]
    for name, word in (("knowledge", "Drop documents here"), ("rules", "What for?")):
        assert word in pages["admin"][name]
        assert word not in pages["agent"][name]
