"""What the widget is served with; tests/browser uses it as a visitor does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tailorbird.assistants.service_desk.http import widget_routes as module
from tailorbird.assistants.service_desk.http.widget_routes import widget_routes
from tailorbird.config import ServingSettings
from tailorbird.serving.guard import Guard

SCRIPT = (Path(module.__file__).parent / "widget.js").read_text(encoding="utf-8")


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(widget_routes())
    app.add_middleware(Guard, settings=ServingSettings(api_key="k"), policies={})
    with TestClient(app) as opened:
        yield opened


def test_any_page_may_load_the_script_and_no_key_is_asked_for(client: TestClient) -> None:
    response = client.get("/widget.js", headers={"origin": "https://shop.example"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert response.headers["x-content-type-options"] == "nosniff"
    again = client.get("/widget.js", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("query", "accepted", "language", "theme"),
    [
        ("", "zh-CN,zh;q=0.9", "zh", "auto"),
        ("", "de,en;q=0.5", "en", "auto"),
        ("?lang=zh&theme=dark", "en", "zh", "dark"),
        ('?lang="><b>&theme="><b>', "zh", "en", "auto"),
    ],
)
def test_the_page_to_try_it_on_fetches_nothing_from_outside(
    client: TestClient, query: str, accepted: str, language: str, theme: str
) -> None:
    response = client.get(f"/widget{query}", headers={"accept-language": accepted})
    tag = f'<script src="/widget.js" defer data-language="{language}" data-theme="{theme}">'
    assert tag in response.text
    assert "<b>" not in response.text
    assert "http://testserver/widget.js" in response.text  # the line to copy
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'nonce-" in policy
    assert "unsafe" not in policy


def test_the_script_makes_no_markup_of_texts() -> None:
    makers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    assert re.findall(makers, SCRIPT) == []


def test_the_widget_says_the_same_in_both_languages() -> None:
    blocks = re.findall(r"^    (en|zh): \{\n(.*?)^    \},", SCRIPT, re.MULTILINE | re.DOTALL)
    keys = {language: re.findall(r'(\w+): "[^"]+"', block) for language, block in blocks}
    assert len(keys["en"]) > 20
    assert keys["en"] == keys["zh"]
