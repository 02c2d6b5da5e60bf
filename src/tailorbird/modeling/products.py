"""Linear layers in the type products run in: frozen weights are cast once, several layers are one.

Weights stay fp32, whatever products run in, and those that are tuned get fp32 gradients.

Shape letters: T tokens, R rank; a linear layer's weight is (out, in).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """``layer(x)`` with what is attached to it, in the type of *x*."""
    return together(x, layer)


def together(x: Tensor, *layers: nn.Linear) -> Tensor:
    """(T, in) → (T, out of all *layers*): each on the same *x*, what they give side by side.

    It is one product where weights have to be cast anyway.
    """
    if x.dtype == layers[0].weight.dtype and len(layers) > 1:
        return torch.cat([linear(x, layer) for layer in layers], 1)
    weight = in_type(x.dtype, *layers)
    bias = None if layers[0].bias is None else in_type(x.dtype, *layers, name="bias")
    widths = [layer.out_features for layer in layers]
    terms = [_low_rank(layer) for layer in layers]
    if not weight.requires_grad and (bias is None or not bias.requires_grad) and all(terms):
        factors = [factor for term in terms if term for factor in term[:2]]
        scales = [term[2] for term in terms if term]
        return _with_low_rank(x, weight, bias, widths, scales, *factors)
    y = F.linear(x, weight, bias)
    if all(getattr(layer, "adapter", None) is None for layer in layers):
        return y
    parts = zip(y.split(widths, 1), layers, strict=True)
    changed = [adapted(x, part, layer) for part, layer in parts]
    return changed[0] if len(changed) == 1 else torch.cat(changed, 1)


def adapted(x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
    """*y*, or what the adapter on *layer* makes of the layer's input *x* and output *y*."""
    adapter = getattr(layer, "adapter", None)
    return y if adapter is None else adapter(x, y, layer)


class _Copy(NamedTuple):
    """A cast copy, and what it is of: it holds as long as these are the same, and unchanged."""

    sources: list[ref[Tensor]]
    states: list[tuple[int, int]]  # (address, how often changed) of each
    tensor: Tensor

    def is_of(self, tensors: Sequence[Tensor], states: Sequence[tuple[int, int]]) -> bool:
        """Whether these very *tensors* are as they were copied."""
        same = len(tensors) == len(self.sources) and self.states == states
        return same and all(of() is t for of, t in zip(self.sources, tensors, strict=True))


_COPIES: WeakKeyDictionary[nn.Module, dict[str, _Copy]] = WeakKeyDictionary()


def in_type(dtype: torch.dtype, *modules: nn.Module, name: str = "weight") -> Tensor:
    """The tensors called *name* of *modules*, below each other, in *dtype*.

    Frozen ones are cast once and kept, until one of them is changed, moved or replaced. They are
    no part of any module: what is saved is the weight itself.

    >>> layer = nn.Linear(2, 1).requires_grad_(False)
    >>> first = in_type(torch.bfloat16, layer)
    >>> first is in_type(torch.bfloat16, layer)
    True
    >>> _ = layer.weight.fill_(3.0)
    >>> in_type(torch.bfloat16, layer).tolist()
    [[3.0, 3.0]]
    """
    tensors: list[Tensor] = [getattr(module, name) for module in modules]
    if len(tensors) == 1 and tensors[0].dtype == dtype:
        return tensors[0]
    if any(tensor.requires_grad or tensor.is_inference() for tensor in tensors):
        return _cast(tensors, dtype)
    copies = _COPIES.setdefault(modules[0], {})
    states = [(tensor.data_ptr(), tensor._version) for tensor in tensors]
    kept = copies.get(name)
    if kept is None or kept.tensor.dtype != dtype or not kept.is_of(tensors, states):
        with torch.inference_mode(False):  # else no later backward pass could use it
            kept = _Copy([ref(tensor) for tensor in tensors], states, _cast(tensors, dtype))
        copies[name] = kept
    return kept.tensor


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    cast = [tensor.to(dtype) for tensor in tensors]  # before they are put together: half to copy
    return cast[0] if len(cast) == 1 else torch.cat(cast)


def _low_rank(layer: nn.Linear) -> tuple[Tensor, Tensor, float] | None:
    """A (R, in), B (out, R) and s of an adapter that adds ``s x Aᵀ Bᵀ`` and does nothing else."""
    factors = getattr(getattr(layer, "adapter", None), "factors", None)
    return None if factors is None else factors()


class _WithLowRank(torch.autograd.Function):
    """``x Wᵀ + b`` of several layers below each other, each with its own ``s x Aᵀ Bᵀ``.

    One product gives the gradient of x, and thin ones of all A at once are added to it in place:
    fewer passes over (T, in) and (T, out) than a graph of single operations needs.

    Source: Hu et al. 2022 (LoRA), section 4.1.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        widths: list[int],
        scales: list[float],
        *factors: Tensor,
    ) -> Tensor:
        a = _cast(factors[::2], x.dtype)  # (R of all, in)
        bs = [b.to(x.dtype) for b in factors[1::2]]
        ranks = [b.shape[1] for b in bs]
        y, low = F.linear(x, weight, bias), F.linear(x, a)
        parts = zip(y.split(widths, 1), low.split(ranks, 1), bs, scales, strict=True)
        for part, thin, b, scale in parts:
            part.addmm_(thin, b.T, alpha=scale)
        ctx.save_for_backward(x, weight, low, a, *bs)
        ctx.widths, ctx.ranks, ctx.scales = widths, ranks, scales
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, low, a, *bs = ctx.saved_tensors
        of_low = torch.empty_like(low)
        of_bs: list[Tensor] = []
        parts = zip(
            grad.split(ctx.widths, 1),
            low.split(ctx.ranks, 1),
            of_low.split(ctx.ranks, 1),
            bs,
            ctx.scales,
            strict=True,
        )
        for g, thin, of_thin, b, scale in parts:
            torch.mul(g @ b, scale, out=of_thin)
            of_bs.append((thin.T @ g).T.float() * scale)  # (out, R)
        of_as = (of_low.T @ x).float().split(ctx.ranks)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (grad @ weight).addmm_(of_low, a)
        of_factors = [factor for pair in zip(of_as, of_bs, strict=True) for factor in pair]
        return of_x, None, None, None, None, *of_factors


_with_low_rank: Callable[..., Tensor] = _WithLowRank.apply
