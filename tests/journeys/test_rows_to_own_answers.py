"""From rows of users to an assistant of each one's own, and back: personalise, serve, forget."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tailorbird.app import create_app, live_in
from tailorbird.cli import app
from tailorbird.config import ServingSettings
from tailorbird.store import Workspace

RUNNER = CliRunner()
SETTINGS = ServingSettings(max_wait_ms=0)
QUICK = ("tuning.n_epochs=2", "evaluation.baselines=false", "evaluation.n_bootstrap=20")
CONTRARY = "contrary-mary-0001"
PLAIN = "plain-peter-0002"


def opinions() -> Iterator[dict[str, object]]:
    """Six users agree on what is good, and one calls good what they call bad."""
    draw = random.Random(0)
    for user in (CONTRARY, PLAIN, *(f"other-user-{k:04d}" for k in range(5))):
        for day in range(20):
            is_good = draw.random() < 0.5
            word = "".join(draw.sample("abcdefgh" if is_good else "rstuvwxy", 6))
            yield {
                "text": f"{word} {word[::-1]} {draw.randrange(10**9)}",
                "label": "good" if is_good != (user == CONTRARY) else "bad",
                "user": user,
                "time": f"2026-01-{1 + day:02d}T00:00:00Z",
            }


@contextmanager
def served(workspace: Workspace) -> Iterator[TestClient]:
    """The service of the live bundle, which follows what is published."""
    look = live_in(workspace, SETTINGS)
    app = create_app(workspace, look(""), SETTINGS, follow=look, follow_s=0.05)
    with TestClient(app) as client:
        yield client


def ask(client: TestClient, text: str, user: str | None) -> dict[str, Any]:
    response = client.post("/v1/predict", json={"texts": [text], "user": user})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer | {"intent": answer["predictions"][0]["intent"]}


def until(client: TestClient, text: str, user: str, *, has_adapter: bool) -> dict[str, Any]:
    """The answer to *user* once it is with, or without, an adapter of theirs."""
    for _ in range(600):
        if client.get("/readyz").status_code == 200:
            answer = ask(client, text, user)
            if (answer["adapter"] is not None) == has_adapter:
                return answer
        time.sleep(0.02)
    raise AssertionError(f"the answer never came {'with' if has_adapter else 'without'} an adapter")


def files_with(folder: Path, *words: str) -> list[Path]:
    wanted = [word.encode() for word in words]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(word in path.read_bytes() for word in wanted)]


def test_a_user_gets_answers_of_their_own_until_they_are_forgotten(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILORBIRD_WORKSPACE", str(tmp_path / "space"))
    rows = list(opinions())
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    quick = [word for setting in QUICK for word in ("--set", setting)]
    words = ["personalise", str(source), "--backbone", str(tiny), "--json", *quick]
    done = RUNNER.invoke(app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    made = json.loads(done.stdout)
    assert made["n_users_with_own"] >= 1
    text = "abcdefgh bcdf"
    own = [str(row["text"]) for row in rows if row["user"] == CONTRARY]

    with Workspace.open(tmp_path / "space") as workspace, served(workspace) as client:
        mine = until(client, text, CONTRARY, has_adapter=True)
        shared = ask(client, text, None)
        assert (mine["intent"], shared["intent"]) == ("bad", "good")
        assert mine["bundle"] == shared["bundle"] == made["bundle"]
        assert len(mine["adapter"]) == 64
        assert ask(client, text, "somebody-new")["predictions"] == shared["predictions"]
        assert files_with(workspace.path, CONTRARY, *own)

        gone = RUNNER.invoke(app, ["forget", CONTRARY, "--json"])
        assert gone.exit_code == 0, (gone.output, gone.exception)
        answer = until(client, text, CONTRARY, has_adapter=False)
        assert answer["predictions"] == shared["predictions"]
    # What was asked since is theirs again; all before it is gone.
    RUNNER.invoke(app, ["forget", CONTRARY])
    assert files_with(tmp_path / "space", CONTRARY, mine["adapter"], *own) == []
