"""What a user said before, kept beside their adapter: the nearest of it speaks for a new text.

    numbers, mean      y(x) = b(x) + Σ k_i r_i / (κ + Σ k_i)        r_i = y_i - b(x_i)
    numbers, median    y(x) = weighted median of {y_i with k_i} and b(x) with κ
    classes            p(x) = (κ p_b(x) + Σ k_i [y_i = c]) / (κ + Σ k_i)

over the nearest own rows, with ``k_i = w_i exp(s (cos(x, x_i) - 1))``. b is the answer without
them, and stands for κ rows that agree with it: the fewer and farther the own rows, the more of it
is left. Nadaraya 1964 and Watson 1964, drawn toward b as by a conjugate prior (Gelman et al.,
Bayesian Data Analysis, section 2.4); mixing classes so is Khandelwal et al. 2020, section 2.

Shape letters: N own rows, B texts, D width, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tailorbird.modeling.adapters.weights import AdapterWeights

N_NEAREST = 64
"""Own rows that speak for a text."""
_PREFIX = "rows."
_HOW = "retrieval"


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How near rows must be, and how many, to be heard."""

    sharpness: float = 10.0
    """s: how fast a row loses its voice with distance; 0: all own rows count alike."""
    doubt: float = 3.0
    """κ: rows that the answer without own rows counts for."""
    form: Literal["mean", "median"] = "mean"
    """Of numbers; classes are mixed."""
    half_life: float = 0.0
    """Own rows since which a row has lost half its voice; 0: old rows count as new ones."""


@dataclass(frozen=True)
class OwnRows:
    """Rows of one user, oldest first."""

    features: Tensor  # (N, D) of length 1
    truth: Tensor  # (N,) numbers, or indices of classes
    base: Tensor  # (N,) what is answered to them without them; of classes it is not looked at
    how: Retrieval

    def numbers(self, features: Tensor, base: Tensor) -> Tensor:
        """(B, D) states of any length and (B,) numbers without own rows → (B,) with them.

        >>> rows = OwnRows(torch.eye(2), torch.tensor([5.0, 1.0]), torch.tensor([3.0, 3.0]),
        ...     Retrieval(sharpness=50.0, doubt=1.0))
        >>> rows.numbers(torch.eye(2), torch.tensor([3.0, 3.0])).tolist()
        [4.0, 2.0]
        """
        weight, at = self._near(features)  # (B, K)
        if self.how.form == "median":
            values = torch.cat([self.truth.to(base)[at], base[:, None]], 1)
            voices = torch.cat([weight, torch.full_like(base, self.how.doubt)[:, None]], 1)
            return _weighted_median(values, voices)
        residual = (self.truth.to(base) - self.base.to(base))[at]
        return base + (weight * residual).sum(1) / (self.how.doubt + weight.sum(1))

    def probs(self, features: Tensor, base: Tensor) -> Tensor:
        """(B, D) states and (B, C) probabilities without own rows → (B, C) with them."""
        weight, at = self._near(features)
        mass = torch.zeros_like(base).scatter_add(1, self.truth[at], weight)
        return (self.how.doubt * base + mass) / (self.how.doubt + weight.sum(1))[:, None]

    def _near(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) the voices of the nearest own rows, and which rows these are."""
        n_rows = len(self.features)
        asked = F.normalize(features.to(torch.float64), dim=-1)
        cosine = asked @ self.features.to(torch.float64).T  # (B, N)
        cosine, at = cosine.topk(min(N_NEAREST, n_rows), dim=1)
        voice = torch.exp(self.how.sharpness * (cosine - 1.0))
        if self.how.half_life:
            voice = voice * 0.5 ** ((n_rows - 1 - at) / self.how.half_life)
        return voice, at

    def beside(self, weights: AdapterWeights) -> AdapterWeights:
        """The adapter with these rows: they are stored, hashed and removed as one."""
        own = {
            f"{_PREFIX}features": self.features.to(torch.float16),
            f"{_PREFIX}truth": self.truth,
            f"{_PREFIX}base": self.base,
        }
        how = {name: getattr(self.how, name) for name in Retrieval.__dataclass_fields__}
        as_bytes = torch.tensor(list(json.dumps(how).encode()), dtype=torch.uint8)
        return replace(weights, tensors={**weights.tensors, **own, f"{_PREFIX}{_HOW}": as_bytes})


def without_rows(weights: AdapterWeights) -> tuple[AdapterWeights, OwnRows | None]:
    """What `OwnRows.beside` put together, apart again; None where there are no rows.

    >>> from tailorbird.config import MethodSettings
    >>> plain = AdapterWeights(MethodSettings(name="head"), 0, {}, {"linear.bias": torch.ones(1)})
    >>> rows = OwnRows(torch.eye(2), torch.ones(2), torch.zeros(2), Retrieval(doubt=2.0))
    >>> again, own = without_rows(rows.beside(plain))
    >>> again.hash == plain.hash, own.how.doubt
    (True, 2.0)
    """
    own: Mapping[str, Tensor] = {
        name.removeprefix(_PREFIX): tensor
        for name, tensor in weights.tensors.items()
        if name.startswith(_PREFIX)
    }
    if not own:
        return weights, None
    rest = {k: t for k, t in weights.tensors.items() if not k.startswith(_PREFIX)}
    how = Retrieval(**json.loads(bytes(own[_HOW].tolist())))
    rows = OwnRows(own["features"], own["truth"], own["base"], how)
    return replace(weights, tensors=rest), rows


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """(B, K) → (B,), the least value that has half the weight at or below it."""
    ordered, order = values.sort(1)
    reached = weights.gather(1, order).cumsum(1)
    first = (reached >= reached[:, -1:] / 2).to(torch.uint8).argmax(1)
    return ordered.gather(1, first[:, None])[:, 0]
