"""Frozen linear layers with LoRA on the same input, as one function with a gradient of its own.

``y = x Wᵀ + b + s (x Aᵀ) Bᵀ`` of single operations is seven kernels a layer and twelve for its
gradients, of which casts are half. Here W was cast once for all steps (`frozen`), A and B of these
layers are by one call, and what the layers have in common is one product.

Shape letters: T tokens, n layers, R rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tailorbird.modeling.frozen import Kept
from tailorbird.modeling.products import of_weight


class _Factors:
    """A and B of the adapters of some layers in the type products run in."""

    def __init__(self, pairs: Sequence[Tensor], dtype: torch.dtype) -> None:
        a = pairs[0::2]
        self.a = a[0].new_empty(sum(map(len, a)), a[0].shape[1], dtype=dtype)  # (n R, in)
        self.b = [torch.empty_like(one, dtype=dtype) for one in pairs[1::2]]
        self.ranks = [len(one) for one in a]
        places = list(zip(self.a.split(self.ranks), self.b, strict=True))
        torch._foreach_copy_([one for pair in places for one in pair], list(pairs))


class _LoraProduct(torch.autograd.Function):
    """Hu et al. 2022, section 4.1."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, scale: float, *pairs: Tensor
    ) -> Tensor:
        factors = _Factors(pairs, x.dtype)
        y = F.linear(x, weight, bias)
        # (T, n R), scaled here: beta = 0 leaves out what would be added.
        low = torch.addmm(x.new_empty(len(factors.a)), x, factors.a.T, beta=0, alpha=scale)
        widths = [len(b) for b in factors.b]
        parts = zip(y.split(widths, 1), low.split(factors.ranks, 1), factors.b, strict=True)
        for out, own, b in parts:
            out.addmm_(own, b.T)
        ctx.save_for_backward(x, weight, low)
        ctx.facts = factors, widths, scale
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, low = ctx.saved_tensors
        factors, widths, scale = ctx.facts
        of_low, of_b = torch.empty_like(low), []
        parts = zip(
            grad.split(widths, 1),
            low.split(factors.ranks, 1),
            of_low.split(factors.ranks, 1),
            factors.b,
            strict=True,
        )
        for dy, own, of_own, b in parts:
            torch.addmm(of_own, dy, b, beta=0, alpha=scale, out=of_own)
            of_b.append(of_weight(dy, own))
        of_a = of_weight(of_low, x).split(factors.ranks)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (grad @ weight).addmm_(of_low, factors.a)
        pairs = [one for pair in zip(of_a, of_b, strict=True) for one in pair]
        return of_x, None, None, None, *pairs


_product: Callable[..., Tensor] = _LoraProduct.apply


def lora_product(x: Tensor, weights: Kept, adapters: Sequence[Any]) -> Tensor:
    """(T, in) → (T, out of all layers).

    Args:
        x: what goes into all of them.
        weights: of the layers.
        adapters: of them, in their order, each with ``a``, ``b`` and the same ``scale``.
    """
    pairs = [p for adapter in adapters for p in (adapter.a, adapter.b)]
    y: Tensor = _product(x, weights.weight, weights.bias, adapters[0].scale, *pairs)
    return y
