"""Confidences that mean what they say: one temperature, and the threshold for out of scope.

Both are fitted on validation rows; the test split only confirms them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailorbird.config import EvaluationSettings
from tailorbird.metrics import ReliabilityBin, log_softmax, nll, reliability_bins

TEMPERATURES = (0.05, 20.0)
"""Bounds of the fit: logits without a mistake would otherwise ask for a temperature of 0."""

N_THRESHOLDS = 41
"""Points of the threshold curve."""


@dataclass(frozen=True, slots=True)
class ThresholdPoint:
    """What a threshold would do to the validation rows."""

    threshold: float
    kept: float
    """Share of the rows at or above the threshold."""
    accuracy: float
    """Accuracy among the kept rows; 1 where none is kept."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted on validation, and how well it fits."""

    temperature: float
    threshold: float
    """A text whose confidence is below is out of scope."""
    false_alarm_rate: float
    """Share of the validation rows, all in scope, that the threshold turns away."""
    bins: tuple[ReliabilityBin, ...]
    """Reliability after the temperature."""
    bins_before: tuple[ReliabilityBin, ...]
    curve: tuple[ThresholdPoint, ...]
    """What other thresholds would do."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping: the report's ``calibration`` section."""
        return asdict(self)


def calibrate(
    logits: ArrayLike, targets: ArrayLike, *, settings: EvaluationSettings | None = None
) -> Calibration:
    """Fit temperature and threshold on validation logits (N, C) and targets (N,)."""
    settings = settings or EvaluationSettings()
    truth = np.asarray(targets, dtype=np.int64)
    temperature = fit_temperature(logits, truth)
    sure, predicted = confidences(logits, temperature=temperature)
    sure_before, _ = confidences(logits)
    correct = predicted == truth
    threshold = choose_threshold(sure, settings.false_alarm_rate)
    return Calibration(
        temperature=temperature,
        threshold=threshold,
        false_alarm_rate=float(np.mean(sure < threshold)),
        bins=tuple(reliability_bins(sure, correct)),
        bins_before=tuple(reliability_bins(sure_before, correct)),
        curve=_threshold_curve(sure, correct),
    )


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """The temperature in [0.05, 20] with the lowest negative log-likelihood.

    One number for all classes, so no prediction changes: Guo et al. 2017, "On Calibration of
    Modern Neural Networks", section 4.2. The likelihood is convex in 1 / T, hence has one valley
    in log T, and a bounded search finds it.

    Three of four right, at logits which claim 0.982: the truth is ln 3 apart, not 4.

    >>> round(fit_temperature([[4.0, 0.0]] * 4, [0, 0, 0, 1]), 3)
    3.641
    """
    from scipy.optimize import minimize_scalar

    scores = np.asarray(logits, dtype=np.float64)
    truth = np.asarray(targets, dtype=np.int64)
    if scores.size == 0 or not np.isfinite(scores).all():
        raise ValueError("logits must be finite and have at least one row to fit a temperature")
    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(
        lambda log_t: nll(scores, truth, temperature=float(np.exp(log_t))),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = float(np.exp(found.x))
    # On a plain (all logits equal, say) any temperature is as good; then 1 is the honest one.
    gain = nll(scores, truth) - nll(scores, truth, temperature=temperature)
    return temperature if gain > 1e-12 else 1.0


def choose_threshold(confidences: ArrayLike, false_alarm_rate: float) -> float:
    """A confidence threshold that turns away as many rows as it may: *false_alarm_rate* of them.

    A row is turned away where its confidence is below the threshold. The rows are in scope, so
    each one turned away is a false alarm. The threshold lies half-way between the last row turned
    away and the first one kept, so that no row's side depends on how its score is rounded; where
    none is turned away, on the lowest.

    >>> choose_threshold([0.2, 0.4, 0.7, 0.8], 0.5)
    0.55
    """
    if not 0.0 <= false_alarm_rate < 1.0:
        raise ValueError(f"false_alarm_rate = {false_alarm_rate} is outside [0, 1)")
    ranked = np.sort(np.asarray(confidences, dtype=np.float64))
    if ranked.size == 0:
        raise ValueError("no confidences to choose a threshold from")
    # 1e-9 absorbs the rounding of 0.29 * 100 = 28.999…
    kept = ranked[int(false_alarm_rate * len(ranked) + 1e-9)]
    below = ranked[ranked < kept]
    return float((below[-1] + kept) / 2) if below.size else float(kept)


def confidences(
    logits: ArrayLike, *, temperature: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probability and index of the best class of every row, each (N,)."""
    log_probs = log_softmax(logits, temperature=temperature)  # (N, C)
    return np.exp(log_probs.max(axis=1)), log_probs.argmax(axis=1)


def _threshold_curve(
    sure: NDArray[np.float64], correct: NDArray[np.bool_]
) -> tuple[ThresholdPoint, ...]:
    points = []
    for threshold in np.linspace(0.0, 1.0, N_THRESHOLDS):
        kept = sure >= threshold
        share_right = float(correct[kept].mean()) if kept.any() else 1.0
        points.append(ThresholdPoint(float(threshold), float(kept.mean()), share_right))
    return tuple(points)
