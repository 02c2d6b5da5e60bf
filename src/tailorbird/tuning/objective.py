"""What an update makes small: the loss of the settings and the terms added to it.

Shape letters: B texts, C classes, D width, N training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.tuning.losses import LOSSES, supervised_contrastive, symmetric_divergence


@dataclass(frozen=True, slots=True)
class Objective:
    """``loss + r_drop · divergence of two passes + contrastive · contrast of the batch``.

    With two passes the loss is the mean of both (Liang et al. 2021 take the sum, so that their
    alpha is twice our ``r_drop``), and the contrast sees each text twice.
    """

    settings: LossSettings
    class_weights: Tensor | None = None  # (C,)

    @property
    def n_passes(self) -> int:
        """How often a batch goes through the encoder."""
        return 2 if self.settings.r_drop else 1

    @property
    def is_joint(self) -> bool:
        """Whether rows are compared with each other, so that parts of a batch do not add up."""
        return self.settings.contrastive > 0

    def __call__(
        self,
        head: Callable[[Tensor], Tensor],
        pooled: Sequence[Tensor],
        targets: Tensor,
        whole: Tensor,
    ) -> Tensor:
        """What these B rows add to the loss of a whole batch.

        Args:
            head: (B, D) → (B, C).
            pooled: one (B, D) a pass.
            targets: (B,) class indices.
            whole: class indices of the whole batch that these rows are of.
        """
        logits = [head(z) for z in pooled]
        loss = torch.stack([self._of_rows(one, targets) for one in logits]).mean()
        loss = loss * (self._mass(targets) / self._mass(whole))  # exactly 1 for a whole batch
        if self.settings.r_drop:
            share = len(targets) / len(whole)
            loss = loss + self.settings.r_drop * share * symmetric_divergence(*logits)
        if self.is_joint:
            loss = loss + self.settings.contrastive * supervised_contrastive(
                torch.cat(list(pooled)),
                targets.repeat(len(pooled)),
                temperature=self.settings.temperature,
            )
        return loss

    def _of_rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        options: dict[str, Any] = {"class_weights": self.class_weights}
        if self.settings.name == "focal":
            options["gamma"] = self.settings.focal_gamma
        else:
            options["label_smoothing"] = self.settings.label_smoothing
        return LOSSES[self.settings.name](logits, targets, **options)

    def _mass(self, targets: Tensor) -> Tensor | int:
        """What rows weigh in a mean: their number, or the sum of their classes' weights."""
        return len(targets) if self.class_weights is None else self.class_weights[targets].sum()


def balanced_weights(targets: Tensor, n_classes: int) -> Tensor:
    """(N,) class indices → (C,) weights ``N / (C n_c)``: every class counts the same in all.

    Classes without a row get 1 and are not counted in C. Source: King and Zeng 2001, section 4.

    >>> balanced_weights(torch.tensor([0, 0, 0, 1]), 3).tolist()
    [0.6666666865348816, 2.0, 1.0]
    """
    counts = torch.bincount(targets, minlength=n_classes).float()
    is_seen = counts > 0
    weights = len(targets) / (is_seen.sum() * counts.clamp(min=1))
    return torch.where(is_seen, weights, torch.ones(()))
