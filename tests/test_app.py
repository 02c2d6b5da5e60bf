"""The assembled application, and the server that runs it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save_file
from sqlalchemy import select

from tailorbird.app import create_app, listen, live_in
from tailorbird.bundle import Bundle, BundleContents, registry, write_bundle
from tailorbird.config import ServingSettings
from tailorbird.errors import ConfigError
from tailorbird.serving import Predictor
from tailorbird.store import ServedRow, Workspace
from tailorbird.testing import KeywordPredictor

SERVER = Path(__file__).parent / "serving" / "server_to_stop.py"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.005)


def test_what_is_served_is_kept_with_personal_data_masked(workspace: Workspace) -> None:
    app = create_app(workspace, KeywordPredictor(), ServingSettings(), console=False)
    texts = ["refund to li.lei@example.com please", "我的包裹呢"]
    with TestClient(app) as client:
        response = client.post("/v1/predict", json={"texts": texts, "user": "u7"})
        assert response.status_code == 200
    with workspace.sessions() as session:
        rows = session.scalars(select(ServedRow).order_by(ServedRow.intent)).all()
    assert [(row.intent, row.user, row.bundle_id) for row in rows] == [
        ("refund", "u7", "keywords"),
        ("shipping", "u7", "keywords"),
    ]
    assert "li.lei" not in rows[0].text
    assert rows[0].text.startswith("refund to ")
    assert rows[1].text == "我的包裹呢"
    assert rows[0].answer == "The money is back within 5 days."
    assert rows[0].latency_ms > 0


def test_nothing_is_kept_where_that_was_not_wanted(workspace: Workspace) -> None:
    settings = ServingSettings(keep_interactions=False)
    with TestClient(create_app(workspace, KeywordPredictor(), settings, console=False)) as client:
        assert client.post("/v1/predict", json={"texts": ["hello"]}).status_code == 200
    with workspace.sessions() as session:
        assert session.scalars(select(ServedRow)).all() == []


def test_refused_requests_are_not_kept(workspace: Workspace) -> None:
    app = create_app(workspace, KeywordPredictor(poison="☠"), ServingSettings(), console=False)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/v1/predict", json={"texts": [""]}).status_code == 422
        assert client.post("/v1/predict", json={"texts": ["☠"]}).status_code == 500
    with workspace.sessions() as session:
        assert session.scalars(select(ServedRow)).all() == []


def test_the_service_follows_what_is_published() -> None:
    published: list[Predictor] = []

    def look(served: str) -> Predictor | None:
        return published[-1] if published and published[-1].id != served else None

    app = create_app(None, None, ServingSettings(), console=False, follow=look, follow_s=0.001)
    with TestClient(app) as client:

        def bundle() -> str:
            answer = client.post("/v1/predict", json={"texts": ["hello"]})
            return answer.json()["bundle"] if answer.status_code == 200 else ""

        assert bundle() == ""
        published.append(KeywordPredictor("first"))
        until(lambda: bundle() == "first")
        published.append(KeywordPredictor("broken", poison="warm"))
        published.append(KeywordPredictor("second"))
        until(lambda: bundle() == "second")
        assert 'tailorbird_bundle_info{bundle="second"} 1.0' in client.get("/metrics").text


def bundle_in(workspace: Workspace, greeting: str) -> Bundle:
    model = workspace.path / f"model of {greeting}"
    model.mkdir()
    save_file({"weight": np.zeros(1, dtype=np.float32)}, model / "model.safetensors")
    contents = BundleContents(
        model_folder=model,
        labels=("greeting", "refund"),
        templates={"greeting": {"en": [greeting]}},
        settings={},
        report={},
        temperature=1.0,
        threshold=0.5,
    )
    return write_bundle(workspace.bundles_path, contents)


def test_what_is_live_in_a_workspace_is_followed_back_and_forth(workspace: Workspace) -> None:
    look = live_in(workspace)
    assert look("") is None
    first, second = bundle_in(workspace, "Hello!"), bundle_in(workspace, "Hi!")

    def seen(served: str) -> str | None:
        newer = look(served)
        return newer.id if newer else None

    registry.publish(workspace, first, "first")
    assert (seen(""), seen(first.id)) == (first.id, None)
    registry.publish(workspace, second, "better")
    assert (seen(first.id), seen(second.id)) == (second.id, None)
    registry.roll_back(workspace, "worse after all")
    assert (seen(second.id), seen(first.id)) == (first.id, None)


def test_an_open_service_without_a_key_is_not_even_assembled() -> None:
    with pytest.raises(ConfigError, match="TAILORBIRD_API_KEY"):
        create_app(None, KeywordPredictor(), ServingSettings(host="0.0.0.0"), console=False)


def test_a_taken_port_is_told_with_the_remedy() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port + 1}"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_told_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"--host 127\.0\.0\.1"):
        listen("192.0.2.1", 0)


def test_a_stopping_server_answers_what_is_in_flight_and_remembers_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    answers: list[tuple[int, bytes]] = []

    def ask() -> None:
        request = urllib.request.Request(
            f"{address}/v1/predict",
            data=json.dumps({"texts": ["a slow refund"]}).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answers.append((response.status, response.read()))

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: (tmp_path / "asked").exists())
    process.send_signal(signal.SIGTERM)

    def refuses() -> bool:
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=5).close()
        except OSError:
            return True
        return False

    until(refuses)  # it no longer lets anybody in …
    assert process.poll() is None
    (tmp_path / "go").touch()
    asking.join(timeout=60)
    (status, body), *others = answers  # … but whoever was in gets an answer
    assert (status, others) == (200, [])
    assert json.loads(body)["predictions"][0]["intent"] == "refund"
    assert process.stdout.readline().strip() == "stopped"
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    with Workspace.open(tmp_path) as workspace, workspace.sessions() as session:
        assert session.scalars(select(ServedRow.text)).all() == ["a slow refund"]
