"""Adapter jobs: each is tuned as if it were alone, fails alone, and is gone on with."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tailorbird.config import ModelSettings, Settings, override_settings
from tailorbird.errors import ConfigError
from tailorbird.jobs import Job, run_jobs
from tailorbird.jobs.shared_base import SharedBase
from tailorbird.modeling import build_model, save_model
from tailorbird.modeling.adapters.weights import AdapterWeights, trunk_hash
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.records import Example, StepReport
from tailorbird.tuning import tune
from tailorbird.weights import BackboneFolder, resolve_backbone

WORDS = {"parcel": "where is my parcel {}", "refund": "refund {} please", "hello": "hi {}"}
POOL = [Example(t.format(i), label) for i in range(12) for label, t in WORDS.items()]

QUICK = ["tuning.n_epochs=2", "tuning.batch_size=8", "tuning.dtype=float32", "model.dropout=0.1"]
LORA = [*QUICK, "method.name=lora", "method.rank=4", "model.freeze_layers=1"]


def settings(*overrides: str, base: Sequence[str] = LORA) -> Settings:
    return override_settings(Settings(), [*base, *overrides])


def job(name: str, *overrides: str, **options: Any) -> Job:
    rows: dict[str, Any] = {"train": range(18), "validation": range(18, 27)}
    return Job(name, settings=settings(*overrides), **rows | options)


@pytest.fixture
def base(tiny_backbone: Path) -> BackboneFolder:
    return resolve_backbone(str(tiny_backbone), cache=tiny_backbone)


def weights_of(folder: Path, name: str) -> AdapterWeights:
    return AdapterWeights.load(folder / f"{name}.safetensors")


def is_equal(one: AdapterWeights, other: AdapterWeights) -> bool:
    mine, theirs = one.named(), other.named()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_a_job_leaves_weights_outputs_and_scores(base: BackboneFolder, tmp_path: Path) -> None:
    (result,) = run_jobs(base, POOL, [job("ada", predict=[30, 31])], tmp_path)
    assert (result.name, result.status, result.error) == ("ada", "done", "")
    assert result.labels == ("hello", "parcel", "refund")
    assert set(result.scores) == {"accuracy", "macro_f1"}
    assert result.n_steps == 6
    assert result.outputs is not None
    assert np.load(result.outputs).shape == (2, 3)
    kept = weights_of(tmp_path, "ada")
    assert kept.labels == result.labels
    assert kept.n_frozen == 1
    assert kept.head["linear.weight"].shape == (3, 32)
    assert kept.facts["n_rows"] == 18


def test_the_second_call_gives_what_is_there(base: BackboneFolder, tmp_path: Path) -> None:
    jobs = [job("ada"), job("bo", "tuning.seed=1")]
    first = list(run_jobs(base, POOL, jobs, tmp_path))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    assert list(run_jobs(base, POOL, jobs, tmp_path)) == first
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_job_that_changed_is_done_anew(base: BackboneFolder, tmp_path: Path) -> None:
    list(run_jobs(base, POOL, [job("ada")], tmp_path))
    (again,) = run_jobs(base, POOL, [job("ada", train=range(10))], tmp_path)
    assert again.n_steps == 4


@pytest.mark.parametrize("method", ["lora", "full", "bitfit", "head", "prefix", "adalora"])
def test_a_job_does_not_notice_its_neighbours(
    base: BackboneFolder, tmp_path: Path, method: str
) -> None:
    last = job("last", f"method.name={method}")
    before = [job("full", "method.name=full"), job("lora", "tuning.seed=5"), last]
    list(run_jobs(base, POOL, [last], tmp_path / "alone"))
    assert [r.error for r in run_jobs(base, POOL, before, tmp_path / "after")] == ["", "", ""]
    alone, after = (weights_of(tmp_path / name, "last") for name in ("alone", "after"))
    assert is_equal(alone, after)
    assert alone.hash == after.hash


def test_processes_give_the_weights_of_one_after_another(
    base: BackboneFolder, tmp_path: Path
) -> None:
    jobs = [job(f"j{k}", f"tuning.seed={k}", predict=[35]) for k in range(4)]
    reports: list[tuple[str, str]] = []

    def hear(name: str, report: StepReport) -> bool:
        reports.append((name, report.event))
        return name == "j1"

    here = list(run_jobs(base, POOL, jobs, tmp_path / "1", n_workers=1, on_report=hear))
    heard_here, reports = reports, []
    there = list(run_jobs(base, POOL, jobs, tmp_path / "2", n_workers=2, on_report=hear))
    assert sorted(reports) == sorted(heard_here)
    assert [result.status for result in here] == ["done", "stopped", "done", "done"]
    for one, other in zip(here, sorted(there, key=lambda result: result.name), strict=True):
        assert (one.name, one.status, one.scores) == (other.name, other.status, other.scores)
        assert is_equal(*(weights_of(tmp_path / part, one.name) for part in "12"))
        assert one.outputs is not None
        assert other.outputs is not None
        assert np.array_equal(np.load(one.outputs), np.load(other.outputs))


def test_a_killed_process_fails_its_job_alone(base: BackboneFolder, tmp_path: Path) -> None:
    def kill(name: str, report: StepReport) -> bool:
        others_are_done = all((tmp_path / f"{one}.json").is_file() for one in ("first", "last"))
        if name == "j2" and others_are_done:  # nobody else is killed with it
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGKILL)
        return False

    long = job("j2", "tuning.seed=9", "tuning.n_epochs=3000", "tuning.patience=0")
    jobs = [job("first"), long, job("last", "tuning.seed=1")]
    results = run_jobs(base, POOL, jobs, tmp_path, n_workers=2, on_report=kill)
    found = {result.name: result for result in results}
    assert {name: found[name].status for name in found} == {
        "first": "done",
        "j2": "failed",
        "last": "done",
    }
    assert "signal 9" in found["j2"].error
    (again,) = run_jobs(base, POOL, [job("j2", "tuning.seed=9")], tmp_path)
    assert again.status == "done"


def test_what_was_begun_is_gone_on_with(base: BackboneFolder, tmp_path: Path) -> None:
    jobs = [job("ada", "optimizer.average=ema"), job("bo")]
    n_asked = 0

    def stop() -> bool:
        nonlocal n_asked
        n_asked += 1
        return n_asked == 6

    assert list(run_jobs(base, POOL, jobs, tmp_path / "parts", stop=stop)) == []
    assert (tmp_path / "parts" / "ada.state").is_file()
    first, second = run_jobs(base, POOL, jobs, tmp_path / "parts")
    whole = list(run_jobs(base, POOL, jobs, tmp_path / "whole"))
    assert [first.scores, second.scores] == [result.scores for result in whole]
    assert first.n_steps == whole[0].n_steps
    for name in ("ada", "bo"):
        assert is_equal(*(weights_of(tmp_path / part, name) for part in ("parts", "whole")))
    assert not (tmp_path / "parts" / "ada.state").exists()


def test_a_call_that_is_left_keeps_what_processes_had_begun(
    base: BackboneFolder, tmp_path: Path
) -> None:
    jobs = [job("quick"), job("slow", "tuning.n_epochs=400")]
    calls = run_jobs(base, POOL, jobs, tmp_path, n_workers=2)
    assert next(calls).name == "quick"
    calls.close()
    assert (tmp_path / "slow.state").is_file()
    assert multiprocessing.active_children() == []


def test_one_of_a_thousand_jobs_has_a_value_that_is_no_number(
    base: BackboneFolder, tmp_path: Path
) -> None:
    quick = settings("tuning.n_epochs=1", "method.name=head")
    bad = replace(quick, tuning=replace(quick.tuning, learning_rate=float("inf"), n_epochs=4))
    jobs = [Job(f"j{k}", [k % 30, 31], (), bad if k == 500 else quick) for k in range(1000)]
    found = list(run_jobs(base, POOL, jobs, tmp_path, n_workers=1))
    assert [r.name for r in found if r.status == "failed"] == ["j500"]
    assert "loss became nan" in found[500].error
    assert sum(r.status == "done" for r in found) == 999


def test_one_row_and_one_class_are_enough(base: BackboneFolder, tmp_path: Path) -> None:
    jobs = [
        Job("row", [0], (), settings()),
        Job("class", [0, 3, 6], [9], settings(), predict=[1]),
        Job("head", [0], (), settings("method.name=head")),
    ]
    found = list(run_jobs(base, POOL, jobs, tmp_path))
    assert [(r.status, r.error, r.labels) for r in found] == [("done", "", ("parcel",))] * 3
    assert found[1].outputs is not None
    assert np.isfinite(np.load(found[1].outputs)).all()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"train": []}, "no row to train on"),
        ({"validation": (), "settings": Settings()}, "set tuning.n_epochs"),
        ({"labels": ("hello",)}, "'parcel' is none of the model's"),
        ({"from_base": True}, "no head of the task"),
        ({"settings": settings("method.name=lora", "model.freeze_layers=9")}, "has 2 layers"),
    ],
)
def test_a_job_that_cannot_be_tuned_says_why(
    base: BackboneFolder, tmp_path: Path, options: dict[str, Any], error: str
) -> None:
    bad = replace(job("bad"), **options)
    first, second = run_jobs(base, POOL, [bad, job("good")], tmp_path)
    assert (first.status, second.status) == ("failed", "done")
    assert error in first.error


@pytest.mark.parametrize(
    ("jobs", "error"),
    [
        ([job("a/b")], "cannot be named so"),
        ([job("ada"), job("Ada")], "two of this name"),
        ([job("ada", predict=[36])], "row 36 is not in the pool"),
    ],
)
def test_jobs_that_cannot_be_told_apart_are_refused(
    base: BackboneFolder, tmp_path: Path, jobs: list[Job], error: str
) -> None:
    with pytest.raises(ConfigError, match=error):
        next(run_jobs(base, POOL, jobs, tmp_path))


@pytest.mark.parametrize("ending", [".safetensors", ".npy", ".json"])
def test_a_full_disk_fails_a_job_and_leaves_its_old_files(
    base: BackboneFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    list(run_jobs(base, POOL, [job("ada", predict=[1])], tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.glob("ada.*")}
    write = Path.replace

    def full(self: Path, target: Any) -> Path:
        if str(target).endswith(f"ada{ending}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, target)

    monkeypatch.setattr(Path, "replace", full)
    changed = [job("ada", "tuning.seed=3", predict=[1]), job("bo")]
    first, second = run_jobs(base, POOL, changed, tmp_path)
    assert (first.status, second.status) == ("failed", "done")
    assert "No space left" in first.error
    kept = tmp_path / f"ada{ending}"
    assert kept.read_bytes() == before[kept]
    assert [path.name for path in tmp_path.glob(".*")] == []
    monkeypatch.undo()
    (again, _) = run_jobs(base, POOL, changed, tmp_path)
    assert again.status == "done"


def test_a_job_from_the_base_starts_with_its_head_and_adds_labels(
    base: BackboneFolder, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = build_model(base, ["refund", "hello"], settings=ModelSettings())
    save_model(model, tmp_path / "model", backbone=base.path)
    still = job("still", "tuning.learning_rate=1e-12", validation=(), from_base=True)
    (result,) = run_jobs(tmp_path / "model", POOL, [still], tmp_path / "jobs")
    assert result.labels == ("refund", "hello", "parcel")
    head = weights_of(tmp_path / "jobs", "still").head["linear.weight"]
    assert torch.allclose(head[:2], model.head.linear.weight, atol=1e-6)
    assert not torch.allclose(head[2], torch.zeros(32), atol=1e-3)


def test_after_jobs_the_backbone_is_as_pretrained(base: BackboneFolder) -> None:
    shared = SharedBase(base, POOL, dtype="float32", cache=TrunkCache())
    before = trunk_hash(build_model(base, ["-"], settings=ModelSettings()).backbone)
    for method in ("full", "lora", "bitfit"):
        start = shared.begin(job(method, f"method.name={method}"))
        list(tune(start.run, start.train, start.validation))
        assert trunk_hash(start.run.model.backbone) != before
        assert shared.trunk == before
        del shared.trunk
