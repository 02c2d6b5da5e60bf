"""Whether a text is in scope at all: one probability, from what a forward pass gives anyway.

    energy     log Σ_c exp(l_c), how strongly any class speaks for the text: the negative of the
               energy of Liu et al. 2020, equation 4, at temperature 1
    meaning    how near the pooled state lies to the nearest class: minus its Mahalanobis distance
               from the class means, with the covariance that all classes share (Lee et al. 2018,
               section 2.1), drawn towards its mean variance
    wording    the same of the first layer, which knows words and hardly sentences, where the
               backbone lets one see it: what tuning makes alike is still different there
    foreign    mean cosine to the nearest logged rows out of scope (as Sun et al. 2022, section 3,
               do with rows in scope), where there are any; in the lowest layer that is looked at
    p(in scope) = σ(b + Σ_s w_s (signal_s - m_s) / d_s)

No training row is kept, only means of them; of rows out of scope the states are. How all is fitted
is said in `tailorbird.evaluation.scope`. Shape letters: N texts, C classes, D width, K layers that
are looked at (pooled state, first layer), F foreign rows, S signals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

FILES = WEIGHTS, FACTS = ("scope.safetensors", "scope.json")
"""What a scorer is kept in."""
LAYERS = ("meaning", "wording")
"""The signals of the K layers."""
RIDGE = 1.0
"""Mean variance added to the covariance, relative to it: there are few rows for D² numbers."""
N_NEAREST = 5
"""Foreign rows that a text is compared with."""


@dataclass(frozen=True, slots=True, eq=False)
class Distance:
    """How far a state is from the nearest class, in one layer."""

    whitener: Floats  # (D, D); its product with its transpose is the inverse covariance
    means: Floats  # (C, D) of the classes, whitened

    def __call__(self, states: ArrayLike) -> Floats:
        """(N, D) states of any length → (N,), 0 or more.

        >>> flat = Distance(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
        >>> flat([[3.0, 0.0], [0.6, 0.8]]).round(3).tolist()
        [0.0, 0.6320000290870667]
        """
        z = unit(states) @ self.whitener  # (N, D)
        means = self.means
        squares = (z**2).sum(1)[:, None] - 2 * z @ means.T + (means**2).sum(1)  # (N, C)
        return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)), dtype=np.float32)


def fit_distance(
    states: ArrayLike, classes: NDArray[np.int64], *, ridge: float = RIDGE
) -> Distance:
    """The distance that (N, D) states of *classes* (N,) give; every class needs a row."""
    z = unit(states).astype(np.float64)
    names, classes = np.unique(classes, return_inverse=True)
    means = np.stack([z[classes == index].mean(axis=0) for index in range(len(names))])  # (C, D)
    residual = z - means[classes]
    covariance = residual.T @ residual / len(z)
    spread = max(float(covariance.diagonal().mean()), 1e-9)  # of one row a class there is none
    shrunk = covariance + ridge * spread * np.eye(z.shape[1])
    whitener = np.linalg.cholesky(np.linalg.inv(shrunk))
    return Distance(whitener.astype(np.float32), (means @ whitener).astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What texts are compared with."""

    layers: tuple[Distance, ...]  # K
    foreign: Floats  # (F, D) of length 1; F may be 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the S signals, in their order."""
        last = ("foreign",) if len(self.foreign) else ()
        return ("energy", *LAYERS[: len(self.layers)], *last)

    def signals(self, logits: ArrayLike, states: ArrayLike) -> Floats:
        """(N, C) logits and (N, K, D) states of any length → (N, S)."""
        given = np.asarray(states, dtype=np.float32)
        found = [energy(logits)]
        found += [-layer(given[:, place]) for place, layer in enumerate(self.layers)]
        if len(self.foreign):
            found.append(nearness(given[:, len(self.layers) - 1], self.foreign))
        return np.stack(found, 1)


@dataclass(frozen=True, slots=True, eq=False)
class ScopeScorer:
    """How probable it is that a text is in scope, and from where on it counts as that."""

    known: Known
    centre: Floats  # (S,)
    spread: Floats  # (S,)
    weight: Floats  # (S,)
    bias: float
    threshold: float
    """A text whose probability is below it is out of scope."""

    def probabilities(self, logits: ArrayLike, states: ArrayLike) -> NDArray[np.float64]:
        """(N, C) logits and (N, K, D) states → (N,) in [0, 1]; NaN where the states are."""
        return self.of_signals(self.known.signals(logits, states))

    def of_signals(self, signals: Floats) -> NDArray[np.float64]:
        """(N, S) → (N,)."""
        z = ((signals - self.centre) / self.spread).astype(np.float64) @ self.weight + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -60.0, 60.0))))

    def to_files(self) -> dict[str, bytes]:
        """Its two files by name; the same scorer gives the same bytes."""
        from safetensors.numpy import save

        tensors: dict[str, NDArray[Any]] = {
            "foreign": self.known.foreign.astype(np.float16),
            "centre": self.centre,
            "spread": self.spread,
            "weight": self.weight,
        }
        for name, layer in zip(LAYERS, self.known.layers, strict=False):
            tensors[f"{name}.whitener"], tensors[f"{name}.means"] = layer.whitener, layer.means
        facts = {"signals": self.known.names, "bias": self.bias, "threshold": self.threshold}
        text = json.dumps(facts, sort_keys=True, indent=2) + "\n"
        return {WEIGHTS: save(tensors), FACTS: text.encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> ScopeScorer:
        """What `to_files` wrote, foreign rows as coarse as they were stored.

        Raises ValueError, KeyError or TypeError where that is something else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(files[WEIGHTS])
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        facts: dict[str, Any] = json.loads(files[FACTS])
        wide = {name: np.ascontiguousarray(t, dtype=np.float32) for name, t in tensors.items()}
        layers = tuple(
            Distance(wide[f"{name}.whitener"], wide[f"{name}.means"])
            for name in LAYERS
            if name in facts["signals"]
        )
        known = Known(layers, wide["foreign"])
        if tuple(facts["signals"]) != known.names:
            raise ValueError(f"signals {facts['signals']} are not known")
        return cls(
            known,
            wide["centre"],
            wide["spread"],
            wide["weight"],
            float(facts["bias"]),
            float(facts["threshold"]),
        )


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a scorer that are in *folder*, by name; none, where one is missing."""
    if not all((folder / name).is_file() for name in FILES):
        return {}
    return {name: (folder / name).read_bytes() for name in FILES}


def energy(logits: ArrayLike) -> Floats:
    """(N, C) → (N,) log Σ exp, without overflow.

    >>> energy([[0.0, 0.0], [800.0, 0.0]]).round(4).tolist()
    [0.6930999755859375, 800.0]
    """
    given = np.asarray(logits, dtype=np.float64)
    top = given.max(axis=1, keepdims=True)  # (N, 1)
    return np.asarray(np.log(np.exp(given - top).sum(axis=1)) + top[:, 0], dtype=np.float32)


def nearness(states: ArrayLike, rows: Floats, *, n_nearest: int = N_NEAREST) -> Floats:
    """(N, D) states of any length → (N,) mean cosine to the nearest of *rows* (F, D).

    >>> nearness([[1.0, 0.0]], np.eye(2, dtype=np.float32), n_nearest=1).tolist()
    [1.0]
    """
    k = min(n_nearest, len(rows))
    cosine = unit(states) @ rows.T  # (N, F)
    return np.asarray(np.partition(cosine, -k, axis=1)[:, -k:].mean(axis=1))


def unit(states: ArrayLike) -> Floats:
    """(N, D) → (N, D) of length 1; a zero stays one."""
    given = np.asarray(states, dtype=np.float32)
    return np.asarray(given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), 1e-12))
