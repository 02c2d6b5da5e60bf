"""Percentile bootstrap intervals from a confusion matrix, all resamples at once.

Resampling N rows with replacement and counting them again draws the cells of the confusion matrix
from a multinomial. So no row is ever touched twice: 1,000 resamples of 77 classes are one draw and
one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tailorbird.records import Interval

Floats = NDArray[np.float64]

_MAX_DRAWN = 4_000_000
"""Cells drawn at once, which bounds the memory at about 32 MB."""


def accuracy_of(hits: Floats, truth: Floats, predicted: Floats) -> Floats:
    """Accuracy (S,) of S resamples, from counts (S, C) of hits, true and predicted rows."""
    return np.asarray(hits.sum(axis=1) / truth.sum(axis=1))


def macro_f1_of(hits: Floats, truth: Floats, predicted: Floats) -> Floats:
    """Macro-F1 (S,) over the classes that occur in each resample, as `metrics.macro_f1`."""
    occurrences = truth + predicted
    f1 = 2 * hits / np.maximum(occurrences, 1)
    return np.asarray(f1.sum(axis=1) / (occurrences > 0).sum(axis=1))


METRICS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "accuracy": accuracy_of,
    "macro_f1": macro_f1_of,
}


def bootstrap(
    confusion: NDArray[np.int64],
    metric: str,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The *metric* (a key of METRICS) of the counts (C, C) and its percentile interval.

    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3. Where no row is
    wrong every resample is perfect too and the interval has no width; the true error may then
    still be as large as about 3 / N.

    >>> interval = bootstrap(np.array([[90, 10], [10, 90]]), "accuracy")
    >>> interval.value, round(interval.low, 1), round(interval.high, 1)
    (0.9, 0.9, 0.9)
    """
    score = METRICS[metric]
    value = float(score(*_margins(confusion[None].astype(np.float64)))[0])
    if n_resamples == 0:
        return Interval(value, value, value)
    scores = np.concatenate(
        [score(*margins) for margins in _resamples(confusion, n_resamples, seed)]
    )
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(scores, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))


def _margins(counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Hits, true and predicted rows, each (S, C), of confusion matrices (S, C, C)."""
    return np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)


def _resamples(
    confusion: NDArray[np.int64], n_resamples: int, seed: int
) -> list[tuple[Floats, Floats, Floats]]:
    n_classes = len(confusion)
    true, guess = np.nonzero(confusion)  # most of the C² cells are empty and stay so
    cells = confusion[true, guess]
    n_rows = int(cells.sum())
    # Sums over cells as matrix products: which cell adds to which class.
    to_true, to_guess = np.eye(n_classes)[true], np.eye(n_classes)[guess]  # (cells, C)
    to_hit = to_true * (true == guess)[:, None]
    rng = np.random.default_rng(seed)
    chunk = max(1, _MAX_DRAWN // len(cells))
    parts = []
    for start in range(0, n_resamples, chunk):
        size = min(chunk, n_resamples - start)
        drawn = rng.multinomial(n_rows, cells / n_rows, size=size).astype(np.float64)  # (S, cells)
        parts.append((drawn @ to_hit, drawn @ to_true, drawn @ to_guess))
    return parts
