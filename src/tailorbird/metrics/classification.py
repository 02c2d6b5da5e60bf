"""Pure functions: numbers in, one number out, with its range and direction stated.

Everywhere *targets* and *predicted* are class indices of shape (N,), *logits* are (N, C),
*confidences* the probabilities of the predicted classes (N,), and *correct* says which of the
predictions were right (N,). scikit-learn computes what it has; it is imported inside the
functions, because serving needs none of this. What every validation asks for is computed here:
importing scikit-learn takes 4 s of the processor and 65 MB in each process that tunes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailorbird.records import ClassRow

N_BINS = 15
"""Equal-width confidence bins of the calibration error, as in Guo et al. 2017."""


class ReliabilityBin(TypedDict):
    """One bar of a reliability diagram; an empty bin has *n* 0 and both means 0."""

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


def accuracy(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of rows whose predicted class is the true one, in [0, 1]; higher is better.

    >>> accuracy([0, 1, 2, 2], [0, 1, 2, 0])
    0.75
    """
    truth, guess = _paired(targets, predicted)
    return float(np.mean(truth == guess))


def macro_f1(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Unweighted mean of the classes' F1, in [0, 1]; higher is better.

    The mean runs over the classes that occur in the truth or in the predictions of these rows:
    a class that is absent from both says nothing and does not pull the mean down, one that is
    only predicted counts with an F1 of 0.

    >>> round(macro_f1([0, 0, 1, 1], [0, 0, 1, 0]), 4)
    0.7333
    """
    truth, guess = _paired(targets, predicted)
    names, numbers = np.unique(np.concatenate([truth, guess]), return_inverse=True)
    hits = np.bincount(numbers[: len(truth)][truth == guess], minlength=len(names))
    return float(np.mean(2 * hits / np.bincount(numbers)))  # 2 TP / (2 TP + FP + FN)


def micro_f1(
    targets: ArrayLike, predicted: ArrayLike, *, classes: Sequence[int] | None = None
) -> float:
    """F1 of the pooled decisions about *classes* (all when None), in [0, 1]; higher is better.

    Over all classes it equals the accuracy; over some of them (all but "other", say) it does not.

    >>> micro_f1([0, 1, 2, 2], [0, 1, 2, 0])
    0.75
    >>> round(micro_f1([0, 1, 2, 2], [0, 1, 2, 0], classes=[1, 2]), 4)
    0.8
    """
    from sklearn.metrics import f1_score

    truth, guess = _paired(targets, predicted)
    return float(f1_score(truth, guess, average="micro", labels=classes, zero_division=0.0))


def nll(logits: ArrayLike, targets: ArrayLike, *, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood of the true classes in nats, in [0, inf); lower is better.

    Guessing evenly among C classes costs ln C:

    >>> round(nll([[0.0, 0.0], [0.0, 0.0]], [0, 1]), 4)
    0.6931
    """
    log_probs = log_softmax(logits, temperature=temperature)  # (N, C)
    truth = np.asarray(targets, dtype=np.int64)
    _require_rows(truth)
    return float(-log_probs[np.arange(len(truth)), truth].mean())


def expected_calibration_error(
    confidences: ArrayLike, correct: ArrayLike, *, n_bins: int = N_BINS
) -> float:
    """Mean gap between confidence and accuracy, in [0, 1]; lower is better.

    Equal-width bins weighted by their rows: Naeini et al. 2015, "Obtaining Well Calibrated
    Probabilities Using Bayesian Binning"; Guo et al. 2017, "On Calibration of Modern Neural
    Networks", equation 3.

    Four answers given with confidence 0.9, of which three are right:

    >>> round(expected_calibration_error([0.9] * 4, [True, True, True, False]), 4)
    0.15
    """
    bins = reliability_bins(confidences, correct, n_bins=n_bins)
    n_rows = sum(one["n"] for one in bins)
    return sum(one["n"] / n_rows * abs(one["confidence"] - one["accuracy"]) for one in bins)


def reliability_bins(
    confidences: ArrayLike, correct: ArrayLike, *, n_bins: int = N_BINS
) -> list[ReliabilityBin]:
    """Mean confidence and accuracy in *n_bins* bins ``(low, high]`` of equal width over [0, 1].

    >>> reliability_bins([0.2, 0.7, 0.9], [False, True, False], n_bins=2)[1]
    {'low': 0.5, 'high': 1.0, 'confidence': 0.8, 'accuracy': 0.5, 'n': 2}
    """
    sure, right = _paired(confidences, correct)
    # Bins are closed on the right, so that a confidence of exactly 1 has a bin of its own side.
    index = np.clip(np.ceil(sure * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    n_rows = np.bincount(index, minlength=n_bins)
    divisor = np.maximum(n_rows, 1)
    confidence = np.bincount(index, weights=sure, minlength=n_bins) / divisor
    share_right = np.bincount(index, weights=right, minlength=n_bins) / divisor
    return [
        ReliabilityBin(
            low=k / n_bins,
            high=(k + 1) / n_bins,
            confidence=float(confidence[k]),
            accuracy=float(share_right[k]),
            n=int(n_rows[k]),
        )
        for k in range(n_bins)
    ]


def confusion(targets: ArrayLike, predicted: ArrayLike, *, n_classes: int) -> NDArray[np.int64]:
    """Counts (C, C): rows are true classes, columns predicted ones.

    >>> confusion([0, 0, 1], [0, 1, 1], n_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    from sklearn.metrics import confusion_matrix

    truth, guess = _paired(targets, predicted)
    counts = confusion_matrix(truth, guess, labels=np.arange(n_classes))
    return np.asarray(counts, dtype=np.int64)


def per_class(
    targets: ArrayLike, predicted: ArrayLike, labels: Sequence[str]
) -> tuple[ClassRow, ...]:
    """Precision, recall and F1 of every label, each in [0, 1]; higher is better.

    A label that is absent from the truth has support 0 and recall 0; one that is never
    predicted has precision 0.

    >>> per_class([0, 0, 1], [0, 1, 1], ["pay", "send"])[0]
    ClassRow(label='pay', precision=1.0, recall=0.5, f1=0.6666666666666666, support=2)
    """
    from sklearn.metrics import precision_recall_fscore_support

    truth, guess = _paired(targets, predicted)
    columns = precision_recall_fscore_support(
        truth, guess, labels=np.arange(len(labels)), zero_division=0.0
    )
    return tuple(
        ClassRow(label, float(precision), float(recall), float(f1), int(support))
        for label, precision, recall, f1, support in zip(labels, *columns, strict=True)
    )


def log_softmax(logits: ArrayLike, *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Log-probabilities (N, C) of ``logits / temperature``, each at most 0.

    >>> log_softmax([[1000.0, 0.0]]).tolist()
    [[0.0, -1000.0]]
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)  # the largest becomes 0: no overflow
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True)))


def _paired(left: ArrayLike, right: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    first, second = np.asarray(left), np.asarray(right)
    if first.shape != second.shape:
        raise ValueError(f"shapes {first.shape} and {second.shape} differ; one entry a row each")
    _require_rows(first)
    return first, second


def _require_rows(rows: NDArray[Any]) -> None:
    if rows.size == 0:
        raise ValueError("no rows to measure; a metric needs at least one")
