"""Weights & Biases and MLflow: what they are told, read back from what they wrote."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tailorbird.connectors import open_tracker
from tailorbird.connectors.run_folder import results_of, settings_of
from tailorbird.records import StepReport

STEP = StepReport("step", 1, 4, 0.5, 2.0, 1e-3, 300, 2.0)
CHECKED = replace(STEP, event="validation", step=2, loss=1.5, metrics={"accuracy": 0.75})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that was tuned and tested."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    write(folder / "settings.json", {"tuning": {"epochs": 3}})
    return folder


def write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value), encoding="utf-8")


def watch(kind: str, folder: Path, reports: list[StepReport], *, is_last: bool = True) -> None:
    """One process's share of a run: decisions, reports, and at the end the results."""
    tracker = open_tracker(kind, folder, "first")
    tracker.stage("tune")
    tracker.say("backbone: minilm (99 % English)")
    for report in reports:
        tracker.step(report)
    if is_last:
        write(folder / "tune.json", {"settings": {"batch": 32}, "tokens_per_s": 150.0})
        write(
            folder / "report.json", {"test": {"accuracy": {"value": 0.9, "low": 0.8}, "ece": 0.1}}
        )
    tracker.close()


def records(folder: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file: LevelDB's log format in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob("*.wandb")
    data, place, whole = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        _, size, part = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if part in (1, 4):  # whole, or the last of several parts
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def test_settings_and_results_are_read_from_the_run(run: Path) -> None:
    write(run / "tune.json", {"settings": {"batch": 32}, "best_step": 4, "backbone": "minilm"})
    write(run / "report.json", {"test": {"accuracy": {"value": 0.9}, "split": "test"}})
    assert settings_of(run) == {"tuning.epochs": 3, "plan.batch": 32}
    assert results_of(run) == {"best_step": 4.0, "test.accuracy": 0.9}


def test_wandb_keeps_curves_settings_results_and_decisions_offline(run: Path) -> None:
    watch("wandb", run, [STEP, CHECKED], is_last=False)
    watch("wandb", run, [replace(STEP, step=3, loss=1.0)])
    first, second = sorted((run / "wandb").glob("offline-run-*"))
    rows: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    ids, notes = set(), ""
    for folder in (first, second):
        for record in records(folder):
            if record.HasField("history"):
                items = record.history.item
                rows.append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in items})
            for change in (*record.run.config.update, *record.config.update):
                key = change.key or ".".join(change.nested_key)
                config[key] = json.loads(change.value_json)
            for change in (*record.summary.update, *record.run.summary.update):
                key = change.key or ".".join(change.nested_key)
                summary[key] = json.loads(change.value_json)
            if record.HasField("run"):
                ids.add(record.run.run_id)
                notes = record.run.notes or notes
    assert len(ids) == 1, "a resumed run is the same run"
    assert [(row["step"], row["loss/train"]) for row in rows if "loss/train" in row] == [
        (1, 2.0),
        (3, 1.0),
    ]
    assert [row["accuracy/validation"] for row in rows if row["step"] == 2] == [0.75]
    assert (config["tuning.epochs"], config["plan.batch"]) == (3, 32)
    assert (summary["test.accuracy"], summary["tokens_per_s"]) == (0.9, 150.0)
    assert "backbone: minilm" in notes


def test_wandb_is_online_only_where_the_user_asks(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailorbird.connectors.wandb_run import WandbRun

    assert WandbRun(run, "first").mode == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert WandbRun(run, "first").mode == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert WandbRun(run, "first").mode == "disabled"


def test_mlflow_keeps_curves_settings_results_and_decisions(run: Path) -> None:
    watch("mlflow", run, [STEP, CHECKED], is_last=False)
    watch("mlflow", run, [replace(STEP, step=3, loss=1.0)])
    with warnings.catch_warnings(action="ignore"):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{run.parent / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("tailorbird")
        (found,) = client.search_runs([experiment.experiment_id])  # a resumed run is the same run
        curve = client.get_metric_history(found.info.run_id, "loss/train")
    assert sorted((point.step, point.value) for point in curve) == [(1, 2.0), (3, 1.0)]
    assert found.data.metrics["accuracy/validation"] == 0.75
    assert found.data.metrics["test.accuracy"] == 0.9
    assert found.data.params == {"tuning.epochs": "3", "plan.batch": "32"}
    assert "backbone: minilm" in found.data.tags["mlflow.note.content"]
    assert (found.info.run_name, found.info.status) == ("first", "FINISHED")


def test_mlflow_writes_where_the_user_says(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    tracker = open_tracker("mlflow", run, "first")
    assert "http://tracking.example:5000" in tracker.place


@pytest.mark.parametrize("kind", ["wandb", "mlflow"])
def test_a_run_without_steps_writes_nothing(run: Path, kind: str) -> None:
    tracker = open_tracker(kind, run, "first")
    tracker.say("nothing to tune")
    tracker.close()
    assert [file.name for file in run.rglob("*")] == ["settings.json"]
    assert list(run.parent.iterdir()) == [run]


@pytest.mark.parametrize("kind", ["wandb", "mlflow"])
def test_a_missing_package_names_its_extra(
    run: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from tailorbird.errors import MissingExtraError

    for name in (kind, f"{kind}.tracking"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"'{kind}' is not installed.*\[tracking\]"):
        open_tracker(kind, run, "first")
