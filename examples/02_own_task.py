"""A plug-in, ratings in order (McCullagh 1980): ``--task ordinal --plugin 02_own_task.py``."""

from dataclasses import replace

import torch
from torch.nn import functional as F

from tailorbird.modeling.heads import LinearHead
from tailorbird.tuning.tasks import TASKS as OURS


class OrdinalHead(LinearHead):
    """One score a text, and C - 1 cuts between the ratings → (U, C) log-probabilities."""

    def __init__(self, width, n_outputs, dropout=0.1):
        super().__init__(width, 1, dropout)
        self.gaps = torch.nn.Parameter(torch.full((n_outputs - 1,), 2.0))

    def forward(self, pooled):  # noqa: D102
        cuts = F.softplus(self.gaps).cumsum(0)  # they cannot cross
        above = torch.sigmoid(super().forward(pooled) - cuts + cuts.mean())  # P(rating > k)
        steps = F.pad(F.pad(above, (1, 0), value=1.0), (0, 1))
        return (steps[:, :-1] - steps[:, 1:]).clamp(min=1e-6).log()


def far_off(outputs, truth, settings):  # noqa: D103 (mean of -log p and of the expected distance)
    away = (torch.arange(outputs.shape[1]).to(outputs) - truth.targets[:, None]).abs()
    return F.nll_loss(outputs, truth.targets) + (outputs.exp() * away).sum(-1).mean()


def scores(outputs, truth, model):  # noqa: D103 (minus the mean distance: higher is better)
    return {"closeness": -(outputs.argmax(-1) - truth.targets).abs().float().mean().item()}


NEW = {"name": "ordinal", "head": "ordinal", "losses": {"far_off": far_off}, "scores": scores}
OLD = {"rows": "single_label", "starts_from_features": False, "has_logits": False}
HEADS = {"ordinal": OrdinalHead}
TASKS = [replace(OURS["single_label"], about="ratings in their order", **NEW, **OLD)]
