"""Soups: the average of several tuned models as one model, which costs no more than one.

Models tuned from the same pretrained weights often lie in one valley of the loss; then the mean of
their weights is in it too, and mostly lower (Wortsman et al. 2022, "Model soups").

Shape letters: R rank, K members; a linear layer's weight is (out, in).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tailorbird.errors import TuningError
from tailorbird.modeling.adapters.weights import AdapterWeights

Score = Callable[[AdapterWeights], float]


def average(members: Sequence[AdapterWeights]) -> AdapterWeights:
    """One model whose every weight is the mean of its members'.

    For LoRA that is the mean of the products ``s B A``, not of their factors: the factors of all
    members side by side, of rank K R, are that mean exactly. Other ways of tuning have the mean of
    what they tune or add. Raises TuningError where the members do not fit together.

    >>> from tailorbird.config import MethodSettings
    >>> parts = [
    ...     AdapterWeights(MethodSettings(name="bitfit"), 0, {"bias": torch.tensor([x])}, {})
    ...     for x in (1.0, 3.0)
    ... ]
    >>> average(parts).tensors["bias"].item()
    2.0
    """
    if not members:
        raise TuningError("a soup of nothing", cure="give it at least one member")
    first = members[0]
    if len(members) == 1:
        return first
    for other in members[1:]:
        _check_alike(first, other)
    is_lora = first.settings.name == "lora" and not first.settings.dora
    settings, tensors = first.settings, _means([member.tensors for member in members])
    if is_lora:
        settings, tensors = _side_by_side(members)
    return replace(
        first,
        settings=settings,
        tensors=tensors,
        head=_means([member.head for member in members]),
        facts={"n_members": len(members)},
    )


def _check_alike(first: AdapterWeights, other: AdapterWeights) -> None:
    for what, mine, theirs in (
        ("labels", first.labels, other.labels),
        ("trunk", first.trunk, other.trunk),
        ("frozen layers", first.n_frozen, other.n_frozen),
        ("way of tuning", first.settings, other.settings),
        ("shapes", _shapes(first), _shapes(other)),
    ):
        if mine != theirs:
            raise TuningError(
                f"the members of a soup differ in {what}",
                cure="average models of one run, tuned in one way on the same labels",
            )


def _shapes(weights: AdapterWeights) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.named().items()}


def _means(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor over *parts*; what counts or names things stays the first's."""
    means = {}
    for name, tensor in parts[0].items():
        if tensor.is_floating_point():
            stacked = torch.stack([part[name].double() for part in parts])  # a mean of fp32s
            means[name] = stacked.mean(0).to(tensor.dtype)
        else:
            means[name] = tensor.clone()
    return means


def _side_by_side(members: Sequence[AdapterWeights]) -> tuple[Any, dict[str, Tensor]]:
    """``Σ s B_k A_k / K`` as one ``s B A`` of rank K R; the scale s stays what it was."""
    k, settings = len(members), members[0].settings
    tensors = {}
    for name in members[0].tensors:
        parts = [member.tensors[name] for member in members]
        if name.endswith(".adapter.a"):
            tensors[name] = torch.cat(parts, 0)  # (K R, in)
        elif name.endswith(".adapter.b"):
            tensors[name] = torch.cat(parts, 1) / k  # (out, K R)
        else:
            tensors[name] = _means([{name: part} for part in parts])[name]
    # s is alpha / R, or alpha / sqrt(R): what the larger rank takes from it alpha gives back.
    alpha = settings.alpha * (k**0.5 if settings.rslora else k)
    return replace(settings, rank=settings.rank * k, alpha=alpha), tensors


@dataclass(frozen=True, slots=True)
class Soup:
    """The mean of some members."""

    weights: AdapterWeights
    members: tuple[int, ...]
    """Numbers of the members, in the order in which they were taken."""


def greedy_soup(
    members: Sequence[AdapterWeights], scores: Sequence[float], score_of: Score
) -> Soup:
    """The soup that takes each member, best first, only where that does not lower its score.

    Wortsman et al. 2022, section 2, recipe 1. It begins with the best member, so on the rows of
    *score_of* it is never worse than that one.

    Args:
        members: at least one.
        scores: of each member alone; higher is better.
        score_of: the score of a soup on the same rows.
    """
    order = sorted(range(len(members)), key=lambda number: -scores[number])
    best, best_score = Soup(members[order[0]], (order[0],)), scores[order[0]]
    for number in order[1:]:
        chosen = (*best.members, number)
        weights = average([members[other] for other in chosen])
        score = score_of(weights)
        if score >= best_score:
            best, best_score = Soup(weights, chosen), score
    return best
