"""The page about recommendation as a browser's first request sees it."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tailorbird.console.recommend import users_lately
from tailorbird.store import Workspace

SERVER = runpy.run_path(str(Path(__file__).parents[1] / "browser" / "recommend_server.py"))
shop_in, recommend_app = SERVER["shop_in"], SERVER["recommend_app"]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


def look(client: TestClient, path: str = "recommend", language: str = "en") -> str:
    response = client.get(f"/console/{path}", headers={"accept-language": language})
    assert response.status_code == 200
    return response.text


def test_without_its_parts_it_says_what_is_missing(workspace: Workspace) -> None:
    with TestClient(recommend_app(None, workspace)) as client:
        page = look(client).replace("\\'", "'")
        assert "pip install 'tailorbird[recommend]'" in page
        assert "这里没有推荐" in look(client, language="zh")


def test_without_a_model_it_says_how_to_make_one(workspace: Workspace) -> None:
    with TestClient(recommend_app(shop_in(workspace, has_model=False), workspace)) as client:
        assert "tailorbird recommend fit" in look(client)
        assert "tailorbird sample recommend" in look(client)
        assert "还没有学会推荐什么" in look(client, language="zh")


def test_history_list_and_reasons_stand_on_it_in_both_languages(workspace: Workspace) -> None:
    recommender = shop_in(workspace)
    lately = users_lately(recommender)
    assert len(lately) == len(set(lately)) == 8
    with TestClient(recommend_app(recommender, workspace)) as client:
        page = look(client, "recommend?user=u017")
        assert "Because you liked" in page
        assert page.count("What if they took it?") == 12
        assert all(user in page for user in lately)
        assert "因为您喜欢" in look(client, "recommend?user=u017", "zh")
        assert "Many like it just now" in look(client, "recommend?user=%3Cb%3Enobody")
        assert "<b>nobody" not in look(client, "recommend?user=%3Cb%3Enobody")
