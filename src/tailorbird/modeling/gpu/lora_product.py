"""Frozen linear layers with LoRA on the same input, as one function with a gradient of its own.

``y = x Wᵀ + b + s (x Aᵀ) Bᵀ`` of single operations is seven kernels a layer and twelve for its
gradients, of which casts are half. Here W is cast once for all steps, A and B of these layers by
one call, and what the layers have in common is one product.

Shape letters: T tokens, n layers, R rank.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Kept:
    """Frozen weights of linear layers side by side, cast once; (out of all, in), and biases.

    It is no longer of the layers where one of their weights was replaced, moved or changed; a
    change through ``weight.data`` is not seen.
    """

    def __init__(self, layers: Sequence[nn.Linear], dtype: torch.dtype) -> None:
        # Whoever asks first may be in inference mode, whose tensors no gradient can go through.
        with torch.inference_mode(False), torch.no_grad():
            self.weight = torch.cat([layer.weight.to(dtype) for layer in layers])
            biases = [layer.bias.to(dtype) for layer in layers if layer.bias is not None]
            self.bias = torch.cat(biases) if biases else None
        self._dtype = dtype
        self._made_of = [(weakref.ref(p), p.data_ptr(), p._version) for p in _parts(layers)]

    def is_of(self, layers: Sequence[nn.Linear], dtype: torch.dtype) -> bool:
        """Whether this is what *layers* are now."""
        parts = _parts(layers)
        return (
            dtype == self._dtype
            and len(parts) == len(self._made_of)
            and all(
                known() is p and where == p.data_ptr() and version == p._version
                for p, (known, where, version) in zip(parts, self._made_of, strict=True)
            )
        )

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Nothing of it goes into a copy of a weight, or to another process."""
        return type(None), ()


def _parts(layers: Sequence[nn.Linear]) -> list[Tensor]:
    return [p for layer in layers for p in (layer.weight, layer.bias) if p is not None]


def kept(layers: Sequence[nn.Linear], dtype: torch.dtype) -> Kept | None:
    """The weights of *layers* in *dtype*, cast once, where they are frozen and on a GPU.

    It hangs on the first weight itself, so that models which share their weights share it. None:
    they are tuned, or on a CPU, or *dtype* is no half precision.
    """
    first, parts = layers[0].weight, _parts(layers)
    if not first.is_cuda or dtype.itemsize != 2:
        return None
    if any(p.requires_grad or p.is_inference() for p in parts):
        return None
    found: Kept | None = getattr(first, "kept", None)
    if found is None or not found.is_of(layers, dtype):
        found = Kept(layers, dtype)
        first.kept = found  # type: ignore[attr-defined]
    return found


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
            of_b.append(_of_weight(dy, own))
        of_a = _of_weight(of_low, x).split(factors.ranks)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (grad @ weight).addmm_(of_low, factors.a)
        pairs = [one for pair in zip(of_a, of_b, strict=True) for one in pair]
        return of_x, None, None, None, *pairs


def _of_weight(grad: Tensor, x: Tensor) -> Tensor:
    """(T, out) and (T, in) → (out, in) fp32, never rounded to the type of the factors on a GPU."""
    if grad.is_cuda:
        return torch.mm(grad.T, x, out_dtype=torch.float32)
    return (grad.T @ x).float()


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
