"""Losses as pure functions of logits and targets."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean of ``-log softmax(logits)[target]`` over the batch, in nats.

    Args:
        logits: (B, C).
        targets: (B,) class indices.
        label_smoothing: mass spread evenly over all classes (Szegedy et al. 2016, section 7).

    >>> import torch
    >>> round(cross_entropy(torch.zeros(1, 4), torch.tensor([2])).item(), 4)
    1.3863
    """
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)
