"""A search killed or stopped in the middle of a trial finds, going on, what it would have found."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app

RUNNER = CliRunner()
SETTINGS = (
    *("tuning.n_epochs=4", "tuning.patience=0", "tuning.dtype=float32", "tuning.batch_size=8"),
    *("model.encoder_dropout=0.1", "method.name=lora"),
)
OVER = ("tuning.learning_rate=1e-4..1e-2:log", "method.rank=2..8", "model.freeze_layers=0,1")
Start = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], bool]], None]


def words(logs: Path, tiny: Path, workspace: Path) -> list[str]:
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    options += [word for dimension in OVER for word in ("--over", dimension)]
    options += ["--pruner", "median", "--trials", "6", "--seed", "3"]
    return ["search", str(logs), "-w", str(workspace), "--backbone", str(tiny), *options]


def trials_of(workspace: Path) -> list[dict[str, Any]]:
    """All that was found, without the seconds it took."""
    (path,) = (workspace / "runs").glob("*/search.json")
    timed = ("train_s", "core_s")
    trials = json.loads(path.read_text("utf-8"))["trials"]
    return [{key: fact for key, fact in one.items() if key not in timed} for one in trials]


@pytest.fixture(scope="module")
def uninterrupted(
    logs: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    workspace = tmp_path_factory.mktemp("uninterrupted")
    done = RUNNER.invoke(app, words(logs, tiny, workspace))
    assert done.exit_code == 0, done.stderr
    return trials_of(workspace)


def searches(workspace: Path, n_reports: int) -> Callable[[], bool]:
    """Whether so many validations are noted, and the search is in the middle of a trial."""

    def check() -> bool:
        journals = [*(workspace / "runs").glob("*/search/study.jsonl")]
        return bool(journals) and journals[0].read_bytes().count(b'"op_code":7') >= n_reports

    return check


def test_a_killed_search_goes_on_to_the_very_same_trials(
    logs: Path,
    tiny: Path,
    start: Start,
    until: Until,
    uninterrupted: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    search = start(*words(logs, tiny, tmp_path))
    until(searches(tmp_path, 6))
    search.kill()
    search.communicate()
    assert search.returncode == -signal.SIGKILL

    done = RUNNER.invoke(app, ["search", "--resume", "-w", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    assert trials_of(tmp_path) == uninterrupted
    assert len(uninterrupted) == 6


def test_ctrl_c_while_searching_says_how_to_go_on_and_that_goes_on(
    logs: Path,
    tiny: Path,
    start: Start,
    until: Until,
    uninterrupted: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    search = start(*words(logs, tiny, tmp_path))
    until(searches(tmp_path, 3))
    search.send_signal(signal.SIGINT)
    out, errors = search.communicate(timeout=180)
    assert (search.returncode, out) == (130, "")
    (advice,) = [line for line in errors.splitlines() if line.startswith("stopped; go on with: ")]
    assert len(trials_of(tmp_path)) < 6

    done = RUNNER.invoke(app, advice.removeprefix("stopped; go on with: tailorbird ").split())
    assert done.exit_code == 0, done.stderr
    assert trials_of(tmp_path) == uninterrupted
