"""A build that is killed or stopped while tuning, and goes on: nothing of it is lost."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tailorbird import api, runs, tuning
from tailorbird.cli import app
from tailorbird.modeling import load_model
from tailorbird.store import Run

RUNNER = CliRunner()
SETTINGS = (
    *("tuning.n_epochs=30", "tuning.patience=0", "tuning.learning_rate=0.001"),
    *("tuning.dtype=float32", "model.encoder_dropout=0.1", "evaluation.baselines=false"),
)
Start = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], bool]], None]


def words(logs: Path, tiny: Path, workspace: Path) -> list[str]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return ["build", str(logs), "-w", str(workspace), "--backbone", str(tiny), *settings]


@pytest.fixture(scope="module")
def uninterrupted(
    logs: Path, tiny: Path, one_thread: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder of a run that nobody disturbed."""
    workspace = tmp_path_factory.mktemp("uninterrupted")
    done = RUNNER.invoke(app, words(logs, tiny, workspace))
    assert done.exit_code == 0, done.stderr
    with api.open_workspace(workspace) as space:
        yield space.run().path


def curve(run: Path) -> list[dict[str, Any]]:
    """What was logged while tuning, without the seconds it took."""
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) | {"elapsed_s": None} for line in lines]


def validation_logits(run: Run) -> Any:
    model = load_model(run.path / "model")
    examples = tuning.tasks.encode_examples(model, runs.load_examples(run)["validation"])
    return model.logits(examples.tokens).numpy()


def tunes(workspace: Path, n_reports: int) -> Callable[[], bool]:
    """Whether the only run has logged that much of its tuning, and can be resumed."""

    def check() -> bool:
        (run,) = [*(workspace / "runs").glob("*")] or [workspace]
        log = run / "metrics.jsonl"
        is_there = (run / api.CHECKPOINT).is_file() and log.is_file()
        return is_there and log.read_bytes().count(b"\n") >= n_reports

    return check


def is_the_same(workspace: Path, uninterrupted: Path) -> None:
    with api.open_workspace(workspace) as space:
        run = space.run()
        assert run.status == "done"
        for name in ("model.safetensors", "head.safetensors"):
            mine, other = run.path / "model" / name, uninterrupted / "model" / name
            assert mine.read_bytes() == other.read_bytes(), name
        assert curve(run.path) == curve(uninterrupted)
        live = api.current_bundle(space)
        logits = validation_logits(run)
        validation = runs.load_examples(run)["validation"]
        served = live.classifier.logits([example.text for example in validation])
        assert np.abs(np.asarray(served) - logits).max() < 1e-5
        report = json.loads((uninterrupted / "report.json").read_text("utf-8"))
        for split in ("validation", "test"):
            assert live.report[split] == report[split]


def test_a_killed_build_goes_on_to_the_very_same_model(
    logs: Path, tiny: Path, start: Start, until: Until, uninterrupted: Path, tmp_path: Path
) -> None:
    build = start(*words(logs, tiny, tmp_path))
    until(tunes(tmp_path, 60))
    build.kill()
    build.communicate()
    assert build.returncode == -signal.SIGKILL
    with api.open_workspace(tmp_path) as space:
        run = space.run()
        assert not runs.done(run, "tune")
        assert run.status == "running"  # nobody was left to say otherwise
    n_killed_at = max(row["step"] for row in curve(run.path))

    done = RUNNER.invoke(app, ["build", str(logs), "-w", str(tmp_path), "--resume"])
    assert done.exit_code == 0, done.stderr
    assert f"resuming run {run.name} with its own settings" in done.stderr
    assert "● read" not in done.stderr
    (resumed,) = [line for line in done.stderr.splitlines() if "resumed: step" in line]
    assert 8 <= int(resumed.split()[2]) <= n_killed_at
    is_the_same(tmp_path, uninterrupted)


def test_ctrl_c_while_tuning_says_how_to_go_on_and_that_goes_on(
    logs: Path, tiny: Path, start: Start, until: Until, uninterrupted: Path, tmp_path: Path
) -> None:
    build = start(*words(logs, tiny, tmp_path))
    until(tunes(tmp_path, 30))
    build.send_signal(signal.SIGINT)
    out, errors = build.communicate(timeout=180)
    assert (build.returncode, out) == (130, "")
    assert "Traceback" not in errors
    assert "stopping after this step; press Ctrl-C again to stop at once" in errors
    sentence = errors.splitlines()[-1]
    assert sentence.startswith("stopped; go on with: tailorbird build --resume ")
    with api.open_workspace(tmp_path) as space:
        assert (space.run().status, space.run().row().note) == (
            "interrupted",
            "stopped while tuning",
        )

    done = RUNNER.invoke(app, shlex.split(sentence.partition("tailorbird ")[2]))
    assert done.exit_code == 0, done.stderr
    is_the_same(tmp_path, uninterrupted)
