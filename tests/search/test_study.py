"""Studies and trials with jobs that are a formula: the same search, killed or not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tailorbird.config import Settings
from tailorbird.errors import ConfigError
from tailorbird.jobs import Job, JobResult
from tailorbird.records import StepReport
from tailorbird.search.space import parse_space
from tailorbird.search.study import PRUNERS, SAMPLERS, Drawing, TrialStudy
from tailorbird.search.trials import Bench, Launch, OnReport, Trial, run_trials, told

OVER = ["tuning.learning_rate=1e-4..1e-2:log", "method.rank=2..16", "tuning.schedule=linear,cosine"]
SPACE = parse_space(OVER, Settings())
N_VALIDATIONS = 3


def score_of(settings: Settings) -> float:
    """Best at a rate of 1e-3 and a high rank."""
    distance = math.log10(settings.tuning.learning_rate or 1e-3) + 3
    return 0.9 - 0.2 * distance**2 + 0.002 * settings.method.rank


def report(k: int, score: float) -> StepReport:
    return StepReport("validation", k, 3, float(k), 1 - score, 0.0, 0, 0.0, {"accuracy": score})


class Killed(BaseException):
    """What a test raises where a process would die."""


def formula(
    *,
    fails: Callable[[Settings], bool] = lambda _: False,
    dies_after: float = math.inf,
    ran: list[str] | None = None,
) -> Launch:
    """Jobs that are done at once; *ran* hears each report, after so many the process dies."""
    heard: list[str] = [] if ran is None else ran

    def launch(jobs: Sequence[Job], on_report: OnReport) -> Iterator[JobResult]:
        for job in jobs:
            if fails(job.settings):
                yield JobResult(job.name, "failed", error="the loss became nan at step 3")
                continue
            score, is_stopped = score_of(job.settings), False
            for k in range(1, N_VALIDATIONS + 1):
                if len(heard) >= dies_after:
                    raise Killed
                heard.append(job.name)
                now = score * k / N_VALIDATIONS
                if on_report(job.name, report(k, now)):
                    is_stopped = True
                    break
            status = "stopped" if is_stopped else "done"
            yield JobResult(job.name, status, scores={"accuracy": now}, loss=1 - now)  # type: ignore[arg-type]

    return launch


def studied(path: Path, *, sampler: str = "tpe", pruner: str = "none", **more: Any) -> TrialStudy:
    drawing = Drawing(SPACE, more.pop("seed", 0), N_VALIDATIONS)
    return TrialStudy(path / "study.jsonl", drawing, sampler=sampler, pruner=pruner, **more)


def bench(launch: Launch, *, by_loss: bool = False, n_workers: int = 1) -> Bench:
    return Bench(Settings(), 10, 5, by_loss, launch, n_workers)


def facts(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    return [(one.number, one.state, one.values, one.value) for one in trials]


def searched(
    path: Path, launch: Launch | None = None, *, n_trials: int = 14, **more: Any
) -> TrialStudy:
    study = studied(path, **more)
    list(run_trials(study, bench(launch or formula()), n_trials=n_trials))
    return study


@pytest.mark.parametrize("pruner", PRUNERS)
def test_search_killed_and_resumed_equals_uninterrupted_search(pruner: str, tmp_path: Path) -> None:
    heard: list[str] = []
    (tmp_path / "whole").mkdir()
    whole = facts(told(searched(tmp_path / "whole", formula(ran=heard), pruner=pruner)))
    for dies_after in (2, len(heard) - 2):
        place = tmp_path / str(dies_after)
        place.mkdir()
        with pytest.raises(Killed):
            searched(place, formula(dies_after=dies_after), pruner=pruner)
        assert studied(place, pruner=pruner).unfinished()
        assert facts(told(searched(place, pruner=pruner))) == whole


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_draws_the_same_with_the_same_seed(sampler: str, tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        found.append(facts(told(searched(tmp_path / name, sampler=sampler, n_trials=10))))
    assert found[0] == found[1]
    assert len({str(values) for _, _, values, _ in found[0]}) >= 9


def test_another_seed_draws_others(tmp_path: Path) -> None:
    one = searched(tmp_path, n_trials=3, sampler="random")
    (tmp_path / "b").mkdir()
    other = searched(tmp_path / "b", n_trials=3, sampler="random", seed=1)
    assert facts(told(one)) != facts(told(other))


def test_a_sampler_that_learns_gets_nearer(tmp_path: Path) -> None:
    trials = told(searched(tmp_path, n_trials=24))
    early, late = ([one.value for one in part] for part in (trials[:8], trials[16:]))
    assert sum(late) > sum(early)  # type: ignore[arg-type]


def test_a_grid_is_gone_through_once_and_then_ends(tmp_path: Path) -> None:
    space = parse_space(["method.rank=2,4,8", "tuning.schedule=linear,cosine"], Settings())
    study = TrialStudy(
        tmp_path / "study.jsonl", Drawing(space, 0, 3), sampler="grid", pruner="none"
    )
    trials = list(run_trials(study, bench(formula()), n_trials=100))
    assert len({str(one.values) for one in trials}) == len(trials) == 6
    assert {one.state for one in trials} == {"done"}


def test_a_poor_trial_is_pruned_and_never_the_best(tmp_path: Path) -> None:
    study = searched(tmp_path, pruner="median", sampler="random", n_trials=20)
    states = {one.state for one in told(study)}
    assert states == {"done", "pruned"}
    pruned = [one for one in told(study) if one.state == "pruned"]
    best = study.best
    assert best is not None
    assert all(one.value is not None and one.value < best.value for one in pruned)  # type: ignore[operator]
    assert all(one.result["scores"] for one in pruned)


def test_a_trial_that_fails_fails_alone(tmp_path: Path) -> None:
    study = searched(tmp_path, formula(fails=lambda s: s.method.rank > 8), n_trials=12)
    states = [one.state for one in told(study)]
    assert {"failed", "done"} == set(states)
    failed = next(one for one in told(study) if one.state == "failed")
    assert failed.result["error"] == "the loss became nan at step 3"
    assert failed.value is None


def test_a_score_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    def launch(jobs: Sequence[Job], on_report: OnReport) -> Iterator[JobResult]:
        for job in jobs:
            yield JobResult(job.name, "done", scores={"accuracy": math.nan}, loss=math.nan)

    (trial,) = told(searched(tmp_path, launch, n_trials=1))
    assert (trial.state, trial.result["loss"]) == ("failed", None)


def test_by_loss_the_lowest_wins(tmp_path: Path) -> None:
    study = studied(tmp_path, maximize=False, sampler="random")
    trials = list(run_trials(study, bench(formula(), by_loss=True), n_trials=6))
    assert study.best is not None
    assert study.best.value == min(one.value for one in trials if one.value is not None)


def test_of_equal_scores_the_lower_loss_wins(tmp_path: Path) -> None:
    def launch(jobs: Sequence[Job], on_report: OnReport) -> Iterator[JobResult]:
        for job in jobs:
            yield JobResult(job.name, "done", scores={"f1": 0.5}, loss=1 / job.settings.method.rank)

    study = searched(tmp_path, launch, n_trials=6, sampler="random")
    ranks = [one.values["method.rank"] for one in told(study)]
    best = study.best
    assert best is not None
    assert best.params["method.rank"] == max(ranks)  # type: ignore[type-var]


def test_values_tried_before_are_not_tuned_again(tmp_path: Path) -> None:
    space = parse_space(["tuning.schedule=linear,cosine"], Settings())
    study = TrialStudy(tmp_path / "s.jsonl", Drawing(space, 0, 3), sampler="tpe", pruner="none")
    ran: list[str] = []
    trials = list(run_trials(study, bench(formula(ran=ran)), n_trials=14))
    assert len(trials) == 14
    assert len(set(ran)) < 14
    again = [one for one in trials if "same_as" in one.result]
    assert again
    assert {one.value for one in again} <= {one.value for one in trials if one not in again}


def test_proposed_values_are_the_first_trial(tmp_path: Path) -> None:
    study = studied(tmp_path)
    study.propose({"method.rank": 8})
    study.propose({"method.rank": 8})
    first, second = list(run_trials(study, bench(formula()), n_trials=2))
    assert first.values["method.rank"] == 8
    assert second.values["method.rank"] != 8


def test_a_stopped_search_leaves_its_trials_open(tmp_path: Path) -> None:
    asked = False

    def stop() -> bool:
        return asked

    def launch(jobs: Sequence[Job], on_report: OnReport) -> Iterator[JobResult]:
        nonlocal asked
        yield from formula()(jobs[:2], on_report)
        asked = True

    study = studied(tmp_path)
    trials = list(run_trials(study, bench(launch), n_trials=14, stop=stop))
    assert [one.number for one in trials] == [0, 1]
    assert study.unfinished() == [2, 3, 4, 5, 6, 7]
    assert facts(told(searched(tmp_path))) == facts(told(searched_apart(tmp_path)))


def searched_apart(path: Path) -> TrialStudy:
    (path / "apart").mkdir()
    return searched(path / "apart")


def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    whole = facts(told(searched(tmp_path, n_trials=5)))
    journal = tmp_path / "study.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"wor')
    (tmp_path / "study.jsonl.lock").symlink_to(journal)
    study = searched(tmp_path, n_trials=6)
    assert facts(told(study))[:5] == whole
    assert len(told(study)) == 6
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_trial_killed_between_two_values_gets_those_it_would_have_had(tmp_path: Path) -> None:
    whole = facts(told(searched(tmp_path, n_trials=1)))
    journal = tmp_path / "study.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    first_value = next(k for k, line in enumerate(lines) if '"param_name"' in line)
    journal.write_text("".join(lines[: first_value + 1]))
    assert facts(told(searched(tmp_path, n_trials=1))) == whole


def test_processes_take_a_wave_each(tmp_path: Path) -> None:
    sizes: list[int] = []

    def launch(jobs: Sequence[Job], on_report: OnReport) -> Iterator[JobResult]:
        sizes.append(len(jobs))
        yield from formula()(jobs, on_report)

    list(run_trials(studied(tmp_path), bench(launch, n_workers=3), n_trials=14))
    assert sizes == [8, 3, 3]


def test_importances_need_a_few_trials(tmp_path: Path) -> None:
    assert searched(tmp_path, n_trials=3).importances() == {}
    found = searched(tmp_path, n_trials=30, sampler="random").importances()
    assert set(found) == {dimension.key for dimension in SPACE}
    assert max(found, key=found.__getitem__) == "tuning.learning_rate"
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(("sampler", "pruner"), [("tpee", "none"), ("tpe", "medium")])
def test_names_that_are_none_are_said_with_those_that_are(
    sampler: str, pruner: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="use one of"):
        studied(tmp_path, sampler=sampler, pruner=pruner)
