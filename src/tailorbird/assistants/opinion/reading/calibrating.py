"""Probabilities of each head that mean what they say, and how far a text is from all topics.

Shape letters: N texts, C1 topics, C2 sentiments, K layers that are looked at, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailorbird.evaluation import fit_temperature
from tailorbird.scope import Distance, fit_distance

Floats = NDArray[np.float32]

INSIDE = 0.95
"""Share of the validation texts with a topic that are nearer than a distance of 1."""
NOWHERE = 2.0
"""The distance of every text where no topic is known."""
MIN_ROWS = 20
"""Validation rows that a temperature is fitted on; with fewer it stays 1."""


def temperature_of_labels(logits: ArrayLike, is_so: ArrayLike) -> float:
    """One temperature for C1 labels that are each decided on their own, both (N, C1).

    ``sigmoid(x / T)`` is the softmax of (0, x) at T, so each decision is a row of two classes (Guo
    et al. 2017, section 4.2). Sixty yes at logits that claim 0.982, a quarter of them wrong:

    >>> logits = np.full((60, 1), 4.0)
    >>> round(temperature_of_labels(logits, np.arange(60)[:, None] % 4 > 0), 3)
    3.641
    """
    scores, truth = np.asarray(logits, np.float64), np.asarray(is_so, np.int64)
    if len(scores) < MIN_ROWS or not scores.size:
        return 1.0
    both = np.stack([np.zeros(scores.size), scores.ravel()], 1)  # (N C1, 2)
    return fit_temperature(both, truth.ravel())


def temperature_of_class(logits: ArrayLike, classes: ArrayLike) -> float:
    """The temperature of (N, C2) logits whose true classes are (N,)."""
    scores = np.asarray(logits, np.float64)
    if len(scores) < MIN_ROWS or scores.shape[1] < 2:
        return 1.0
    return fit_temperature(scores, classes)


@dataclass(frozen=True, slots=True, eq=False)
class TopicDistance:
    """How far texts are from the nearest topic, in the mean of K layers; 1 is the border."""

    layers: tuple[Distance, ...]  # K
    scales: Floats  # (K,) what one unit is in each layer

    def __call__(self, states: ArrayLike) -> Floats:
        """(N, K, D) states of any length → (N,), 0 or more.

        >>> flat = Distance(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[:1])
        >>> distance = TopicDistance((flat,), np.float32([0.5]))
        >>> distance([[[2.0, 0.0]], [[0.0, 1.0]]]).round(2).tolist()
        [0.0, 2.8299999237060547]
        """
        given = np.asarray(states, np.float32)
        parts = [layer(given[:, k]) / self.scales[k] for k, layer in enumerate(self.layers)]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float32)

    @classmethod
    def fit(
        cls, states: ArrayLike, topics: Sequence[Sequence[int]], held: ArrayLike
    ) -> TopicDistance:
        """From (N, K, D) states with the topics of each, at least one, and held-out ones (M, K, D).

        A text of several topics counts for each of them.
        """
        given, away = np.asarray(states, np.float32), np.asarray(held, np.float32)
        rows = np.repeat(np.arange(len(given)), [len(names) for names in topics])
        classes = np.array([name for names in topics for name in names], dtype=np.int64)
        layers = tuple(fit_distance(given[rows, k], classes) for k in range(given.shape[1]))
        measured = away if len(away) else given
        middle = [float(np.median(layer(measured[:, k]))) for k, layer in enumerate(layers)]
        found = cls(layers, np.maximum(middle, 1e-6).astype(np.float32))
        border = max(float(np.quantile(found(measured), INSIDE)), 1e-6)
        return cls(layers, found.scales * np.float32(border))

    def tensors(self) -> dict[str, Floats]:
        """What it is kept as; `of_tensors` is the inverse."""
        found: dict[str, Floats] = {"scales": self.scales}
        for k, layer in enumerate(self.layers):
            found |= {f"{k}.whitener": layer.whitener, f"{k}.means": layer.means}
        return found

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Floats]) -> TopicDistance:
        """Rebuild what `tensors` gave."""
        scales = tensors["scales"]
        layers = tuple(
            Distance(tensors[f"{k}.whitener"], tensors[f"{k}.means"]) for k in range(len(scales))
        )
        return cls(layers, scales)
