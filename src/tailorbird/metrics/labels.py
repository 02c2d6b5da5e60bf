"""Several labels a row, or one that is there or not: yes and no for each label.

Everywhere *targets* and *predicted* are yes (1) or no (0) and *scores* any numbers that grow with
the certainty of a yes, of shape (N, C) for C labels and (N,) for one. scikit-learn computes what it
has; it is imported inside the functions, because serving needs none of this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BY_DEFAULT = 0.5
"""The probability from which a label applies where nothing better is known."""


def micro_f1_of_labels(targets: ArrayLike, predicted: ArrayLike) -> float:
    """F1 of all decisions of all labels pooled, in [0, 1]; higher is better. 0 without any yes.

    >>> micro_f1_of_labels([[1, 0], [1, 1]], [[1, 0], [0, 1]])
    0.8
    """
    truth, guess = _tables(targets, predicted)
    n_yes = int(truth.sum() + guess.sum())  # scikit-learn would count the no of a single label, too
    return float(2 * (truth & guess).sum() / n_yes) if n_yes else 0.0


def macro_f1_of_labels(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Unweighted mean of the labels' F1, in [0, 1]; higher is better.

    As for single labels the mean runs over the labels that occur in the truth or the predictions;
    one that is absent from both says nothing. 0 where none occurs.

    >>> round(macro_f1_of_labels([[1, 0, 0], [1, 1, 0]], [[1, 0, 0], [0, 1, 0]]), 4)
    0.8333
    """
    from sklearn.metrics import f1_score

    truth, guess = _tables(targets, predicted)
    occurs = (truth | guess).any(axis=0)
    if not occurs.any():
        return 0.0
    scores = f1_score(truth[:, occurs], guess[:, occurs], average=None, zero_division=0.0)
    return float(np.mean(scores))


def subset_accuracy(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of the rows whose every label is right, in [0, 1]; higher is better.

    >>> subset_accuracy([[1, 0], [1, 1]], [[1, 0], [0, 1]])
    0.5
    """
    truth, guess = _tables(targets, predicted)
    return float((truth == guess).all(axis=1).mean())


def mean_average_precision_of_labels(targets: ArrayLike, scores: ArrayLike) -> float:
    """Mean over the labels of `average_precision`, in [0, 1]; higher is better.

    Labels that no row has are left out: they have no precision. 0 where none is left.

    >>> mean_average_precision_of_labels([[1, 0], [0, 0]], [[0.9, 0.3], [0.2, 0.4]])
    1.0
    """
    truth, certainty = np.asarray(targets, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    _require_same(truth, certainty)
    found = [average_precision(t, s) for t, s in zip(truth.T, certainty.T, strict=True) if t.any()]
    return float(np.mean(found)) if found else 0.0


def best_thresholds(
    targets: ArrayLike, scores: ArrayLike, *, default: float = BY_DEFAULT
) -> NDArray[np.float64]:
    """For each label the score (C,) from which a yes gives its best F1; chosen on validation rows.

    Only scores between two rows of different certainty are tried, and the middle between them is
    taken, so that the choice does not hang on one row's last digit; of equals the one nearest to
    *default* wins. A label that no row has, or that every row has, keeps *default*: the rows
    say nothing of where it ends. Yang 2001, "A Study of Thresholding Strategies for Text
    Categorization", calls it SCut.

    >>> best_thresholds([[1], [1], [0], [0]], [[0.4], [0.3], [0.1], [0.0]]).round(6).tolist()
    [0.2]
    """
    truth, certainty = np.asarray(targets, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    _require_same(truth, certainty)
    columns = zip(truth.T, certainty.T, strict=True)
    return np.array([_best_threshold(t, s, default) for t, s in columns])


def _best_threshold(truth: NDArray[Any], certainty: NDArray[Any], default: float) -> float:
    n_yes = int(truth.sum())
    if n_yes in (0, len(truth)):
        return default
    order = np.argsort(-certainty, kind="stable")
    ordered = certainty[order]
    n_right = np.cumsum(truth[order])  # (N,) true yes among the k + 1 surest
    f1 = 2 * n_right / (np.arange(1, len(truth) + 1) + n_yes)
    is_edge = np.append(ordered[:-1] > ordered[1:], False)
    # After the last row there is nothing to stand in the middle of: everything is a yes there.
    middle = np.append((ordered[:-1] + ordered[1:]) / 2, ordered[-1])
    is_edge[-1] = True
    best = f1[is_edge].max()
    choices = middle[is_edge & np.isclose(f1, best)]
    return float(choices[np.argmin(np.abs(choices - default))])


def apply_thresholds(scores: ArrayLike, thresholds: ArrayLike) -> NDArray[np.int64]:
    """Yes (1) where a score (N, C) reaches its label's threshold (C,).

    >>> apply_thresholds([[0.4, 0.4]], [0.3, 0.5]).tolist()
    [[1, 0]]
    """
    return (np.asarray(scores) >= np.asarray(thresholds)).astype(np.int64)


def positive_f1(targets: ArrayLike, predicted: ArrayLike) -> float:
    """F1 of the yes of one label (N,), in [0, 1]; higher is better. 0 without any yes.

    >>> round(positive_f1([1, 1, 0, 0], [1, 0, 1, 0]), 4)
    0.5
    """
    from sklearn.metrics import f1_score

    truth, guess = np.asarray(targets), np.asarray(predicted)
    _require_same(truth, guess)
    return float(f1_score(truth, guess, pos_label=1, zero_division=0.0))


def roc_auc(targets: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a row of a yes has a higher score than one of a no, in [0, 1]; higher is better.

    Ties count half; guessing gives 0.5. Raises ValueError where all rows are alike.

    >>> roc_auc([1, 1, 0, 0], [0.9, 0.3, 0.5, 0.1])
    0.75
    """
    from sklearn.metrics import roc_auc_score

    truth, certainty = np.asarray(targets), np.asarray(scores)
    _require_same(truth, certainty)
    if len(set(truth.tolist())) < 2:
        raise ValueError("all rows are of one class; an area needs both")
    return float(roc_auc_score(truth, certainty))


def average_precision(targets: ArrayLike, scores: ArrayLike) -> float:
    """Precision at each new yes, averaged over all of them, in [0, 1]; higher is better.

    Not interpolated; rows of one score count together. Guessing gives the share of the yes.
    Raises ValueError where no row is a yes.

    >>> round(average_precision([1, 0, 1], [0.9, 0.8, 0.7]), 4)
    0.8333
    """
    from sklearn.metrics import average_precision_score

    truth, certainty = np.asarray(targets), np.asarray(scores)
    _require_same(truth, certainty)
    if not truth.any():
        raise ValueError("no row is a yes; precision needs one")
    return float(average_precision_score(truth, certainty))


def _tables(targets: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    truth = np.asarray(targets, dtype=np.int64)
    guess = np.asarray(predicted, dtype=np.int64)
    _require_same(truth, guess)
    if truth.ndim != 2:
        raise ValueError(f"shape {truth.shape} is not (N, C): one row a text, one column a label")
    return truth, guess


def _require_same(first: NDArray[Any], second: NDArray[Any]) -> None:
    if first.shape != second.shape:
        raise ValueError(f"shapes {first.shape} and {second.shape} differ; one entry a row each")
    if first.size == 0:
        raise ValueError("no rows to measure; a metric needs at least one")
