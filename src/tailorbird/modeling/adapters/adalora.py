"""AdaLoRA: low-rank updates in the form of an SVD whose ranks are cut where they matter least.

Shape letters: T tokens, R rank at the start, M adapters; a linear layer's weight is (out, in).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling.adapters.attachment import Attachment, Method, target_linears

INITIAL_FRACTION = 0.1
"""Share of the steps before the budget begins to fall."""
FINAL_FRACTION = 0.3
"""Share of the steps after it has fallen, with the ranks as they are."""
N_ALLOCATIONS = 100
"""About how often in a run ranks are given anew."""
SMOOTHING = 0.85
"""Of sensitivity (beta 1) and uncertainty (beta 2) from step to step; section 4.1."""


def adalora(backbone: Any, settings: MethodSettings) -> Attachment:
    """Freeze the backbone and put an `AdaLoraAdapter` on each target above the frozen layers.

    The loss gets the penalty ``orthogonality * mean |P Pᵀ - I|``, and after each step the ranks
    are brought within the budget of `n_ranks`.
    """
    return attach_adalora(backbone, settings, target_linears(backbone, settings))


def attach_adalora(backbone: Any, settings: MethodSettings, linears: Iterable[str]) -> Attachment:
    """The same on the *linears* that are named."""
    if not 1 <= settings.rank <= settings.start_rank:
        raise ConfigError(
            f"method.rank = {settings.rank} must be between 1 and the rank at the start,"
            f" method.start_rank = {settings.start_rank}"
        )
    backbone.requires_grad_(False)
    places = {
        f"{name}.adapter": AdaLoraAdapter(backbone.get_submodule(name), settings)
        for name in linears
    }
    adapters = list(places.values())

    def after_step(step: int, n_steps: int) -> None:
        give_ranks(adapters, step, Budget.of(n_steps), mean_rank=settings.rank)

    return Attachment(
        backbone,
        settings,
        places,
        originals={},
        penalty=lambda: settings.orthogonality * skewness(adapters),
        after_step=after_step,
    )


class AdaLoraAdapter(nn.Module):
    """``y = W x + b + s B (e ∘ A x)``, A (R, in), e (R, 1), B (out, R); W and b as pretrained.

    With A and B near orthogonal, e holds singular values, some of them negative. They start at
    zero, so that at first nothing changes. The scale s is alpha / R for the R at the start.

    Source: Zhang et al. 2023 (AdaLoRA), section 3.1.
    """

    a: nn.Parameter
    b: nn.Parameter
    e: nn.Parameter
    kept: Tensor

    def __init__(self, layer: nn.Linear, settings: MethodSettings) -> None:
        super().__init__()
        rank = settings.start_rank
        self.scale = settings.alpha / (rank + 1e-5)  # PEFT guards against a rank of 0
        self.dropout = settings.dropout
        self.a = nn.Parameter(0.02 * torch.randn(rank, layer.in_features))
        self.e = nn.Parameter(torch.zeros(rank, 1))
        self.b = nn.Parameter(0.02 * torch.randn(layer.out_features, rank))
        for name, parameter in list(self.named_parameters()):
            for quantity in ("sensitivity", "uncertainty"):
                buffer = torch.zeros_like(parameter, requires_grad=False)
                self.register_buffer(f"{quantity}_{name}", buffer, persistent=False)
        self.register_buffer("kept", torch.ones(rank, 1, dtype=torch.bool), persistent=False)

    def forward(self, x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
        """The layer's input *x* (T, in) and output *y* (T, out) → (T, out), in the type of *x*."""
        x = F.dropout(x, self.dropout, self.training)
        low = F.linear(x, (self.e * self.a).to(x.dtype))  # (T, R)
        return torch.addmm(y, low, self.b.to(x.dtype).T, alpha=self.scale)

    def merged_weight(self, layer: nn.Linear) -> Tensor:
        """(out, in) the one weight that does the same."""
        return layer.weight + self.scale * self.b @ (self.e * self.a)

    @torch.no_grad()
    def observe(self) -> None:
        """Take the gradients of this step into the smoothed sensitivity and uncertainty.

        ``I = |w ∂w|``, ``Ī ← β Ī + (1 - β) I``, ``Ū ← β Ū + (1 - β) |I - Ī|``; equations 8 to 10.
        """
        for name, parameter in self.named_parameters():
            if parameter.grad is None:
                continue
            sensitivity = self.get_buffer(f"sensitivity_{name}")
            uncertainty = self.get_buffer(f"uncertainty_{name}")
            now = (parameter * parameter.grad).abs()
            sensitivity.lerp_(now, 1 - SMOOTHING)
            uncertainty.lerp_((now - sensitivity).abs(), 1 - SMOOTHING)

    def importance(self) -> Tensor:
        """(R,) of each triplet (row of A, singular value, column of B).

        ``S = s(e) + mean s(A row) + mean s(B column)`` with ``s = Ī Ū``; equations 7 and 11.
        """
        a, b, e = (
            self.get_buffer(f"sensitivity_{n}") * self.get_buffer(f"uncertainty_{n}") for n in "abe"
        )
        scores: Tensor = e[:, 0] + a.mean(1) + b.mean(0)
        return scores

    @torch.no_grad()
    def cut(self) -> None:
        """Set the singular values to zero that are not `kept`."""
        self.e.masked_fill_(~self.kept, 0.0)


def skewness(adapters: Sequence[AdaLoraAdapter]) -> Tensor:
    """How far A and B are from orthogonal: the mean of ``|A Aᵀ - I|`` and ``|Bᵀ B - I|``.

    Frobenius norms, over the 2 M factors; section 3.1, equation 4 (which has their squares; the
    norm itself is what the authors' code and PEFT take).
    """
    products = torch.stack(
        [product for each in adapters for product in (each.a @ each.a.T, each.b.T @ each.b)]
    )  # (2 M, R, R)
    unit = torch.eye(products.shape[-1], device=products.device)
    distances: Tensor = torch.linalg.matrix_norm(products - unit)
    return distances.mean()


@dataclass(frozen=True, slots=True)
class Budget:
    """When the sum of all ranks falls: not in the initial steps, nor in the final ones."""

    n_steps: int
    n_initial: int
    n_final: int
    every: int
    """Steps between two allocations."""

    @classmethod
    def of(cls, n_steps: int) -> Budget:
        """The default for a run of *n_steps*."""
        return cls(
            n_steps,
            n_initial=int(INITIAL_FRACTION * n_steps),
            n_final=int(FINAL_FRACTION * n_steps),
            every=max(1, n_steps // N_ALLOCATIONS),
        )


def n_ranks(step: int, *, budget: Budget, n_first: int, n_last: int) -> int:
    """The sum of all ranks after *step* updates: *n_first*, a cubic fall, then *n_last*.

    ``n_last + (n_first - n_last) (1 - (t - t_i) / (T - t_f - t_i))³``; section 3.3, equation 12.

    >>> budget = Budget(n_steps=100, n_initial=10, n_final=30, every=1)
    >>> [n_ranks(t, budget=budget, n_first=120, n_last=80) for t in (10, 11, 40, 70, 100)]
    [120, 118, 85, 80, 80]
    """
    if step <= budget.n_initial:
        return n_first
    if step >= budget.n_steps - budget.n_final:
        return n_last
    left = 1 - (step - budget.n_initial) / (budget.n_steps - budget.n_final - budget.n_initial)
    return int((n_first - n_last) * left**3 + n_last)


@torch.no_grad()
def give_ranks(
    adapters: Sequence[AdaLoraAdapter], step: int, budget: Budget, *, mean_rank: int
) -> None:
    """After update number *step*: observe the gradients, and cut the least important triplets.

    Until the final steps a triplet that was cut may come back, should its gradient bring it back;
    from then on it stays cut. Source: algorithm 1.
    """
    last = budget.n_steps - budget.n_final
    if step < last:
        for adapter in adapters:
            adapter.observe()
    is_due = step > budget.n_initial and step % budget.every == 0
    if step == last or (step < last and is_due):
        scores = torch.cat([adapter.importance() for adapter in adapters])
        n_kept = n_ranks(step, budget=budget, n_first=len(scores), n_last=mean_rank * len(adapters))
        if n_kept < len(scores):
            threshold = scores.kthvalue(len(scores) - n_kept).values
            for adapter in adapters:
                adapter.kept.copy_(adapter.importance()[:, None] > threshold)
                adapter.cut()
    elif step > last:
        for adapter in adapters:
            adapter.cut()


ADALORA = Method(adalora, 5.0, "as LoRA: singular values start at zero", keeps_backbone=True)
