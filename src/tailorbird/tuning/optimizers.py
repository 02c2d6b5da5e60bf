"""Rules that turn gradients into new weights; decay for matrices alone, never biases and norms."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tailorbird.config import OptimizerSettings
from tailorbird.modeling import TextModel

Groups = list[dict[str, Any]]
Kind = TypeVar("Kind", bound=type[torch.optim.Optimizer])

WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods that torch wraps, as it does ``step``, for the sake of its compiler. The first call of
any imports that compiler, and sympy with it: 5 s and 120 MB a process, and nothing is compiled."""


def _uncompiled(kind: Kind) -> Kind:
    """*kind* with those methods as they were before they were wrapped; it computes the same.

    >>> _uncompiled(torch.optim.SGD).__name__, hasattr(torch.optim.SGD.step, "__wrapped__")
    ('SGD', True)
    """
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    made: Any = type(kind.__name__, (kind,), {**plain, "step": step})
    return made  # type: ignore[no-any-return]


AdamW = _uncompiled(torch.optim.AdamW)
Adam = _uncompiled(torch.optim.Adam)
SGD = _uncompiled(torch.optim.SGD)
Adafactor = _uncompiled(torch.optim.Adafactor)
SparseAdam = _uncompiled(torch.optim.SparseAdam)


def adamw(groups: Groups, rate: float, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Adam with decay beside the gradient: ``w ← w - rate · decay · w`` (Loshchilov 2019)."""
    betas = (settings.beta1, settings.beta2)
    return AdamW(groups, lr=rate, betas=betas, eps=settings.epsilon, fused=True)


def adam(groups: Groups, rate: float, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015, algorithm 1) with L2: ``decay · w`` is added to the gradient."""
    betas = (settings.beta1, settings.beta2)
    return Adam(groups, lr=rate, betas=betas, eps=settings.epsilon, fused=True)


def sgd(groups: Groups, rate: float, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """``v ← momentum · v + g; w ← w - rate · v`` (Sutskever et al. 2013), L2 in the gradient."""
    return SGD(groups, lr=rate, momentum=settings.momentum)


def adafactor(groups: Groups, rate: float, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Second moments by row and column, rates relative to the weights (Shazeer and Stern 2018)."""
    return Adafactor(groups, lr=rate)


OPTIMIZERS: dict[str, Callable[[Groups, float, OptimizerSettings], torch.optim.Optimizer]] = {
    "adamw": adamw,
    "adam": adam,
    "sgd": sgd,
    "adafactor": adafactor,
}

RATE_FACTORS = {"adamw": 1.0, "adam": 1.0, "sgd": 100.0, "adafactor": 25.0}
"""The rate that does what 1 does for AdamW: SGD's steps are as small as its gradients, and
Adafactor's as the weights (0.04 in a typical matrix of BERT)."""


def build_optimizers(
    model: TextModel, *, learning_rate: float, head_rate: float, settings: OptimizerSettings
) -> list[torch.optim.Optimizer]:
    """The optimizers of everything that is tuned; each group remembers its ``peak_rate``.

    The word table gets an optimizer of its own that changes the rows a batch touched: a dense
    update of tens of thousands of rows would cost more than two layers. That is Adam
    (`torch.optim.SparseAdam`; moments of other rows stand still), or SGD without momentum where
    the rest has SGD. The table has no decay.

    With ``layer_decay`` below 1 each layer learns slower than the one above it, the embeddings
    slowest: ``rate · decay^(layers above)`` (Howard and Ruder 2018, section 3.2).
    """
    table = getattr(model.backbone, "words", None)
    words = table.weight if isinstance(table, nn.Embedding) and table.sparse else None
    n_layers = model.backbone.n_layers
    top = {f"backbone.{name}" for name in getattr(model.backbone, "above_layers", ())}
    grouped: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter is not words:
            n_above = 0 if name in top else _layers_above(name, n_layers)
            rate = head_rate if n_above < 0 else learning_rate * settings.layer_decay**n_above
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            grouped.setdefault((rate, decay), []).append(parameter)
    groups: Groups = [
        {"params": parameters, "peak_rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in grouped.items()
    ]
    optimizers = [OPTIMIZERS[settings.name](groups, learning_rate, settings)]
    if words is not None and words.requires_grad:
        rate = learning_rate * settings.layer_decay**n_layers
        if settings.name == "sgd":
            optimizers.append(SGD([{"params": [words], "peak_rate": rate}], lr=rate))
        else:
            rate /= RATE_FACTORS[settings.name]  # it is Adam here, whatever it is elsewhere
            betas, epsilon = (settings.beta1, settings.beta2), settings.epsilon
            group = {"params": [words], "peak_rate": rate}
            optimizers.append(SparseAdam([group], rate, betas, epsilon))
    return optimizers


def _layers_above(name: str, n_layers: int) -> int:
    """How many layers stand above a parameter of a layer or the embeddings; -1 for the head.

    >>> [_layers_above(f"backbone.{name}", 6) for name in ("layers.5.key.bias", "norm.weight")]
    [0, 6]
    """
    if not name.startswith("backbone."):
        return -1
    numbered = re.search(r"\blayers?\.(\d+)\.", name)
    return n_layers - 1 - int(numbered[1]) if numbered else n_layers


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set each group's rate to its peak times *factor*."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_rate"] * factor


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients (sparse ones too) so that their joint norm is at most *max_norm*.

    Returns the norm before scaling. Source: Pascanu et al. 2013, section 3.2.
    """
    dense: list[Tensor] = []
    for parameter in parameters:
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
