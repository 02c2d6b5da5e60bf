"""What an update makes small: the loss of the settings and the terms added to it.

Shape letters: B texts, C classes, D width, N training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.errors import ConfigError
from tailorbird.tuning.losses import supervised_contrastive, symmetric_divergence
from tailorbird.tuning.tasks import Task, Truth

CLASS_TEMPERATURE = 0.1
"""Of the contrast between classes, where none is set (Khosla et al. 2020, section 4.4)."""


@dataclass(frozen=True, slots=True)
class Objective:
    """``loss + r_drop · divergence of two passes + contrastive · contrast of the batch``.

    With two passes the loss is the mean of both (Liang et al. 2021 take the sum, so that their
    alpha is twice our ``r_drop``), and the contrast sees each text twice.

    Raises ConfigError where the task has no such loss, or no classes for what is added to it.
    """

    settings: LossSettings
    task: Task
    class_weights: Tensor | None = None  # (C,)

    def __post_init__(self) -> None:
        name, settings = self.task.name, self.settings
        if settings.name not in ("auto", *self.task.losses):
            raise ConfigError(
                f"loss.name = {settings.name!r} is no loss of the task {name}",
                cure=f"use one of auto, {', '.join(self.task.losses)}",
            )
        added = {
            "r_drop": settings.r_drop > 0,
            "contrastive": settings.contrastive > 0,
            "label_smoothing": settings.label_smoothing > 0,
            "class_weights": settings.class_weights != "none",
        }
        wanted = [key for key, is_wanted in added.items() if is_wanted]
        if wanted and not self.task.has_logits:
            raise ConfigError(
                f"loss.{wanted[0]} needs one class a row, and the task {name} has none",
                cure="leave it at its default",
            )

    @property
    def n_passes(self) -> int:
        """How often a batch goes through the encoder."""
        return 2 if self.settings.r_drop else 1

    @property
    def is_joint(self) -> bool:
        """Whether rows are compared with each other, so that parts of a batch do not add up."""
        return self.task.compares_rows or self.settings.contrastive > 0

    def __call__(
        self,
        head: Callable[[Tensor], Tensor],
        pooled: Sequence[Tensor],
        truth: Truth,
        whole: Truth,
    ) -> Tensor:
        """What these rows add to the loss of a whole batch.

        Args:
            head: (U, D) → (U, C).
            pooled: one (U, D) a pass.
            truth: what is true of these U units.
            whole: what is true of the whole batch that they are of.
        """
        truth, whole = (replace(t, class_weights=self.class_weights) for t in (truth, whole))
        outputs: list[Tensor] = []
        if self.task.head_loss is not None:
            losses = [self.task.head_loss(head, z, truth) for z in pooled]
        else:
            outputs = [head(z) for z in pooled]
            of_rows = self.task.loss(self.settings.name)
            losses = [of_rows(one, truth, self.settings) for one in outputs]
        loss = torch.stack(losses).mean()
        # Exactly 1 for a whole batch.
        loss = loss * (self.task.mass(truth) / self.task.mass(whole))
        if self.settings.r_drop:
            share = len(truth.targets) / len(whole.targets)
            loss = loss + self.settings.r_drop * share * symmetric_divergence(*outputs)
        if self.settings.contrastive:
            loss = loss + self.settings.contrastive * supervised_contrastive(
                torch.cat(list(pooled)),
                truth.targets.repeat(len(pooled)),
                temperature=self.settings.temperature or CLASS_TEMPERATURE,
            )
        return loss


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
