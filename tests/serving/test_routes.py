"""The routes: what they answer, and how they refuse."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tailorbird.testing import KeywordPredictor

JSON = {"content-type": "application/json"}


def error_of(response: Any) -> dict[str, str]:
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) <= {"message", "where", "cure"}
    return body["error"]


def wait_until_ready(client: TestClient) -> None:
    deadline_s = time.monotonic() + 10
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline_s


def test_texts_of_both_languages_get_their_intent_and_answer(client: TestClient) -> None:
    texts = ["我的包裹怎么还没到？", "I want my money back"]
    response = client.post("/v1/predict", json={"texts": texts})
    assert response.status_code == 200
    body = response.json()
    assert body["bundle"] == "keywords"
    first, second = body["predictions"]
    assert first["intent"] == "shipping"
    assert first["answer"] == "您的包裹正在路上。"
    assert first["language"] == "zh"
    assert second == {
        "intent": "refund",
        "confidence": pytest.approx(7 / 9),
        "in_scope": True,
        "scope_score": 1.0,
        "answer": "The money is back within 5 days.",
        "language": "en",
        "alternatives": [
            {"intent": "shipping", "confidence": pytest.approx(1 / 9)},
            {"intent": "greeting", "confidence": pytest.approx(1 / 9)},
        ],
    }


@pytest.mark.parametrize(
    ("body", "status", "where", "message"),
    [
        ({"texts": []}, 422, "texts", "is empty"),
        ({"texts": ["a", "  "]}, 422, "texts[1]", "is empty"),
        ({"texts": ["a\0b"]}, 422, "texts[0]", "holds a NUL character"),
        ({"texts": ["a"] * 5}, 422, "texts", "has 5 texts and 4 are allowed"),
        ({"texts": ["b" * 21]}, 422, "texts[0]", "has 21 characters and 20 are allowed"),
        ({"texts": ["a", 7]}, 422, "texts[1]", "must be a text, not a number"),
        ({"texts": [None]}, 422, "texts[0]", "must be a text, not null"),
        ({"texts": "a"}, 422, "texts", "must be a list of texts, not a text"),
        ({}, 422, "texts", "is missing"),
        ({"text": ["a"], "texts": ["a"]}, 422, "text", "is not a key of this request"),
        ({"texts": ["a"], "user": 3}, 422, "user", "must be a text, not a number"),
        ({"texts": ["a"], "user": " "}, 422, "user", "is empty"),
        (
            {"texts": ["a"], "user": "u" * 201},
            422,
            "user",
            "has 201 characters and 200 are allowed",
        ),
        (["a"], 422, "body", "must be a JSON object, not a list"),
        (3, 422, "body", "must be a JSON object, not a number"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(
    make_client: Any, body: Any, status: int, where: str, message: str
) -> None:
    client = make_client(max_texts=4, max_text_chars=20)
    response = client.post("/v1/predict", json=body)
    error = error_of(response)
    assert (response.status_code, error["where"], error["message"]) == (status, where, message)


def test_half_a_surrogate_pair_is_refused(client: TestClient) -> None:
    response = client.post("/v1/predict", content=r'{"texts": ["\ud800"]}', headers=JSON)
    assert response.status_code == 422
    assert error_of(response)["message"] == "holds half of a surrogate pair"


def test_whole_emoji_are_welcome(client: TestClient) -> None:
    response = client.post("/v1/predict", content=r'{"texts": ["\ud83d\ude00"]}', headers=JSON)
    assert response.status_code == 200


@pytest.mark.parametrize("body", ['{"texts": ["a"', "[" * 50_000, b'{"texts": ["\xff"]}', ""])
def test_what_is_not_json_is_refused(client: TestClient, body: str | bytes) -> None:
    response = client.post("/v1/predict", content=body, headers=JSON)
    assert response.status_code in (400, 422)
    assert error_of(response)["where"] == "body"


def test_json_sent_as_a_form_is_told_the_header_to_send(client: TestClient) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    response = client.post("/v1/predict", content='{"texts": ["a"]}', headers=headers)
    assert response.status_code == 415
    assert error_of(response)["cure"] == "send the header content-type: application/json"


def test_a_mistyped_key_is_told_the_right_one(client: TestClient) -> None:
    response = client.post("/v1/predict", json={"texts": ["a"], "txts": ["b"]})
    assert error_of(response)["cure"] == "did you mean 'texts'?"


def test_a_body_too_large_is_refused_by_its_declared_length(make_client: Any) -> None:
    response = make_client(max_body_bytes=100).post("/v1/predict", json={"texts": ["a" * 200]})
    assert response.status_code == 413
    assert error_of(response)["message"] == "is larger than 100 bytes"


def test_a_body_too_large_is_refused_without_a_declared_length(make_client: Any) -> None:
    n_sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal n_sent
        for _ in range(1000):
            n_sent += 1
            yield b" " * 50

    response = make_client(max_body_bytes=100).post("/v1/predict", content=chunks(), headers=JSON)
    assert response.status_code == 413
    assert error_of(response)["message"] == "is larger than 100 bytes"


def test_unknown_routes_and_methods_are_refused_in_json(client: TestClient) -> None:
    missing = client.get("/v1/nothing")
    assert missing.status_code == 404
    assert error_of(missing)["where"] == "/v1/nothing"
    wrong = client.get("/v1/predict")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    assert error_of(wrong)["message"] == "GET is not allowed here; use POST"


def test_a_failing_bundle_is_a_500_that_tells_no_secrets(make_client: Any) -> None:
    client = make_client(KeywordPredictor(poison="☠"))
    response = client.post("/v1/predict", json={"texts": ["☠"]})
    assert response.status_code == 500
    assert "digest" not in response.text
    assert error_of(response)["where"] == "/v1/predict"


def test_without_a_bundle_the_service_lives_but_is_not_ready(make_client: Any) -> None:
    client = make_client(None)
    assert client.get("/healthz").json() == {"status": "alive"}
    for response in (
        client.get("/readyz"),
        client.post("/v1/predict", json={"texts": ["hello"]}),
    ):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert error_of(response)["message"] == "no bundle is live yet"


def test_the_service_is_ready_once_the_bundle_is_loaded(make_client: Any) -> None:
    predictor = KeywordPredictor(gate=threading.Event())
    client = make_client(predictor)
    assert client.get("/healthz").status_code == 200
    assert error_of(client.get("/readyz"))["message"] == "the bundle is being loaded"
    assert predictor.gate is not None
    predictor.gate.set()
    wait_until_ready(client)
    assert client.get("/readyz").json() == {"status": "ready", "bundle": "keywords"}


def test_an_overloaded_service_says_when_to_come_back(make_client: Any) -> None:
    predictor = KeywordPredictor()
    client = make_client(predictor, max_queue_texts=3)
    wait_until_ready(client)
    predictor.gate = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        response = client.post("/v1/predict", json={"texts": ["a", "b"]})
        statuses.append(response.status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(statuses) < 2:  # one is computed, one waits, two do not fit
        time.sleep(0.001)
    assert statuses == [503, 503]
    predictor.gate.set()
    for thread in threads:
        thread.join()
    assert statuses == [503, 503, 200, 200]


def test_metrics_count_requests_predictions_and_batches(client: TestClient) -> None:
    client.post("/v1/predict", json={"texts": ["I want my money back", "tell me a joke"]})
    client.post("/v1/predict", json={"texts": []})
    client.get("/v1/a-path-nobody-knows")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    lines = set(response.text.splitlines())
    for line in (
        'tailorbird_requests_total{method="POST",route="/v1/predict",status="200"} 1.0',
        'tailorbird_requests_total{method="POST",route="/v1/predict",status="422"} 1.0',
        'tailorbird_requests_total{method="GET",route="other",status="404"} 1.0',
        'tailorbird_request_seconds_count{route="/v1/predict"} 2.0',
        'tailorbird_predictions_total{in_scope="true",intent="refund"} 1.0',
        'tailorbird_predictions_total{in_scope="false",intent="refund"} 1.0',
        "tailorbird_batch_texts_sum 2.0",
        "tailorbird_queue_texts 0.0",
        'tailorbird_bundle_info{bundle="keywords"} 1.0',
    ):
        assert line in lines, line
    assert "a-path-nobody-knows" not in response.text


def test_two_apps_of_one_process_count_apart(make_client: Any) -> None:
    first, second = make_client(), make_client()
    first.post("/v1/predict", json={"texts": ["hello"]})
    assert 'route="/v1/predict"' in first.get("/metrics").text
    assert 'route="/v1/predict"' not in second.get("/metrics").text


def test_the_openapi_document_names_every_refusal(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    watching = {"/healthz", "/readyz", "/metrics"}
    access = {"/v1/session", "/v1/admin/keys", "/v1/admin/keys/{name}", "/v1/admin/actions"}
    assert set(document["paths"]) == {"/v1/predict", "/v1/user-tokens"} | watching | access
    responses = document["paths"]["/v1/predict"]["post"]["responses"]
    assert set(responses) == {"200", "400", "413", "415", "422", "500", "503"}
    shapes = {
        response["content"]["application/json"]["schema"]["$ref"]
        for status, response in responses.items()
        if status != "200"
    }
    assert shapes == {"#/components/schemas/ErrorResponse"}


def test_the_docs_page_shows_the_routes_and_fetches_nothing_from_outside(
    client: TestClient,
) -> None:
    response = client.get("/docs")
    assert response.status_code == 200
    assert "/v1/predict" in response.text
    assert "我的包裹怎么还没到？" in response.text
    assert "https://" not in response.text
    assert "http://" not in response.text.replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in response.headers["content-security-policy"]
