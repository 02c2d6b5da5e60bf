"""Averages of the tuned weights over the steps, validated and kept in place of the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from tailorbird.config import OptimizerSettings


class WeightAverage:
    """A moving average (ema) or a plain mean (swa) of weights, by name; or nothing (none).

    ``ema``: ``a ← d a + (1 - d) w`` after each update, with ``d = min(ema_decay, (1 + n) /
    (10 + n))`` at the n-th, so that the first weights, which know nothing yet, are soon forgotten
    (Polyak and Juditsky 1992; the decay that grows is TensorFlow's).
    ``swa``: ``a ← a + (w - a) / (n + 1)`` from *swa_start* of the run on (Izmailov et al. 2018,
    algorithm 1 with a cycle of one step).

    >>> average = WeightAverage(OptimizerSettings(average="swa", swa_start=0.5))
    >>> for progress, weight in ((0.25, 8.0), (0.5, 1.0), (0.75, 2.0), (1.0, 6.0)):
    ...     average.update({"w": torch.tensor([weight])}, progress)
    >>> average.weights["w"].item(), average.n_averaged
    (3.0, 3)
    """

    def __init__(self, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.weights: dict[str, Tensor] = {}
        self.n_averaged = 0

    @torch.no_grad()
    def update(self, weights: dict[str, Tensor], progress: float) -> None:
        """Take in the *weights* after an update, *progress* in [0, 1] of the run being done."""
        kind = self.settings.average
        if kind == "none" or (kind == "swa" and progress < self.settings.swa_start):
            return
        if not self.n_averaged:
            self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
        else:
            share = 1 - self._decay if kind == "ema" else 1 / (self.n_averaged + 1)
            current = [weights[name] for name in self.weights]
            torch._foreach_lerp_(list(self.weights.values()), current, share)
        self.n_averaged += 1

    @property
    def _decay(self) -> float:
        return min(self.settings.ema_decay, (1 + self.n_averaged) / (10 + self.n_averaged))

    @contextmanager
    def in_place_of(self, weights: dict[str, Tensor]) -> Iterator[None]:
        """Within the block *weights* hold the average, where there is one; after it, their own."""
        own = {name: weights[name].clone() for name in self.weights}
        try:
            _copy(self.weights, weights)
            yield
        finally:
            _copy(own, weights)

    def into(self, weights: dict[str, Tensor]) -> None:
        """Copy the average, where there is one, into *weights*."""
        _copy(self.weights, weights)

    def restore(self, weights: dict[str, Tensor], n_averaged: int) -> None:
        """Go on from saved *weights*, the average of *n_averaged* updates."""
        self.weights, self.n_averaged = weights, n_averaged


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, tensor in source.items():
        target[name].copy_(tensor)
