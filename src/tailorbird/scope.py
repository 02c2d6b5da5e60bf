"""Whether a text is in scope at all: one probability, from what a forward pass gives anyway.

    energy     log Σ_c exp(l_c), how strongly any class speaks for the text: the negative of the
               energy of Liu et al. 2020, equation 4, at temperature 1
    nearness   mean cosine to the k nearest training rows, between pooled states: Sun et al. 2022,
               section 3, with the mean of the k where they take the last
    foreign    the same to logged rows that are out of scope, where there are any
    p(in scope) = σ(b + Σ_s w_s (signal_s - m_s) / d_s)

`tailorbird.evaluation.scope` fits it. Shape letters: N texts, C classes, D width, R kept rows, S
signals.
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
SIGNALS = ("energy", "nearness", "foreign")
"""The last one only where there are rows out of scope."""
BLOCK = 256
"""Texts compared with the kept rows at once: 10 MB for 10,000 rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Rows that texts are compared with."""

    rows: Floats  # (R, D) of length 1; R may be 0
    foreign: Floats  # (F, D) of length 1, of texts out of scope; F may be 0
    n_nearest: int = 5
    """k."""

    def signals(self, logits: ArrayLike, states: ArrayLike) -> Floats:
        """(N, C) logits and (N, D) pooled states of any length → (N, S) as `SIGNALS` names them.

        >>> one = Neighbours(np.eye(2, dtype=np.float32), np.zeros((0, 2), np.float32), n_nearest=1)
        >>> one.signals([[0.0, 0.0]], [[3.0, 4.0]]).round(4).tolist()  # log 2, and 4 / 5
        [[0.6930999755859375, 0.800000011920929]]
        """
        found = [energy(logits), nearness(states, self.rows, n_nearest=self.n_nearest)]
        if len(self.foreign):
            found.append(nearness(states, self.foreign, n_nearest=self.n_nearest))
        return np.stack(found, 1)


@dataclass(frozen=True, slots=True, eq=False)
class ScopeScorer:
    """How probable it is that a text is in scope, and from where on it counts as that."""

    neighbours: Neighbours
    centre: Floats  # (S,)
    spread: Floats  # (S,)
    weight: Floats  # (S,)
    bias: float
    threshold: float
    """A text whose probability is below it is out of scope."""

    def probabilities(self, logits: ArrayLike, states: ArrayLike) -> NDArray[np.float64]:
        """(N, C) logits and (N, D) pooled states → (N,) in [0, 1]; NaN where the states are."""
        return self.of_signals(self.neighbours.signals(logits, states))

    def of_signals(self, signals: Floats) -> NDArray[np.float64]:
        """(N, S) → (N,)."""
        z = ((signals - self.centre) / self.spread) @ self.weight + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z.astype(np.float64), -60.0, 60.0))))

    def to_files(self) -> dict[str, bytes]:
        """Its two files by name; the same scorer gives the same bytes."""
        from safetensors.numpy import save

        tensors = {
            "rows": self.neighbours.rows.astype(np.float16),
            "foreign": self.neighbours.foreign.astype(np.float16),
            "centre": self.centre,
            "spread": self.spread,
            "weight": self.weight,
        }
        facts = {
            "signals": SIGNALS[: len(self.weight)],
            "n_nearest": self.neighbours.n_nearest,
            "bias": self.bias,
            "threshold": self.threshold,
        }
        text = json.dumps(facts, sort_keys=True, indent=2) + "\n"
        return {WEIGHTS: save(tensors), FACTS: text.encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> ScopeScorer:
        """What `to_files` wrote, rows as coarse as they were stored.

        Raises ValueError, KeyError or TypeError where that is something else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(files[WEIGHTS])
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        facts: dict[str, Any] = json.loads(files[FACTS])
        if tuple(facts["signals"]) != SIGNALS[: len(tensors["weight"])]:
            raise ValueError(f"signals {facts['signals']} are not known")
        wide = {name: np.ascontiguousarray(t, dtype=np.float32) for name, t in tensors.items()}
        return cls(
            Neighbours(wide["rows"], wide["foreign"], int(facts["n_nearest"])),
            *(wide[name] for name in ("centre", "spread", "weight")),
            bias=float(facts["bias"]),
            threshold=float(facts["threshold"]),
        )


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a scorer that are in *folder*, by name; none, where one is missing."""
    if not all((folder / name).is_file() for name in FILES):
        return {}
    return {name: (folder / name).read_bytes() for name in FILES}


def energy(logits: ArrayLike) -> Floats:
    """(N, C) → (N,) log Σ exp, without overflow; a class at -inf has no say.

    >>> energy([[0.0, 0.0], [800.0, -np.inf]]).round(4).tolist()
    [0.6930999755859375, 800.0]
    """
    given = np.asarray(logits, dtype=np.float64)
    top = given.max(axis=1, keepdims=True)  # (N, 1)
    return np.asarray(np.log(np.exp(given - top).sum(axis=1)) + top[:, 0], dtype=np.float32)


def nearness(
    states: ArrayLike,
    rows: Floats,
    *,
    n_nearest: int,
    hidden: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Floats:
    """(N, D) states of any length → (N,) mean cosine to the nearest of *rows* (R, D); 0 of none.

    Args:
        states: N texts.
        rows: of length 1.
        n_nearest: how many; all, where there are fewer.
        hidden: classes of the texts (N,) and of the rows (R,): a text does not see the rows of its
            own class.

    >>> rows = np.eye(2, dtype=np.float32)
    >>> nearness([[1.0, 0.0]], rows, n_nearest=1).tolist(), nearness([[3.0, 0.0]], rows,
    ...     n_nearest=1, hidden=(np.array([0]), np.array([0, 1]))).tolist()
    ([1.0], [0.0])
    """
    asked = unit(states)
    out = np.zeros(len(asked), dtype=np.float32)
    k = min(n_nearest, len(rows))
    if not k:
        return out
    for start in range(0, len(asked), BLOCK):
        part = slice(start, start + BLOCK)
        cosine = asked[part] @ rows.T  # (B, R)
        if hidden is not None:
            cosine[hidden[0][part, None] == hidden[1][None]] = -1.0
        out[part] = np.partition(cosine, -k, axis=1)[:, -k:].mean(axis=1)
    return out


def unit(states: ArrayLike) -> Floats:
    """(N, D) → (N, D) of length 1; a zero stays one."""
    given = np.asarray(states, dtype=np.float32)
    return np.asarray(given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), 1e-12))
