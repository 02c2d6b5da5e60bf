"""Which training rows are near a text in what a tuned model sees of them.

Shape letters: N rows, D width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tailorbird.modeling import TextModel
from tailorbird.records import Example

MAX_ROWS = 200
"""Rows of a label that are compared, spread evenly over all it has: embedding more would take
seconds."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training row that is near."""

    text: str
    label: str
    similarity: float
    """Cosine of the pooled states, in [-1, 1]."""


class Neighbourhood:
    """The training rows of *model*; those of a label are embedded when they are first wanted."""

    def __init__(self, model: TextModel, rows: Sequence[Example]) -> None:
        self._model = model
        texts: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for row in rows:
            if row.text.strip():
                texts[row.label][row.text] = None
        self._texts = {label: spread(list(some), MAX_ROWS) for label, some in texts.items()}
        self._states: dict[str, Tensor] = {}

    def nearest(self, text: str, labels: Sequence[str], k: int) -> list[Neighbour]:
        """At most *k* rows of these *labels*, the nearest first."""
        own = _unit(self._model.features([text]))[0]  # (D,)
        found = [
            Neighbour(row, label, float(cosine))
            for label in dict.fromkeys(labels)
            if label in self._texts
            for row, cosine in zip(self._texts[label], self._embedded(label) @ own, strict=True)
        ]
        return sorted(found, key=lambda one: -one.similarity)[:k]

    def _embedded(self, label: str) -> Tensor:
        """(N, D) of the rows of a label, rows of length 1."""
        if label not in self._states:
            self._states[label] = _unit(self._model.features(self._texts[label]))
        return self._states[label]


def spread(rows: Sequence[str], n: int) -> list[str]:
    """At most *n* of the *rows*, evenly spread.

    >>> spread(["a", "b", "c", "d"], 2), spread(["a"], 2)
    (['a', 'c'], ['a'])
    """
    if len(rows) <= n:
        return list(rows)
    return [rows[i * len(rows) // n] for i in range(n)]


def _unit(states: Tensor) -> Tensor:
    return torch.nn.functional.normalize(states.float(), dim=-1)
