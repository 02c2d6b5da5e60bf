"""Adapter jobs: each is tuned as if it were alone, fails alone, and is gone on with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tailorbird.config import Settings, override_settings
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.records import Example
from tailorbird.tuning.jobs import Job, run_jobs
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
