"""Labels that are probably wrong, found from what models say of rows they were not trained on.

The finding is cleanlab's (Northcutt et al. 2021, "Confident Learning", sections 3.2 and 3.3): how
often rows of one label look surely like another gives how much of each label is wrong, and the rows
that look least like their label are those. Nothing is changed here; what becomes of a doubt is for
a person to decide.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import ConfigError, DataError, missing_extra
from tailorbird.evaluation.calibration import fit_temperature

Floats = NDArray[np.float64]

WAYS = (
    "self_confidence",
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
)
"""How to tell which rows are doubtful: those with the least probability of their label, as many as
the calibrated joint of given and true labels counts; or one of cleanlab's own filters."""

MIN_ROWS = 20
"""Fewer rows say nothing of how often labels are wrong."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One row whose label is probably wrong."""

    row: int
    given: int
    """Index of the label that it has."""
    suggested: int
    """Index of the label that the models find likeliest."""
    score: float
    """The probability of the label that it has: the lower, the more doubtful."""
    suggested_prob: float


def check_way(how: str) -> None:
    """Raise ConfigError where *how* is none of `WAYS`, MissingExtraError without cleanlab."""
    if how not in WAYS:
        raise ConfigError(f"{how!r} is no way of finding doubts", cure=f"use {', '.join(WAYS)}")
    if importlib.util.find_spec("cleanlab") is None:
        raise missing_extra("cleanlab", extra="labels")


def find_doubts(
    probs: Floats,
    given: Sequence[int],
    *,
    judged: Sequence[bool] | None = None,
    how: str = "self_confidence",
) -> list[Doubt]:
    """The rows whose label is probably wrong, worst first; the models find another one likelier.

    Args:
        probs: (N, C) of each row, by models that were not trained on it.
        given: (N,) the index of each row's label.
        judged: (N,) False for rows that nothing can be said of; None: all can be judged.
        how: one of `WAYS`.

    Raises ConfigError for another *how*, DataError where shapes differ or there are too few rows,
    MissingExtraError without cleanlab.

    >>> probs = np.tile([[0.9, 0.1], [0.1, 0.9]], (20, 1))
    >>> given = [0, 1] * 20
    >>> given[4] = 1
    >>> [(doubt.row, doubt.suggested, round(doubt.score, 1)) for doubt in find_doubts(probs, given)]
    [(4, 0, 0.1)]
    """
    check_way(how)
    labels = np.asarray(given, dtype=np.int64)
    if probs.ndim != 2 or len(probs) != len(labels):
        raise DataError(f"probabilities of shape {probs.shape} for {len(labels)} labels")
    rows = np.arange(len(labels)) if judged is None else np.flatnonzero(np.asarray(judged))
    if len(rows) < MIN_ROWS:
        raise DataError(
            f"{len(rows)} rows can be judged, too few to tell how often labels are wrong",
            cure=f"label {MIN_ROWS} rows or more",
        )
    found = []
    for row in rows[_issues(probs[rows], labels[rows], how)].tolist():
        own, best = int(labels[row]), int(probs[row].argmax())
        if best != own:
            found.append(Doubt(row, own, best, float(probs[row, own]), float(probs[row, best])))
    return sorted(found, key=lambda doubt: (doubt.score, doubt.row))


def _issues(probs: Floats, labels: NDArray[np.int64], how: str) -> NDArray[np.bool_]:
    """(N,) which rows cleanlab finds; classes that no row has are left out of its counts."""
    from cleanlab.count import num_label_issues
    from cleanlab.filter import find_label_issues

    present, indices = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(labels), dtype=bool)
    some = probs[:, present]
    some = some / np.maximum(some.sum(axis=1, keepdims=True), 1e-12)
    if how != "self_confidence":
        return np.asarray(find_label_issues(indices, some, filter_by=how, n_jobs=1), dtype=bool)
    n_wrong = num_label_issues(indices, some, estimation_method="off_diagonal_calibrated")
    mask = np.zeros(len(labels), dtype=bool)
    order = np.argsort(some[np.arange(len(labels)), indices], kind="stable")
    mask[order[:n_wrong]] = True
    return mask


def calibrated(logits: Floats, given: Sequence[int]) -> Floats:
    """(N, C) probabilities of *logits* at the temperature that fits the *given* labels best.

    Models that were trained on wrong labels are right less often than they think; how sure they
    may be is what doubts are counted by.

    >>> calibrated(np.array([[4.0, 0.0]] * 4), [0, 0, 0, 1]).round(2)[0].tolist()
    [0.75, 0.25]
    """
    scaled = logits / fit_temperature(logits, np.asarray(given))
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))
