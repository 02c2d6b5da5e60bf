"""One split, measured: the figures, and the rows worth reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tailorbird.config import EvaluationSettings
from tailorbird.errors import DataError
from tailorbird.evaluation.calibration import confidences
from tailorbird.evaluation.intervals import bootstrap
from tailorbird.metrics import classification as metrics
from tailorbird.records import EvalReport, SplitName
from tailorbird.text import language_of


def evaluate(
    split_name: SplitName,
    logits: ArrayLike,
    targets: ArrayLike,
    labels: Sequence[str],
    *,
    temperature: float = 1.0,
    settings: EvaluationSettings | None = None,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> EvalReport:
    """Measure logits (N, C) against target indices (N,) in the order of *labels*.

    Raises DataError where there is nothing to measure or the shapes do not fit.

    >>> report = evaluate("test", [[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]], [0, 1, 1], ["a", "b"])
    >>> round(report.accuracy.value, 4), report.confusion
    (0.6667, ((1, 0), (1, 1)))
    """
    settings = settings or EvaluationSettings()
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.int64)
    if scores.shape != (len(truth), len(labels)) or len(truth) == 0:
        raise DataError(
            f"logits of shape {scores.shape} for {len(truth)} targets and {len(labels)} labels",
            where=f"{split_name} split",
            cure="give one row of logits a target, one column a label, and at least one row",
        )
    if not np.isfinite(scores).all():
        raise DataError("logits are not finite numbers", where=f"{split_name} split")
    sure, predicted = confidences(scores, temperature=temperature)
    sure_before, _ = confidences(scores)
    correct = predicted == truth
    counts = metrics.confusion(truth, predicted, n_classes=len(labels))
    resampling: dict[str, Any] = {
        "n_resamples": settings.n_bootstrap,
        "confidence": settings.confidence,
        "seed": settings.seed,
    }
    return EvalReport(
        split=split_name,
        n_rows=len(truth),
        loss=metrics.nll(scores, truth, temperature=temperature),
        accuracy=bootstrap(counts, "accuracy", **resampling),
        macro_f1=bootstrap(counts, "macro_f1", **resampling),
        ece=metrics.expected_calibration_error(sure, correct),
        ece_before=metrics.expected_calibration_error(sure_before, correct),
        per_class=metrics.per_class(truth, predicted, labels),
        confusion=tuple(tuple(row) for row in counts.tolist()),
        labels=tuple(labels),
        baselines=dict(baselines or {}),
    )


def examine(
    texts: Sequence[str],
    logits: ArrayLike,
    targets: ArrayLike,
    labels: Sequence[str],
    *,
    temperature: float = 1.0,
    n_mistakes: int = 50,
) -> dict[str, Any]:
    """The report's ``mistakes`` (most confident first) and ``slices`` (by language).

    >>> found = examine(["退款", "hi"], [[3.0, 0.0], [2.0, 0.0]], [0, 1], ["refund", "greet"])
    >>> found["mistakes"][0]["text"], found["slices"]["language"]["zh"]
    ('hi', {'n': 1, 'accuracy': 1.0})
    """
    truth = np.asarray(targets, dtype=np.int64)
    sure, predicted = confidences(logits, temperature=temperature)
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:n_mistakes]
    languages = np.array([language_of(text) for text in texts])
    return {
        "mistakes": [
            {
                "text": texts[row],
                "true": labels[truth[row]],
                "predicted": labels[predicted[row]],
                "confidence": float(sure[row]),
            }
            for row in worst.tolist()
        ],
        "slices": {
            "language": {
                str(language): {
                    "n": int((languages == language).sum()),
                    "accuracy": metrics.accuracy(
                        truth[languages == language], predicted[languages == language]
                    ),
                }
                for language in np.unique(languages)
            }
        },
    }
