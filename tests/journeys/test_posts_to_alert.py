"""Sample posts come in, a tiny tuned model reads them, a surge is found, told, and seen."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tailorbird.assistants.opinion import open_opinion
from tailorbird.assistants.opinion.watching import WatchSettings
from tailorbird.cli import opinion
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.store import Workspace

SAMPLE = Path(__file__).parents[2] / "examples" / "opinion"
QUICK = [
    *("--set", "tuning.n_epochs=3", "--set", "tuning.dtype=float32"),
    *("--set", "evaluation.baselines=false", "--set", "evaluation.n_bootstrap=20"),
]


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[Any]]]:
    """An address on this machine, and what was posted there."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    thread.join()
    server.server_close()


def say(workspace: Path, *words: str) -> str:
    """Call a verb of ``tailorbird opinion``."""
    done = CliRunner().invoke(opinion.app, [*words, "--workspace", str(workspace)])
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.output


# apprise looks for a module that Python is about to lose
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_surge_in_the_sample_posts_is_found_told_and_seen(
    tmp_path: Path, tiny_backbone: Path, receiver: tuple[str, list[Any]]
) -> None:
    address, got = receiver
    say(tmp_path, "entities", "import", str(SAMPLE / "aliases.csv"))
    say(tmp_path, "tune", str(SAMPLE / "labelled.jsonl"), "--backbone", str(tiny_backbone), *QUICK)
    (battery, _) = json.loads((SAMPLE / "surges.json").read_text("utf-8"))
    now = datetime.fromisoformat(battery["since"]) + timedelta(hours=24)
    rows = [json.loads(line) for line in (SAMPLE / "posts.jsonl").read_text("utf-8").splitlines()]
    known = [row for row in rows if datetime.fromisoformat(row["time"]) < now]
    settings = WatchSettings(channels={"ops": address})
    with Workspace.open(tmp_path) as workspace:
        opened = open_opinion(workspace, settings, clock=lambda: now)
        secret = opened.gatherer.add_source("hook", "webhook").secret
        app = FastAPI()
        refuse_in_sentences(app)
        for router in opened.routers():
            app.include_router(router)
        steps = opened.rounds.steps
        client = TestClient(app)
        taken = client.post(
            "/v1/opinion/posts/hook", json={"posts": known}, headers={"X-Tailorbird-Secret": secret}
        ).json()
        assert (taken["n_new"], taken["refused"]) == (len(known), [])
        assert taken["n_copies"] >= 12  # agency stories
        while steps["judge"].do():
            pass
        assert client.get("/v1/opinion/status").json()["n_unread"] == 0
        assert steps["watch"].do() >= 1
        assert steps["deliver"].do() >= 1
        found = client.get("/v1/opinion/alerts", params={"status": "new"}).json()["alerts"]
        about = {one["entity"] or one["topic"] for one in found}
        assert about & {"Riceglow S7", "Riceglow", "safety"}, found
        told = [row for one in found for row in one["deliveries"]]
        assert [row["channel"] for row in told if row["arrived"]] != []
        alert = next(one for one in found if one["deliveries"])
        texts = client.get(f"/v1/opinion/alerts/{alert['id']}").json()["posts"]
        assert len(texts) == 5
        window = {"entity": "Riceglow S7", "since": alert["since"], "until": now.isoformat()}
        timeline = client.get("/v1/opinion/timeline", params=window).json()
        assert timeline["n"] > 30
    assert any("Riceglow" in json.dumps(one) or "禾灯" in str(one) for one in got), got
