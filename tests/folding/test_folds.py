"""A run tuned in folds: each row is judged once by who never saw it, and the best is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tailorbird import api, folding, runs, tuning
from tailorbird.config import EvaluationSettings, Settings
from tailorbird.errors import ConfigError, TuningError
from tailorbird.folding.choosing import (
    ensemble_in_words,
    judge_ensemble,
    judge_soup,
    soup_in_words,
)
from tailorbird.jobs import JobResult
from tailorbird.jobs.folds import Floats, FoldPlan, can_be_judged, left_out
from tailorbird.jobs.soups import Soup
from tailorbird.metrics import log_softmax
from tailorbird.modeling import load_model
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.store import Run, Workspace

PLAN = FoldPlan((0, 1, 2, 0, 1, 2, 0), 3, ("a", "b"), n_seeds=2)


def test_no_row_is_in_both_train_and_left_out_part_of_its_fold() -> None:
    for job in PLAN.fold_jobs(Settings()):
        asked = [row for row in job.predict if row < 7]
        assert not set(job.train) & set(job.predict)
        assert sorted([*job.train, *asked]) == list(range(7))
        assert list(job.validation) == [7, 8, 9] == job.predict[len(asked) :]


def test_each_row_is_left_out_once_a_seed() -> None:
    asked = [row for job in PLAN.fold_jobs(Settings()) for row in job.predict if row < 7]
    assert sorted(asked) == sorted([*range(7)] * 2)


def test_jobs_of_seeds_differ_in_nothing_but_the_seed() -> None:
    first, second = PLAN.whole_jobs(Settings())
    assert (first.settings.tuning.seed, second.settings.tuning.seed) == (0, 1)
    assert (first.train, first.predict, first.labels) == (
        second.train,
        second.predict,
        second.labels,
    )


def result_of(folder: Path, name: str, logits: np.ndarray) -> JobResult:
    path = folder / f"{name}.npy"
    np.save(path, logits.astype(np.float32))
    return JobResult(name, "done", scores={"accuracy": 1.0}, outputs=path)


def test_probabilities_of_seeds_are_averaged_and_each_stands_at_its_row(tmp_path: Path) -> None:
    results = []
    for job in PLAN.fold_jobs(Settings()):
        more = 2.0 * job.settings.tuning.seed
        logits = np.array([[row + more, 0.0] for row in job.predict])
        results.append(result_of(tmp_path, job.name, logits))
    said = left_out(PLAN, results)
    row = np.arange(10.0)
    wanted = (1 / (1 + np.exp(-row)) + 1 / (1 + np.exp(-row - 2))) / 2
    assert np.allclose(np.exp(said[:, 0]), wanted, atol=1e-6)
    assert said.shape == (10, 2)


def test_fold_of_which_no_seed_came_to_an_end_is_named(tmp_path: Path) -> None:
    results = []
    for job in PLAN.fold_jobs(Settings()):
        if job.name.startswith("fold1"):
            results.append(JobResult(job.name, "failed", error="the loss became nan"))
        else:
            results.append(result_of(tmp_path, job.name, np.zeros((len(job.predict), 2))))
    with pytest.raises(TuningError, match="no model of fold 1 came to an end: the loss became nan"):
        left_out(PLAN, results)


def test_label_that_only_one_fold_has_is_not_judged() -> None:
    assert can_be_judged(PLAN, [0, 1, 0, 1, 0, 0, 1, 0, 1, 1]) == [True] * 10
    only_fold_0 = [1, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    judged = can_be_judged(PLAN, only_fold_0)
    assert [row for row, is_judged in enumerate(judged) if not is_judged] == [0, 3]


def ensemble_of(right: int, n_rows: int = 100) -> dict[str, Floats]:
    """A base that is right in 80 rows, and a sure companion with which *right* are."""
    truth_first = np.log([0.9, 0.1]), np.log([0.1, 0.9])
    base = np.array([truth_first[0] if row < 80 else truth_first[1] for row in range(n_rows)])
    sure = np.log([0.999, 0.001]), np.log([0.001, 0.999])
    other = np.array([sure[0] if row < right else sure[1] for row in range(n_rows)])
    return {"all-seed0": base, "fold0-seed0": other}


def test_ensemble_that_does_not_win_is_not_kept() -> None:
    settings, truth = EvaluationSettings(), np.zeros(100, dtype=np.int64)
    level = judge_ensemble(ensemble_of(81), "all-seed0", truth, settings)
    assert not level.wins
    assert "not kept, since chance explains it" in ensemble_in_words(level, 2)
    better = judge_ensemble(ensemble_of(95), "all-seed0", truth, settings)
    assert better.wins
    assert better.gain.value == pytest.approx(0.15)
    assert "a bundle serves one model" in ensemble_in_words(better, 2)


def said_of(right: int, sure: float, n_rows: int = 100) -> Floats:
    """(n_rows, 2) of a model that gives the true class 0 *sure* in *right* rows, else the other."""
    yes, no = np.log([sure, 1 - sure]), np.log([0.4, 0.6])
    return np.array([yes if row < right else no for row in range(n_rows)])


@pytest.mark.parametrize(
    ("soup", "wins", "end"),
    [
        (said_of(80, 0.8), False, "not kept, since it is no better"),
        (said_of(95, 0.9), True, "; kept"),
        (said_of(60, 0.9), False, "not kept, since it is no better"),
    ],
)
def test_soup_is_kept_where_it_is_likelier_by_more_than_chance(
    soup: Floats, wins: bool, end: str
) -> None:
    weights, truth = AdapterWeights(Settings().method, 0, {}, {}), np.zeros(100, dtype=np.int64)
    judged = judge_soup(soup, [said_of(80, 0.8)], truth, EvaluationSettings())
    assert judged.wins == wins
    assert soup_in_words(judged, Soup(weights, (0, 1)), 4).endswith(end)
    assert "there is none" in soup_in_words(judged, Soup(weights, (0,)), 4)


def test_soup_of_seeds_is_compared_with_what_a_seed_gives_on_average() -> None:
    truth, best, worst = np.zeros(100, dtype=np.int64), said_of(90, 0.9), said_of(70, 0.9)
    judged = judge_soup(best, [best, worst], truth, EvaluationSettings())
    assert judged.accuracy.current == pytest.approx(0.8)
    assert judged.wins
    assert not judge_soup(best, [best], truth, EvaluationSettings()).wins


def test_soup_that_is_only_less_sure_of_itself_gains_nothing() -> None:
    base, truth = said_of(80, 0.8), np.zeros(100, dtype=np.int64)
    judged = judge_soup(log_softmax(base / 3), [base], truth, EvaluationSettings())
    assert judged.likelihood.gain.value == pytest.approx(0.0, abs=1e-6)
    assert not judged.wins


@pytest.mark.parametrize("method", ["lora", "full"])
def test_soup_of_seeds_stands_in_the_place_of_tuning_and_is_resumed(
    divided: Run, workspace: Workspace, settings: Settings, method: str
) -> None:
    settings = replace(
        settings,
        method=replace(settings.method, name=method),
        optimizer=replace(settings.optimizer, soup=3),
    )
    said: list[str] = []
    stopped = api.tune(
        divided, workspace, settings, say=said.append, stop=stop_at("1 of 3", said), resume=True
    )
    assert list(stopped) == []
    assert not runs.done(divided, "tune")
    first = divided.path / "folds" / "all-seed0.safetensors"
    made_ns = first.stat().st_mtime_ns
    assert list(api.tune(divided, workspace, settings, say=said.append, resume=True)) == []
    assert first.stat().st_mtime_ns == made_ns  # it was not tuned again
    found = divided.read_json("folds.json")
    members = ["all-seed0", "all-seed1", "all-seed2"]
    assert list(found["members"]) == found["soup"]["members"] == members
    assert "folds" not in found
    assert any(sentence.startswith("soup of 3 of 3: accuracy") for sentence in said)
    assert any(sentence.startswith("all-seed1, epoch 1.0: loss") for sentence in said)

    model = load_model(divided.path / "model")
    assert divided.read_json("tune.json")["settings"]["answers_in"] == model.asked_in
    assert any(sentence.startswith(f"answers in: {model.asked_in} (") for sentence in said)
    validation = runs.load_examples(divided)["validation"]
    truth = torch.tensor([model.labels.index(row.label) for row in validation])
    right = (model.logits([row.text for row in validation]).argmax(-1) == truth).double().mean()
    chosen = found["chosen"]
    assert chosen == ("soup" if found["soup"]["wins"] else found["base"])
    wanted = found["soup"]["candidate"] if chosen == "soup" else found["members"][chosen]
    assert right.item() == pytest.approx(wanted)
    api.evaluate(divided, settings)
    assert api.bundle(divided, workspace, settings).predict(["refund order qwert please"])


def stop_at(sentence: str, said: list[str]) -> Callable[[], bool]:
    return lambda: any(sentence in one for one in said)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_folds_take_the_place_of_tuning_and_are_resumed(
    divided: Run, workspace: Workspace, settings: Settings, method: str
) -> None:
    settings = replace(settings, method=replace(settings.method, name=method))
    said: list[str] = []
    stopped = folding.fold(
        divided,
        workspace,
        settings,
        folding.Folds(2),
        say=said.append,
        stop=stop_at("1 of 3", said),
    )
    assert stopped is None
    assert not runs.done(divided, "tune")
    first = divided.path / "folds" / "all-seed0.safetensors"
    made_ns = first.stat().st_mtime_ns
    found = folding.fold(divided, workspace, settings, folding.Folds(2), say=said.append)
    assert found is not None
    assert first.stat().st_mtime_ns == made_ns  # it was not tuned again
    assert [part["n_rows"] for part in found["folds"]] == [42, 42]
    assert found["left_out"]["n_rows"] == 84
    assert found["left_out"]["accuracy"]["low"] <= found["left_out"]["accuracy"]["value"]
    assert set(found["members"]) == {"all-seed0", "fold0-seed0", "fold1-seed0"}
    assert found["chosen"] == ("soup" if found["soup"]["wins"] else "all-seed0")
    assert json.loads((divided.path / "folds.json").read_text("utf-8"))["chosen"] == found["chosen"]
    assert any(sentence.startswith("soup") for sentence in said)
    api.evaluate(divided, settings)
    bundle = api.bundle(divided, workspace, settings)
    assert bundle.predict(["refund order qwert please"])[0].intent == "refund"


def test_soup_of_nothing_is_refused(divided: Run, workspace: Workspace, settings: Settings) -> None:
    none = replace(settings, optimizer=replace(settings.optimizer, soup=0))
    with pytest.raises(ConfigError, match=r"0 seeds tune nothing; use one or more .*soup"):
        list(api.tune(divided, workspace, none))


def test_single_best_is_kept_as_it_was_tuned(
    divided: Run, workspace: Workspace, settings: Settings
) -> None:
    found = folding.fold(divided, workspace, settings, folding.Folds(2))
    assert found is not None
    validation = runs.load_examples(divided)["validation"]
    model = load_model(divided.path / "model")
    logits = model.logits(tuning.tasks.encode_examples(model, validation).tokens)
    if found["chosen"] == "all-seed0":
        outputs = np.load(divided.path / "folds" / "all-seed0.npy")
        assert torch.allclose(logits, torch.from_numpy(outputs), atol=1e-4)
    truth = torch.tensor([model.labels.index(row.label) for row in validation])
    right = (logits.argmax(-1) == truth).double().mean().item()
    name = found["chosen"]
    wanted = found["soup"]["candidate"] if name == "soup" else found["members"][name]
    assert right == pytest.approx(wanted)
