"""Adapters that are tuned, one job a user, over the shared assistant's trunk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tailorbird.config import Settings
from tailorbird.jobs import Job, JobResult, run_jobs
from tailorbird.modeling import TextModel
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.personalise.splitting import UserRows
from tailorbird.personalise.view import UNSEEN_MASS, View
from tailorbird.records import Example


@dataclass(frozen=True)
class JobAdapters:
    """What adapter jobs gave to each user; the shared assistant's answers where one failed.

    A job trains on a user's earlier rows and is stopped by the later ones, so it is the same one
    for validation, test and serving.
    """

    view: View
    model: TextModel
    """The shared assistant."""
    results: dict[str, JobResult]
    """By user; users without a validation row have none."""

    def answers(
        self, user: UserRows, known: Sequence[int], asked: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """As `Adapters` says; to known rows it answers as an adapter does that has seen them."""
        return self._outputs(user, asked), self._outputs(user, known)

    def weights(self, user: UserRows) -> AdapterWeights:
        """The adapter of *user*, who must have one."""
        path = self.results[user.user].weights
        assert path is not None
        return AdapterWeights.load(path)

    def _outputs(self, user: UserRows, rows: Sequence[int]) -> Tensor:
        """(n, C) numbers, or log-probabilities with all of the view's classes."""
        result = self.results.get(user.user)
        if result is None or result.outputs is None:
            return self.view.base_of(rows)
        order = {row: k for k, row in enumerate(user.known + user.test)}
        found = torch.from_numpy(np.load(result.outputs)[[order[row] for row in rows]])
        if self.view.is_numbers:
            numbers: Tensor = self.model.head.numbers(found).double()[:, None]
            return numbers
        log_p = found.double().log_softmax(-1)
        at = [self.view.labels.index(label) for label in result.labels]
        n_missing = len(self.view.labels) - len(at)
        if not n_missing:
            return log_p[:, np.argsort(at)]
        low = np.log(UNSEEN_MASS / n_missing)
        out = torch.full((len(rows), len(self.view.labels)), low).double()
        out[:, at] = log_p + np.log1p(-UNSEEN_MASS)
        return out


def job_name(user: str) -> str:
    """A file name that does not tell whose it is.

    >>> job_name("ada")
    'user-15b0da4321160527'
    """
    return "user-" + hashlib.blake2b(user.encode(), digest_size=8).hexdigest()


def tune_adapters(
    view: View,
    model: TextModel,
    pool: Sequence[Example],
    users: Sequence[UserRows],
    settings: Settings,
    *,
    base: Path,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> JobAdapters:
    """Tune a LoRA adapter for each user with a validation row; what *folder* has is not done again.

    Args:
        view: of the pool.
        model: the shared assistant, saved in *base*.
        pool: the rows that *users* name.
        users: whose rows are where.
        settings: of the jobs; the method is LoRA, the head starts as the shared one.
        base: folder of the shared assistant.
        folder: where jobs leave their files.
        say: hears of failures.
        stop: asked after every step.
    """
    method = (
        settings.method if settings.method.name == "lora" else replace(settings.method, name="lora")
    )
    settings = replace(settings, method=method)
    able = {job_name(one.user): one for one in users if one.train and one.validation}
    jobs = [
        Job(name, one.train, one.validation, settings, predict=one.known + one.test, from_base=True)
        for name, one in able.items()
    ]
    results: dict[str, JobResult] = {}
    for result in run_jobs(base, pool, jobs, folder, say=say, stop=stop):
        if result.status == "failed":
            say(f"user {able[result.name].user}: no adapter ({result.error})")
        else:
            results[able[result.name].user] = result
    say(f"adapters: {len(results):,} of {len(users):,} users have one")
    return JobAdapters(view, model, results)
