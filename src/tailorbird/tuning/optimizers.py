"""AdamW for matrices, without decay for biases and norms, and sparse Adam for the word table."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tailorbird.modeling import TextClassifier


def build_optimizers(
    model: TextClassifier, *, learning_rate: float, head_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """The optimizers of everything that is tuned; each group remembers its ``peak_rate``.

    The word table gets Adam on the rows that a batch touched (`torch.optim.SparseAdam`): a dense
    update of tens of thousands of rows would cost more than two layers. Moments of other rows
    stand still, and the table has no decay.
    """
    table = getattr(model.encoder, "words", None)
    sparse = [table.weight] if table is not None and table.weight.requires_grad else []
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for parameter in model.encoder.parameters():
        if parameter.requires_grad and not any(parameter is p for p in sparse):
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    groups = [
        {"params": decayed, "peak_rate": learning_rate, "weight_decay": weight_decay},
        {"params": plain, "peak_rate": learning_rate, "weight_decay": 0.0},
        {
            "params": [model.head.linear.weight],
            "peak_rate": head_rate,
            "weight_decay": weight_decay,
        },
        {"params": [model.head.linear.bias], "peak_rate": head_rate, "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(used, lr=learning_rate, fused=True)
    ]
    if sparse:
        group = {"params": sparse, "peak_rate": learning_rate}
        optimizers.append(torch.optim.SparseAdam([group], lr=learning_rate))
    return optimizers


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set each group's rate to its peak times *factor*."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_rate"] * factor


@torch.no_grad()
def clip_gradients(model: nn.Module, max_norm: float) -> float:
    """Scale all gradients (sparse ones too) so that their joint norm is at most *max_norm*.

    Returns the norm before scaling. Source: Pascanu et al. 2013, section 3.2.
    """
    dense: list[Tensor] = []
    for parameter in model.parameters():
        grad = parameter.grad
        if grad is None:
            continue
        if grad.is_sparse:
            parameter.grad = grad = grad.coalesce()
            grad = grad.values()
        dense.append(grad)
    norms = torch._foreach_norm(dense)
    norm = float(torch.linalg.vector_norm(torch.stack(norms)))
    if max_norm and norm > max_norm:
        torch._foreach_mul_(dense, max_norm / (norm + 1e-6))
    return norm
