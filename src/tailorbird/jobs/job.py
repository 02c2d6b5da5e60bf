"""What an adapter job is, and what comes out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tailorbird.config import Settings
from tailorbird.errors import ConfigError
from tailorbird.weights import BackboneFolder

Base = BackboneFolder | Path
"""A pretrained backbone, or the folder of a saved model: its backbone is the trunk of all jobs."""

Status = Literal["done", "failed", "stopped"]

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Job:
    """Some rows of a pool, and the settings to tune on them with."""

    name: str
    """Unique in its folder; letters, digits, ``.``, ``_`` and ``-``, 100 at most."""
    train: Sequence[int]
    """Rows of the pool."""
    validation: Sequence[int]
    """Rows that choose the best weights; may be empty where ``tuning.n_epochs`` is set: then the
    last weights are kept."""
    settings: Settings
    """Of these task, model, method, tuning (its seed too), optimizer and loss matter."""
    predict: Sequence[int] = ()
    """Rows whose outputs are wanted at the end; what is true of them is not looked at."""
    labels: tuple[str, ...] = ()
    """Of the head's outputs; empty: those that its training and validation rows have."""
    from_base: bool = False
    """Whether head and labels start as the saved model's; labels that it lacks are added."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What came out of a job."""

    name: str
    status: Status
    """``stopped``: somebody had seen enough; its weights are its best so far."""
    error: str = ""
    """Why it failed, for a person."""
    scores: dict[str, float] = field(default_factory=dict)
    """Of the best validation, by name; the first chose the weights. Empty without validation."""
    loss: float = 0.0
    """Of the best validation; without one, of the last update."""
    best_step: int = 0
    n_steps: int = 0
    """Updates that were done."""
    n_tokens: int = 0
    """Real tokens in updates."""
    train_s: float = 0.0
    """Seconds in updates."""
    core_s: float = 0.0
    """Processor seconds in all, updates and the rest."""
    labels: tuple[str, ...] = ()
    """Of the head's outputs, in their order."""
    weights: Path | None = None
    """An `AdapterWeights` file; None where it failed."""
    outputs: Path | None = None
    """(rows to predict, C) fp32 logits, as ``.npy``; None where there were none to predict."""


def check_jobs(jobs: Sequence[Job], n_rows: int) -> None:
    """Raise ConfigError where names clash or cannot be files, or rows are not in the pool.

    >>> check_jobs([Job("ada", [0, 1], [2], Settings()), Job("bo", [1], [2], Settings())], 3)
    """
    seen: set[str] = set()
    for job in jobs:
        where = f"job {job.name!r}"
        if not _NAME.fullmatch(job.name) or job.name == "jobs":
            raise ConfigError(
                "cannot be named so",
                where=where,
                cure="use letters, digits, '.', '_' and '-', 100 at most, and not 'jobs'",
            )
        folded = job.name.casefold()  # some disks do not tell A from a
        if folded in seen:
            raise ConfigError("there are two of this name", where=where, cure="rename one")
        seen.add(folded)
        for rows in (job.train, job.validation, job.predict):
            wrong = [row for row in rows if not 0 <= row < n_rows]
            if wrong:
                raise ConfigError(
                    f"row {wrong[0]} is not in the pool of {n_rows:,} rows (from 0)", where=where
                )
