"""Trackers: what TensorBoard is told, read back by TensorBoard itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tailorbird.connectors import TRACKERS, open_tracker
from tailorbird.errors import ConfigError
from tailorbird.records import StepReport

STEP = StepReport(
    event="step",
    step=1,
    n_steps=4,
    epoch=0.5,
    loss=2.0,
    learning_rate=1e-3,
    n_tokens=300,
    elapsed_s=2.0,
)
CHECKED = replace(STEP, event="validation", step=2, loss=1.5, metrics={"accuracy": 0.75})


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    """The curve *name* as TensorBoard would draw it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_tensorboard_draws_loss_rate_speed_and_metrics(tmp_path: Path) -> None:
    tracker = open_tracker("tensorboard", tmp_path, "a run")
    for report in (STEP, replace(STEP, step=2, loss=1.0), CHECKED):
        tracker.step(report)
    tracker.close()
    folder = tmp_path / "tensorboard"
    assert scalars(folder, "loss/train") == [(1, 2.0), (2, 1.0)]
    assert scalars(folder, "loss/validation") == [(2, 1.5)]
    assert scalars(folder, "accuracy/validation") == [(2, 0.75)]
    assert scalars(folder, "tokens_per_s") == [(1, 150.0), (2, 150.0)]
    assert scalars(folder, "learning_rate")[0] == (1, pytest.approx(1e-3))
    assert f"tensorboard --logdir {folder}" in tracker.place


def test_steps_done_again_after_a_kill_replace_the_old_ones(tmp_path: Path) -> None:
    first = open_tracker("tensorboard", tmp_path, "a run")
    for step in (1, 2, 3):
        first.step(replace(STEP, step=step, loss=9.0))
    first.close()
    resumed = open_tracker("tensorboard", tmp_path, "a run")
    for step in (2, 3, 4):
        resumed.step(replace(STEP, step=step, loss=1.0))
    resumed.close()
    assert scalars(tmp_path / "tensorboard", "loss/train") == [(1, 9), (2, 1), (3, 1), (4, 1)]


def test_a_run_without_steps_leaves_no_files(tmp_path: Path) -> None:
    tracker = open_tracker("tensorboard", tmp_path, "a run")
    tracker.say("backbone: minilm")
    tracker.close()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_tracker_suggests_the_nearest(tmp_path: Path) -> None:
    assert "tensorboard" in TRACKERS
    with pytest.raises(ConfigError, match="'tensorbord' is not a tracker; did you mean"):
        open_tracker("tensorbord", tmp_path, "a run")
