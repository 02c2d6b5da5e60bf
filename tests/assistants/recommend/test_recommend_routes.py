"""``/v1/recommend``, ``/v1/events`` and ``/v1/items``: who may ask what, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from schemathesis import GenerationMode
from tests.assistants.recommend.live_fakes import recommender_in
from tests.languages import asked_in
from tests.openapi import statuses_of

from tailorbird.assistants.recommend.http.routes import recommend_routes
from tailorbird.assistants.recommend.live import Recommender
from tailorbird.serving.access import Person
from tailorbird.serving.refusals import refuse_in_sentences

Post = Callable[..., Any]


@pytest.fixture
def recommender(tmp_path: Path) -> Iterator[Recommender]:
    with recommender_in(tmp_path, explore_positions=1) as made:
        yield made


@pytest.fixture
def noted() -> list[Any]:
    return []


@pytest.fixture
def app(recommender: Recommender, noted: list[Any]) -> FastAPI:
    """Whoever asks is what the headers ``name`` and ``role`` say."""
    made = FastAPI()
    refuse_in_sentences(made)

    def note(person: Person, action: str, target: str, **detail: Any) -> None:
        noted.append((person.name, action, target, detail))

    @made.middleware("http")
    async def who(request: Request, call_next: Any) -> Any:
        role: Any = request.headers.get("role", "admin")
        request.state.person = Person(request.headers.get("name", "shop"), role)
        return await call_next(request)

    for router in recommend_routes(recommender, note=note):
        made.include_router(router)
    return made


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def post_events(client: TestClient, *events: dict[str, Any], **headers: str) -> Any:
    return client.post("/v1/events", json={"events": list(events)}, headers=headers)


def items_of(response: Any) -> list[str]:
    assert response.status_code == 200, response.text
    return [one["item"] for one in response.json()["items"]]


def test_events_change_the_next_list_and_reasons_say_why(client: TestClient) -> None:
    wish = {"user": "ada", "n": 3, "explore": False}
    assert items_of(client.post("/v1/recommend", json=wish)) == ["tea-0", "tea-1", "tea-2"]
    done = post_events(client, {"user": "ada", "item": "wool-4", "kind": "click"})
    assert done.json() == {"n_new": 1, "n_known": 0, "unknown_items": []}
    answer = client.post("/v1/recommend", json=wish | {"language": "zh"})
    assert items_of(answer) == ["wool-0", "wool-1", "wool-2"]
    first = answer.json()["items"][0]
    assert first["title"] == "羊毛线 0"
    assert first["reason"]["text"] == "因为您喜欢“羊毛线 4”"
    assert (first["propensity"], first["explored"]) == (1.0, False)
    assert answer.json()["model"] == "tags-1"
    assert len(answer.json()["impression"]) == 32


def test_drawn_positions_say_how_likely_they_were(client: TestClient) -> None:
    drawn = client.post("/v1/recommend", json={"user": "ada", "n": 4}).json()["items"]
    assert [one["explored"] for one in drawn].count(True) == 1
    (one,) = [one for one in drawn if one["explored"]]
    assert 0 < one["propensity"] < 1


def test_history_and_list_are_for_those_who_help(client: TestClient) -> None:
    post_events(
        client,
        {"user": "ada", "item": "wool-4", "kind": "click", "time": "2026-03-01T08:00:00+08:00"},
        {
            "user": "ada",
            "item": "tea-1",
            "kind": "rating",
            "value": 4,
            "time": "2026-03-01T09:00:00",
        },
    )
    told = client.get("/v1/recommend/history", params={"user": "ada"}).json()
    assert [(one["item"], one["time"]) for one in told["events"]] == [
        ("tea-1", "2026-03-01T09:00:00Z"),
        ("wool-4", "2026-03-01T00:00:00Z"),
    ]
    assert told["events"][0] | {"time": ""} == {
        "item": "tea-1",
        "title": "Green tea 1",
        "kind": "rating",
        "value": 4.0,
        "time": "",
    }
    listed = client.get("/v1/recommend/list", params={"user": "ada", "n": 2})
    assert items_of(listed) == ["wool-0", "wool-1"] or "tea-0" in items_of(listed)
    assert listed.json()["impression"] is None
    for path in ("history", "list"):
        refused = client.get(
            f"/v1/recommend/{path}", params={"user": "ada"}, headers={"role": "visitor"}
        )
        assert refused.status_code == 403


def test_visitors_name_nobody_but_themselves(client: TestClient) -> None:
    visitor = {"role": "visitor", "name": "ada"}
    click = {"item": "wool-4", "kind": "click"}
    assert client.post("/v1/recommend", json={"n": 1}, headers=visitor).status_code == 200
    assert client.post("/v1/recommend", json={"user": "ada"}, headers=visitor).status_code == 200
    assert client.post("/v1/recommend", json={"user": "bo"}, headers=visitor).status_code == 403
    assert post_events(client, click | {"user": "ada"}, **visitor).status_code == 200
    refused = post_events(client, click | {"user": "ada"}, click | {"user": "bo"}, **visitor)
    assert refused.status_code == 403
    assert "ada is visitor" in refused.json()["error"]["message"]
    recent = client.post("/v1/recommend", json={"recent": ["wool-4"], "n": 1}, headers=visitor)
    assert items_of(recent) == ["wool-0"]


def test_admins_change_items_and_that_is_noted(client: TestClient, noted: list[Any]) -> None:
    item = {"id": "silk", "title": "Silk", "tags": ["wool", " ", "wool"], "features": {"price": 9}}
    for role in ("visitor", "agent"):
        refused = client.put("/v1/items", json={"items": [item]}, headers={"role": role})
        assert refused.status_code == 403
    changed = {"n_new": 2, "n_changed": 0, "n_unchanged": 0, "n_without_text": 1}
    done = client.put("/v1/items", json={"items": [item, {"id": "bare"}]})
    assert done.json() == changed
    assert client.put("/v1/items", json={"items": [item]}).json()["n_unchanged"] == 1
    assert client.post("/v1/items/withdraw", json={"items": ["silk", "x"]}).json() == {
        "withdrawn": ["silk"]
    }
    assert noted == [
        ("shop", "put items", "2 items", {"n_new": 2, "n_changed": 0}),
        ("shop", "withdraw items", "1 items", {}),
    ]


def test_users_that_are_addresses_are_kept_under_a_code(
    client: TestClient, recommender: Recommender
) -> None:
    post_events(client, {"user": "ada@example.com", "item": "wool-4", "kind": "click"})
    wish = {"user": "ada@example.com", "n": 1, "explore": False}
    assert items_of(client.post("/v1/recommend", json=wish)) == ["wool-0"]
    recommender.close()
    for path in recommender.workspace.path.rglob("*"):
        assert not path.is_file() or b"ada@example.com" not in path.read_bytes()


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"kind": "rating"}, "is a rating without a value"),
        ({"kind": "stare"}, "browse"),
        ({"time": "2999-01-01T00:00:00Z"}, "is in the future"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "is no moment that can be kept"),
        ({"time": "1900-01-01"}, "is before 1970"),
        ({"user": " "}, "is empty"),
        ({"item": "a\0b"}, "holds a NUL character"),
        ({"value": 1e300}, "less than or equal"),
        ({"stars": 3}, "is not a key of this request"),
    ],
)
def test_what_cannot_be_an_event_is_refused_and_nothing_of_it_kept(
    client: TestClient, recommender: Recommender, event: dict[str, Any], says: str
) -> None:
    good = {"user": "ada", "item": "wool-4", "kind": "click"}
    refused = post_events(client, good, good | event)
    assert refused.status_code == 422
    assert says in refused.text
    assert recommender.histories.of("ada").events == ()


def test_sizes_have_limits(client: TestClient) -> None:
    event = {"user": "ada", "item": "wool-4", "kind": "click"}
    assert post_events(client, *[event] * 1_001).status_code == 422
    assert post_events(client).status_code == 422
    assert client.post("/v1/recommend", json={"n": 101}).status_code == 422
    assert client.post("/v1/recommend", json={"recent": ["x"] * 51}).status_code == 422
    long = {"id": "x", "description": "y" * 20_001}
    assert client.put("/v1/items", json={"items": [long]}).status_code == 422
    assert client.put("/v1/items", json={"items": [{"id": "x" * 201}]}).status_code == 422


def test_without_a_model_lists_are_refused_with_what_to_do(
    client: TestClient, recommender: Recommender
) -> None:
    recommender._model = None
    refused = client.post("/v1/recommend", json={"user": "ada"})
    assert refused.status_code == 503
    assert "tailorbird recommend fit" in refused.json()["error"]["cure"]
    assert post_events(client, {"user": "a", "item": "b", "kind": "share"}).status_code == 200


def test_a_chinese_request_is_refused_in_chinese(
    client: TestClient, recommender: Recommender
) -> None:
    event = {"user": "bob", "item": "tea-1", "kind": "rating"}
    with asked_in("zh"):
        other = post_events(client, event | {"value": 3}, name="ada", role="visitor")
        unrated = post_events(client, event)
        empty = post_events(client)
        recommender._model = None
        none = client.post("/v1/recommend", json={"user": "ada"})
    assert other.json()["error"]["message"] == "ada 的角色是 visitor，不能指定其他用户"
    assert unrated.json()["error"]["message"] == "是没有分值的评分"
    assert empty.json()["error"]["message"] == "列表应至少有 1 项，现有 0 项"
    assert none.json()["error"]["message"] == "还没有学习过推荐什么"
    assert none.json()["error"]["cure"].startswith("请先学习：tailorbird recommend fit")


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_document_names(app: FastAPI, mode: GenerationMode) -> None:
    _, seen = statuses_of(app, mode, n_each=5, has_wrong_ids=True)
    assert seen >= ({200} if mode is GenerationMode.POSITIVE else {422})
