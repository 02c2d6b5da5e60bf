"""What an item is, apart from what people did with it: numbers that a new item has, too.

Shape letters: M items, F content features, W width of text vectors, K knots of a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.records import Item

Floats = NDArray[np.float32]

MAX_TAGS = 512
"""The most frequent tags that have a feature of their own."""
N_KNOTS = 9
"""Of a number, at its quantiles."""


@dataclass(frozen=True, slots=True)
class Content:
    """How items become features; fixed when a model is fitted."""

    tags: tuple[str, ...]
    """Tags, and words of features as ``brand=Sol``."""
    knots: Mapping[str, tuple[float, ...]]
    """Number → its quantiles, rising, at least two."""
    text_mean: tuple[float, ...]
    """(W,) of the catalogue; what all texts share says nothing."""

    @property
    def n_features(self) -> int:
        """F."""
        return len(self.text_mean) + len(self.tags) + sum(map(len, self.knots.values()))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        knots = {name: list(values) for name, values in self.knots.items()}
        return {"tags": list(self.tags), "knots": knots, "text_mean": list(self.text_mean)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Content:
        """What `to_json` gave."""
        knots = {name: tuple(values) for name, values in found["knots"].items()}
        return cls(tuple(found["tags"]), knots, tuple(found["text_mean"]))

    def features(self, items: Sequence[Item], texts: Floats) -> Floats:
        """(M, F): the text vector around the catalogue's mean, tags, numbers between their knots.

        A text without words has the zeros of the mean. The tags of an item share a length of 1.
        """
        centred = (texts - np.asarray(self.text_mean, np.float32)) * np.sqrt(texts.shape[1]) / 4
        centred[[not item.text for item in items]] = 0.0
        parts = [centred, self.tag_matrix(items)]
        parts += [self.number(items, name) for name in self.knots]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def tag_matrix(self, items: Sequence[Item]) -> Floats:
        """(M, tags) rows of length 1, or 0 without a known tag."""
        place = {tag: k for k, tag in enumerate(self.tags)}
        found = np.zeros((len(items), len(self.tags)), np.float32)
        for row, item in zip(found, items, strict=True):
            row[[place[tag] for tag in labels_of(item) if tag in place]] = 1.0
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        unit: Floats = found / np.maximum(lengths, 1.0)
        return unit

    def number(self, items: Sequence[Item], name: str) -> Floats:
        """(M, K) of one number, piecewise linear between its knots; zeros where it is missing.

        Gorishniy et al. 2022, "On Embeddings for Numerical Features", section 3.2, as hats: 1 at
        the nearest knot, and shared between two.
        """
        knots = np.asarray(self.knots[name])
        values = np.array([number_of(item, name) for item in items])  # (M,) NaN: missing
        found = np.zeros((len(items), len(knots)), np.float32)
        known = np.flatnonzero(~np.isnan(values))
        inside = np.clip(values[known], knots[0], knots[-1])
        left = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
        share = (inside - knots[left]) / (knots[left + 1] - knots[left])
        found[known, left] = 1 - share
        found[known, left + 1] = share
        return found


def fit_content(items: Sequence[Item], texts: Floats) -> Content:
    """Tags that two items have, numbers that differ, and the mean of the text vectors."""
    counts = Counter(label for item in items for label in labels_of(item))
    tags = tuple(label for label, n in counts.most_common(MAX_TAGS) if n >= 2)
    names = sorted({k for item in items for k, v in item.features.items() if _is_number(v)})
    knots = {}
    for name in names:
        values = np.array([number_of(item, name) for item in items])
        values = values[~np.isnan(values)]
        quantiles = np.unique(np.quantile(values, np.linspace(0, 1, N_KNOTS)))
        if len(quantiles) >= 2:
            knots[name] = tuple(float(one) for one in quantiles)
    has_words = np.array([bool(item.text) for item in items], dtype=bool)
    mean = texts[has_words].mean(axis=0) if has_words.any() else np.zeros(texts.shape[1])
    return Content(tags, knots, tuple(float(one) for one in mean))


def labels_of(item: Item) -> list[str]:
    """Its tags, and its features that are words.

    >>> labels_of(Item("1", "", tags=("shoes",), features={"brand": "Sol", "price": 3}))
    ['shoes', 'brand=Sol']
    """
    words = [f"{name}={value}" for name, value in item.features.items() if isinstance(value, str)]
    return [*item.tags, *words]


def number_of(item: Item, name: str) -> float:
    """A number of an item; NaN where it has none."""
    value = item.features.get(name)
    return float(value) if value is not None and _is_number(value) else float("nan")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
