"""From a log to an answer over HTTP, as a person does it: two commands, then requests."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import CorruptBundleError
from tailorbird.store import ServedRow, Workspace

RUNNER = CliRunner()
ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], bool]], None]


def address_of(server: subprocess.Popen[str]) -> tuple[str, str]:
    """Where a starting server answers, and what it said until then."""
    assert server.stderr is not None
    said = []
    for line in server.stderr:
        said.append(line)
        if "/v1/predict" in line:
            return line.split()[-1].removesuffix("/v1/predict"), "".join(said)
    raise AssertionError("".join(said))


def get(url: str | urllib.request.Request) -> str:
    with urllib.request.urlopen(url, timeout=60) as response:
        assert response.status == 200
        return str(response.read().decode())


def is_ready(address: str) -> bool:
    """Whether the model is in memory; before that, /readyz says 503."""
    try:
        get(f"{address}/readyz")
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code != 503
    return True


def ask(address: str, *texts: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/v1/predict",
        data=json.dumps({"texts": texts, "user": "u7"}).encode(),
        headers={"content-type": "application/json"},
    )
    answer: dict[str, Any] = json.loads(get(request))
    return answer


def ends_in_order(server: subprocess.Popen[str]) -> None:
    server.send_signal(signal.SIGTERM)
    _, errors = server.communicate(timeout=180)
    assert errors.endswith("stopped\n")
    assert "Traceback" not in errors
    assert server.returncode == 0


def test_from_a_log_to_answers_over_http(
    logs: Path, tiny: Path, start: Start, until: Until, tmp_path: Path
) -> None:
    build = start("build", logs, "-w", tmp_path, "--backbone", tiny, "--json")
    out, errors = build.communicate(timeout=300)
    assert (build.returncode, errors) == (0, "")
    built = json.loads(out)
    assert built["accuracy"] >= 0.7
    run = tmp_path / "runs" / built["run"]

    rejects = [json.loads(line) for line in (run / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert len(rejects) == 3
    cleaned = (run / "clean.jsonl").read_text("utf-8")
    assert "li.lei" not in cleaned
    assert "13800138000" not in cleaned
    assert "我要退款，请打我手机[PHONE]" in cleaned
    assert "[EMAIL]" in cleaned

    server = start("serve", "-w", tmp_path, "--port", "0")
    address, said = address_of(server)
    assert f"bundle {built['bundle']}" in said
    assert json.loads(get(f"{address}/healthz")) == {"status": "alive"}
    ready = {"status": "ready", "bundle": built["bundle"]}
    until(lambda: is_ready(address))
    assert json.loads(get(f"{address}/readyz")) == ready

    answer = ask(
        address, "where is my parcel qwerty, tell han.mei@example.com", "我要退款，货是zxcvbn"
    )
    assert answer["bundle"] == built["bundle"]
    english, chinese = answer["predictions"]
    assert (english["intent"], english["language"]) == ("shipping", "en")
    assert english["answer"] == "Your parcel is on its way."
    assert (chinese["intent"], chinese["language"]) == ("refund", "zh")
    assert chinese["answer"] == "退款将在 5 天内到账。"
    assert 0.5 < chinese["confidence"] <= 1
    assert {other["intent"] for other in chinese["alternatives"]} == {"shipping", "change"}
    metrics = get(f"{address}/metrics")
    scope = str(chinese["in_scope"]).lower()
    assert f'tailorbird_bundle_info{{bundle="{built["bundle"]}"}} 1.0' in metrics
    assert f'tailorbird_predictions_total{{in_scope="{scope}",intent="refund"}} 1.0' in metrics
    ends_in_order(server)

    with Workspace.open(tmp_path) as workspace, workspace.sessions() as session:
        rows = session.scalars(select(ServedRow).order_by(ServedRow.intent)).all()
    assert [(row.text, row.user, row.bundle_id) for row in rows] == [
        ("我要退款，货是zxcvbn", "u7", built["bundle"]),
        ("where is my parcel qwerty, tell [EMAIL]", "u7", built["bundle"]),
    ]
    a_changed_byte_is_refused(tmp_path, built["bundle"], start)


def a_changed_byte_is_refused(workspace: Path, bundle: str, start: Start) -> None:
    """One weight of the live bundle is changed: nothing answers with it from now on."""
    whole = workspace / "bundles" / bundle
    shutil.copytree(whole, workspace / "kept")
    weights = whole / "model" / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-5] ^= 1
    weights.write_bytes(damaged)

    command = start("serve", "-w", workspace, "--port", "0")
    out, errors = command.communicate(timeout=180)
    assert (command.returncode, out) == (1, "")
    (sentence,) = errors.splitlines()
    assert sentence.startswith(f"error: {weights}: was altered: its sha256 differs")

    for words in (["predict", "hello"], ["publish", bundle]):
        done = RUNNER.invoke(app, [*words, "-w", str(workspace)])
        assert done.exit_code == 1
        assert isinstance(done.exception, CorruptBundleError)
        assert done.exception.where == str(weights)

    weights.write_bytes((workspace / "kept" / "model" / "model.safetensors").read_bytes())
    done = RUNNER.invoke(app, ["predict", "where is my parcel qwerty", "-w", str(workspace)])
    assert done.exit_code == 0
    assert "shipping" in done.stdout


def sample(n_conversations: int) -> str:
    """Some conversations of the three most frequent intents of the sample log."""
    lines = (ROOT / "examples" / "logs" / "shop.jsonl").read_text("utf-8").splitlines()
    intents = ("track_order", "refund", "change_address")
    kept = [line for line in lines if any(f'"intent": "{intent}"' in line for intent in intents)]
    return "\n".join(kept[:n_conversations]) + "\n"


@pytest.mark.weights
def test_one_command_makes_an_assistant_of_the_sample_log(
    start: Start, weights_cache: Path, tmp_path: Path
) -> None:
    logs = tmp_path / "shop.jsonl"
    logs.write_text(sample(100), encoding="utf-8")
    (tmp_path / "cache").symlink_to(weights_cache)
    settings = ("tuning.n_epochs=1", "serving.port=0", "evaluation.baselines=false")
    up = ["up", logs, "-w", tmp_path, *(word for one in settings for word in ("--set", one))]

    server = start(*up)
    address, said = address_of(server)
    assert "backbone: multilingual-e5-small" in said
    predictions = ask(address, "我的包裹到哪儿了？", "I want my money back")["predictions"]
    assert [row["intent"] for row in predictions] == ["track_order", "refund"]
    assert [row["language"] for row in predictions] == ["zh", "en"]
    assert all(row["answer"] for row in predictions)
    assert all(row["in_scope"] and row["scope_score"] > 0.5 for row in predictions)
    for stranger in ask(address, "你会弹钢琴吗", "what is the capital of France?")["predictions"]:
        assert (stranger["in_scope"], stranger["scope_score"] < 0.5) == (False, True)
    ends_in_order(server)
