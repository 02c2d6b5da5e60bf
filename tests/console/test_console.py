"""The console as a browser's first request sees it; tests/browser looks at it as a person does."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tailorbird.app import create_app
from tailorbird.config import ServingSettings
from tailorbird.console.words import PAGES, WORDS
from tailorbird.serving import Predictor
from tailorbird.serving.access import ROLES
from tailorbird.serving.keys import Keys
from tailorbird.serving.sessions import secret_in
from tailorbird.store import Workspace
from tailorbird.testing import KeywordPredictor

Visit = Callable[..., TestClient]
ENGLISH = {"accept-language": "en"}


class ReportedPredictor(KeywordPredictor):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


@pytest.fixture
def visit() -> Iterator[Visit]:
    with ExitStack() as stack:

        def make(predictor: Predictor | None = None, **settings: Any) -> TestClient:
            app = create_app(None, predictor, ServingSettings(**settings))
            return stack.enter_context(TestClient(app))

        yield make


def test_both_languages_have_the_same_words() -> None:
    assert WORDS["zh"].keys() == WORDS["en"].keys()
    assert all(word.strip() for words in WORDS.values() for word in words.values())


def test_no_page_takes_the_words_of_another() -> None:
    for language in ("zh", "en"):
        assert len(WORDS[language]) == sum(len(page[language]) for page in PAGES)


def test_both_languages_fill_in_the_same_values() -> None:
    for key, word in WORDS["en"].items():
        assert set(re.findall(r"{\w+}", word)) == set(re.findall(r"{\w+}", WORDS["zh"][key])), key


def test_the_root_leads_to_the_console(visit: Visit) -> None:
    response = visit(KeywordPredictor()).get("/")
    assert response.status_code == 200
    assert response.url.path == "/console/"


@pytest.mark.parametrize(
    ("wanted", "heading"),
    [("zh-CN,zh;q=0.9", "对你的助手说句话"), ("en-GB", "Say something to your assistant")],
)
def test_the_console_speaks_the_language_of_the_browser(
    visit: Visit, wanted: str, heading: str
) -> None:
    response = visit(KeywordPredictor()).get("/console/", headers={"accept-language": wanted})
    assert heading in response.text


def test_without_a_bundle_the_console_says_how_to_build_one(visit: Visit) -> None:
    response = visit(None).get("/console/", headers={"accept-language": "en"})
    assert "No assistant yet" in response.text
    assert "tailorbird build LOGS" in response.text


def test_the_report_is_shown_and_kept_from_the_net(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<h1>准确率</h1>", encoding="utf-8")
    client = visit(ReportedPredictor(tmp_path))
    page = client.get("/console/report", headers={"accept-language": "zh"})
    assert "/console/report.html?lang=zh" in page.text
    report = client.get("/console/report.html")
    assert report.text == "<h1>准确率</h1>"
    policy = report.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "sandbox allow-scripts" in policy


def test_a_bundle_without_a_report_says_so(visit: Visit) -> None:
    client = visit(KeywordPredictor())
    page = client.get("/console/report", headers={"accept-language": "en"})
    assert "carries no report" in page.text
    assert client.get("/console/report.html").status_code == 404


def test_with_an_api_key_nothing_is_shown_to_strangers(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("secret figures", encoding="utf-8")
    client = visit(ReportedPredictor(tmp_path), api_key="k3y")
    page = client.get("/console/", headers={"accept-language": "en"})
    assert "This console needs the API key" in page.text
    assert "Say something" not in page.text
    assert "k3y" not in page.text
    assert client.get("/console/report.html").status_code == 404


def test_errors_of_the_api_stay_json_beside_the_console(visit: Visit) -> None:
    client = visit(KeywordPredictor())
    response = client.get("/v1/nothing")
    assert response.status_code == 404
    assert response.json()["error"]["where"] == "/v1/nothing"


def test_nothing_may_be_fetched_from_outside(visit: Visit) -> None:
    response = visit(KeywordPredictor()).get("/console/")
    policy = response.headers["content-security-policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    hosts = {source for sources in directives.values() for source in sources.split()}
    assert hosts <= {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:"}


def test_the_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first = secret_in(tmp_path / "console")
    assert len(first) >= 32
    assert secret_in(tmp_path / "console") == first
    assert secret_in(tmp_path / "other") != first
    assert stat.S_IMODE((tmp_path / "console" / "secret").stat().st_mode) == 0o600


def test_the_page_about_users_is_that_of_the_latest_run(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        for number, words in enumerate(("first", "second")):
            run = tmp_path / "runs" / f"2026010{number}-ratings"
            run.mkdir()
            (run / "personalise.html").write_text(f"<h1>{words}</h1>", encoding="utf-8")
        app = create_app(workspace, KeywordPredictor(), ServingSettings())
        with TestClient(app) as client:
            page = client.get("/console/users", headers={"accept-language": "en"})
            assert "What each user gets" in page.text
            assert "/console/users.html?lang=en" in page.text
            report = client.get("/console/users.html")
    assert report.text == "<h1>second</h1>"
    assert "sandbox allow-scripts" in report.headers["content-security-policy"]


def test_where_nobody_has_anything_of_their_own_the_page_says_how(visit: Visit) -> None:
    page = visit(KeywordPredictor()).get("/console/users", headers={"accept-language": "zh"})
    assert "还没有用户拥有自己的助手" in page.text
    assert "tailorbird personalise ROWS" in page.text


def test_strangers_see_no_users(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        run = tmp_path / "runs" / "20260101-ratings"
        run.mkdir()
        (run / "personalise.html").write_text("ada", encoding="utf-8")
        app = create_app(workspace, KeywordPredictor(), ServingSettings(api_key="k3y"))
        with TestClient(app) as client:
            assert client.get("/console/users.html").status_code == 404


def test_each_page_stands_in_the_navigation_by_itself(visit: Visit, tmp_path: Path) -> None:
    paths = {f"/console/{name}" for name in ("", "try", "runs", "bundles", "report", "users")}

    def entries(page: str) -> set[str]:
        return {path for path in paths if re.search(rf"href\W+{path}\W*[\"&]", page)}

    without = visit(KeywordPredictor()).get("/console/").text
    assert entries(without) == paths - {"/console/runs", "/console/bundles"}
    with Workspace.open(tmp_path) as workspace:
        app = create_app(workspace, KeywordPredictor(), ServingSettings())
        with TestClient(app) as client:
            assert entries(client.get("/console/").text) == paths
    again = visit(KeywordPredictor()).get("/console/runs")  # of the app before, in one process
    assert again.status_code == 404


def sign_in(client: TestClient, key: str) -> None:
    client.cookies.clear()
    assert client.post("/v1/session", json={"key": key}).status_code == 200


def test_keys_of_persons_open_the_console_as_far_as_their_role_goes(tmp_path: Path) -> None:
    pages = {}
    with Workspace.open(tmp_path) as workspace:
        keys = {role: Keys(workspace).create(f"my {role}", role) for role in ROLES}
        app = create_app(workspace, KeywordPredictor(), ServingSettings())
        with TestClient(app, headers=ENGLISH) as client:
            pages["nobody"] = client.get("/console/").text
            for role, key in keys.items():
                sign_in(client, key)
                pages[role] = client.get("/console/").text
                pages[f"{role} rolls back"] = client.get("/console/bundles/rollback").text
    for who in ("nobody", "visitor", "visitor rolls back"):
        assert "This console needs the API key" in pages[who]
        assert "How your assistant is doing" not in pages[who]
        assert "/console/bundles" not in pages[who]
    assert "How your assistant is doing" in pages["agent"]
    assert "my agent may look at the console" in pages["agent rolls back"]
    assert "No bundle was live before" in pages["admin rolls back"]
    assert "Sign out my admin" in pages["admin"]


def test_a_revoked_key_closes_the_console(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        key = Keys(workspace).create("ada", "admin")
        app = create_app(workspace, KeywordPredictor(), ServingSettings())
        with TestClient(app, headers=ENGLISH) as client:
            sign_in(client, key)
            assert "Sign out ada" in client.get("/console/runs").text
            app.state.access.keys.revoke("ada")
            assert "This console needs the API key" in client.get("/console/runs").text
