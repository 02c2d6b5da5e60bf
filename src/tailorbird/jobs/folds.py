"""Folds and seeds as adapter jobs, and what they say of rows they were not trained on.

The pool holds the rows that are divided into folds, then those of validation. Each fold and seed is
a job trained on the other folds; validation chooses its best weights, so the fold that it is judged
on has chosen nothing. Whole jobs, one a seed, learn from all folds: what would be made without
folds, and what any gain is measured against.

Shape letters: N divided rows, V validation rows, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailorbird.config import Settings
from tailorbird.errors import TuningError
from tailorbird.jobs.job import Job, JobResult
from tailorbird.metrics import log_softmax

Floats = NDArray[np.float64]

SMALLEST = 1e-12
"""Probabilities below it count as this, so that their logarithms are numbers."""


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """Which fold each of the N divided rows is in, and how many seeds each fold is tuned with."""

    fold_of: tuple[int, ...]
    """-1: in none, where there are no folds."""
    n_validation: int
    labels: tuple[str, ...]
    """Of the heads' outputs."""
    n_seeds: int = 1

    @property
    def n_folds(self) -> int:
        """How many folds there are."""
        return max(self.fold_of) + 1

    @property
    def validation(self) -> range:
        """The rows of the pool that choose the best weights."""
        return range(len(self.fold_of), len(self.fold_of) + self.n_validation)

    def rows(self, fold: int) -> list[int]:
        """The rows that *fold* leaves out."""
        return [row for row, own in enumerate(self.fold_of) if own == fold]

    def fold_jobs(self, settings: Settings) -> list[Job]:
        """A job for each fold and seed.

        >>> plan = FoldPlan((0, 1, 0, 1), 2, ("a", "b"))
        >>> [(job.name, job.train, job.predict) for job in plan.fold_jobs(Settings())]
        [('fold0-seed0', [1, 3], [0, 2, 4, 5]), ('fold1-seed0', [0, 2], [1, 3, 4, 5])]
        """
        jobs = []
        for fold in range(self.n_folds):
            train = [row for row, own in enumerate(self.fold_of) if own != fold]
            for seed in self._seeds(settings):
                predict = [*self.rows(fold), *self.validation]
                jobs.append(self._job(fold_name(fold, seed), train, predict, settings, seed))
        return jobs

    def whole_jobs(self, settings: Settings) -> list[Job]:
        """A job for each seed that leaves no fold out.

        >>> plan = FoldPlan((0, 1, 0, 1), 2, ("a", "b"), n_seeds=2)
        >>> [(job.name, job.train, job.predict) for job in plan.whole_jobs(Settings())]
        [('all-seed0', [0, 1, 2, 3], [4, 5]), ('all-seed1', [0, 1, 2, 3], [4, 5])]
        """
        everything = list(range(len(self.fold_of)))
        return [
            self._job(f"all-seed{seed}", everything, list(self.validation), settings, seed)
            for seed in self._seeds(settings)
        ]

    def _seeds(self, settings: Settings) -> range:
        first = settings.tuning.seed
        return range(first, first + self.n_seeds)

    def _job(
        self, name: str, train: list[int], predict: list[int], settings: Settings, seed: int
    ) -> Job:
        own = replace(settings, tuning=replace(settings.tuning, seed=seed))
        return Job(name, train, list(self.validation), own, predict=predict, labels=self.labels)


def fold_name(fold: int, seed: int) -> str:
    """What the job of a fold and seed is called."""
    return f"fold{fold}-seed{seed}"


def left_out(plan: FoldPlan, results: Sequence[JobResult], *, seed: int = 0) -> Floats:
    """(N + V, C) log-probabilities by models that were not trained on the rows.

    Divided rows are covered by every seed of their fold, validation rows by all folds.

    A job that failed is done without where another seed of its fold did not.

    Raises TuningError where no seed of a fold came to an end.
    """
    n_rows, found = len(plan.fold_of), {result.name: result for result in results}
    log_probs = np.full((n_rows + plan.n_validation, len(plan.labels)), np.nan)
    of_folds = []
    for fold in range(plan.n_folds):
        rows, said = plan.rows(fold), []
        for one in range(seed, seed + plan.n_seeds):
            result = found.get(fold_name(fold, one))
            if result is not None and result.outputs is not None:
                outputs = log_softmax(np.load(result.outputs))  # (rows + V, C)
                said.append(outputs[: len(rows)])
                of_folds.append(outputs[len(rows) :])
        if not said:
            raise TuningError(
                f"no model of fold {fold} came to an end: {_why(found, fold, seed)}",
                cure="mend what its error says, and repeat the command: the rest is kept",
            )
        log_probs[rows] = mean_probs(said)
    log_probs[plan.validation] = mean_probs(of_folds)
    return log_probs


def mean_probs(log_probs: Sequence[Floats]) -> Floats:
    """The logarithm of the mean probability of several members, each (…, C).

    >>> halves = [np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])]
    >>> np.exp(mean_probs(halves)).round(2).tolist()
    [[0.7, 0.3]]
    """
    mean = np.mean([np.exp(part) for part in log_probs], axis=0)
    return np.asarray(np.log(np.maximum(mean, SMALLEST)))


def can_be_judged(plan: FoldPlan, given: Sequence[int]) -> list[bool]:
    """(N + V,) whether the models that judge a row were trained on any row of its label.

    >>> can_be_judged(FoldPlan((0, 1, 0), 1, ("a", "b")), [0, 0, 1, 1])
    [True, True, False, True]
    """
    n_rows = len(plan.fold_of)
    folds_of: dict[int, set[int]] = {}
    for label, fold in zip(given[:n_rows], plan.fold_of, strict=True):
        folds_of.setdefault(label, set()).add(fold)
    divided = [
        bool(folds_of[label] - {fold})
        for label, fold in zip(given[:n_rows], plan.fold_of, strict=True)
    ]
    return [*divided, *(label in folds_of for label in given[n_rows:])]


def _why(found: Mapping[str, JobResult], fold: int, seed: int) -> str:
    result = found.get(fold_name(fold, seed))
    return result.error or "it was stopped" if result is not None else "it was not begun"
