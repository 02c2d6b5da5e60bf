"""Whether one model is better than another on the same rows, by more than chance.

Shape letters: N rows, S resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tailorbird.records import Interval


@dataclass(frozen=True, slots=True)
class Gain:
    """A candidate against what it would replace."""

    candidate: float
    """Mean score of the candidate."""
    current: float
    gain: Interval
    """Their difference; positive where the candidate is better."""

    @property
    def wins(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.gain.low > 0.0

    def __str__(self) -> str:
        low, high = self.gain.low, self.gain.high
        return (
            f"{self.candidate:.4f} against {self.current:.4f}: "
            f"{self.gain.value:+.4f} ({low:+.4f} to {high:+.4f})"
        )


def paired_gain(
    candidate: ArrayLike,
    current: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Gain:
    """The gain of *candidate* over *current*, each (N,) the score of the same rows, as 0 and 1.

    Rows are drawn, not models: a row that both get right says nothing, so the interval is as
    narrow as the rows allow. Percentile bootstrap of the mean difference; Efron and Tibshirani
    1993, section 13.3. Raises ValueError where there are no rows or not the same number.

    >>> gain = paired_gain([1, 1, 1, 1] * 25, [1, 1, 1, 0] * 25)
    >>> gain.gain.value, gain.wins
    (0.25, True)
    >>> paired_gain([1, 0, 1, 1], [1, 1, 1, 0]).wins
    False
    """
    new, old = np.asarray(candidate, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if new.shape != old.shape or new.size == 0:
        raise ValueError(f"scores of {new.shape} rows against scores of {old.shape} rows")
    values, counts = np.unique(new - old, return_counts=True)  # few, so that drawing is cheap
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(new), counts / len(new), size=n_resamples)  # (S, values)
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(drawn @ values / len(new), [tail, 1.0 - tail])
    difference = float(new.mean() - old.mean())
    return Gain(float(new.mean()), float(old.mean()), Interval(difference, float(low), float(high)))
