"""Trials are adapter jobs: values are drawn, tuned with in waves, and what comes out is told.

A wave is what may be drawn before anything of it is known: as many trials as there are processes
where the sampler goes by results, all that are left where it does not. So with one process and the
same seed a search always goes the same way, killed in between or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tailorbird.config import Settings
from tailorbird.jobs import Job, JobResult
from tailorbird.records import StepReport
from tailorbird.search.space import Value, with_values
from tailorbird.search.study import LEARNING, N_STARTUP, RESULT, TrialStudy

MAX_WAVE = 64
OnReport = Callable[[str, StepReport], bool]
Launch = Callable[[Sequence[Job], OnReport], Iterator[JobResult]]
"""Tunes every job and yields results as they come; ends early where the search is to stop."""

STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that is over."""

    number: int
    state: str
    """``done``, ``pruned`` (given up early) or ``failed``."""
    values: dict[str, Value]
    """By ``section.key``."""
    value: float | None
    """What is searched for; of a pruned trial at its last validation."""
    result: dict[str, Any] = field(default_factory=dict)
    """``scores``, ``loss``, ``train_s``, ``error``, ``weights``, …; ``same_as`` which trial."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What the trials of one search have in common."""

    settings: Settings
    n_train: int
    n_validation: int
    """Of the pool the training rows come first, then those of validation."""
    by_loss: bool
    """Whether the lowest validation loss wins; else the highest first score of the task."""
    launch: Launch
    n_workers: int

    def job(self, number: int, values: dict[str, Value]) -> Job:
        """The job of a trial."""
        return Job(
            name=f"trial-{number:04d}",
            train=range(self.n_train),
            validation=range(self.n_train, self.n_train + self.n_validation),
            settings=with_values(self.settings, values),
        )

    def objective(self, scores: dict[str, float], loss: float) -> float:
        """The number that the search makes high (or low, where it is the loss)."""
        return loss if self.by_loss else next(iter(scores.values()), math.nan)


def run_trials(
    study: TrialStudy, bench: Bench, *, n_trials: int, stop: Callable[[], bool] = lambda: False
) -> Iterator[Trial]:
    """Do *n_trials* in all, those of before counted; yields each as it is over.

    Where *stop* ends it, trials that were begun stay open, to be gone on with another time.
    """
    while not stop():
        numbers = study.unfinished() or _wave(study, bench.n_workers, n_trials)
        if not numbers:
            return
        before = {_key(trial.values): trial for trial in told(study) if trial.state == "done"}
        jobs: list[Job] = []
        for number in numbers:
            values = study.values(number)
            same = before.get(_key(values))
            if same is None:
                jobs.append(bench.job(number, values))
            else:
                result = same.result | {"same_as": same.number, "train_s": 0.0, "core_s": 0.0}
                study.tell(number, result, same.value, "done")
                yield _told(study, number)
        heard = _reporter(study, bench)
        for job_result in bench.launch(jobs, heard) if jobs else ():
            number = number_of(job_result.name)
            _tell(study, bench, number, job_result)
            yield _told(study, number)
        if jobs and len(study.unfinished()) == len(jobs):
            return  # nothing came back: the search is stopped


def told(study: TrialStudy) -> list[Trial]:
    """Every trial that is over, by number."""
    return [_trial(study, one) for one in study.trials if one.state.is_finished()]


def number_of(job_name: str) -> int:
    """The trial that a job belongs to.

    >>> number_of("trial-0012")
    12
    """
    return int(job_name.rpartition("-")[2])


def _wave(study: TrialStudy, n_workers: int, n_trials: int) -> list[int]:
    """Begin as many trials as can be drawn before any of them is over; their numbers."""
    most = n_trials if study.n_most is None else min(n_trials, study.n_most)
    over = [trial for trial in study.trials if trial.state.is_finished()]
    size = MAX_WAVE
    if study.sampler in LEARNING:
        n_known = sum(trial.state != TrialState.FAIL for trial in over)
        size = max(n_workers, N_STARTUP - n_known)
    return [study.ask() for _ in range(min(size, most - len(over)))]


def _reporter(study: TrialStudy, bench: Bench) -> OnReport:
    """Hears of validations; True where the pruner gives the trial up."""

    def heard(name: str, report: StepReport) -> bool:
        if report.event != "validation":
            return False
        value = bench.objective(dict(report.metrics), report.loss)
        per_epoch = bench.settings.tuning.validations_per_epoch
        k = max(1, round(report.epoch * per_epoch))
        return study.report(number_of(name), value, k)

    return heard


def _tell(study: TrialStudy, bench: Bench, number: int, found: JobResult) -> None:
    result = {
        "scores": dict(found.scores),
        "loss": found.loss,
        "best_step": found.best_step,
        "n_steps": found.n_steps,
        "train_s": found.train_s,
        "core_s": found.core_s,
        "error": found.error,
        "weights": str(found.weights or ""),
    }
    value = bench.objective(found.scores, found.loss)
    state = {"stopped": "pruned"}.get(found.status, found.status)
    if state == "done" and not math.isfinite(value):
        state, result["error"] = "failed", f"validation gave {value}"
    result = {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in result.items()
    }
    study.tell(number, result, value, state)


def _told(study: TrialStudy, number: int) -> Trial:
    return _trial(study, study.trials[number])


def _trial(study: TrialStudy, one: FrozenTrial) -> Trial:
    return Trial(
        number=one.number,
        state=STATES[one.state],
        values=study.values_of(one),
        value=one.value,
        result=dict(one.user_attrs.get(RESULT, {})),
    )


def _key(values: dict[str, Value]) -> tuple[tuple[str, str], ...]:
    return tuple((key, repr(value)) for key, value in values.items())
