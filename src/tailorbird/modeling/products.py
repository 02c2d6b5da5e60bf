"""Linear layers in the type products run in, with what is attached to them.

Weights stay fp32, whatever products run in, and those that are tuned get fp32 gradients.

Shape letters: T tokens; a linear layer's weight is (out, in).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.modeling.frozen import kept
from tailorbird.modeling.ready import ReadyProduct

ROWS = 32
"""Rows of a bf16 product on a CPU are filled up to a multiple of it: see `filled`."""


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """``layer(x)`` in the type of *x*, with what is attached to it."""
    return together(x, layer)


def together(x: Tensor, *layers: nn.Linear) -> Tensor:
    """(T, in) → (T, out of all *layers*): each on the same *x*, what they give side by side.

    It is one product where weights have to be cast anyway.
    """
    ready: ReadyProduct | None = getattr(layers[0], "ready", None)
    if x.dtype.itemsize == 2 and torch.is_grad_enabled():
        product = getattr(getattr(layers[0], "adapter", None), "product", None)
        y = None if product is None else product(x, layers)
        if y is not None:
            return y  # type: ignore[no-any-return]
    rows = filled(x)
    if ready is not None and ready.gives(x, layers):
        y = ready(rows)
    elif len(layers) > 1 and x.dtype == layers[0].weight.dtype:
        return torch.cat([linear(x, layer) for layer in layers], 1)
    else:
        y = _product(rows, layers)
    found: list[Any] = [getattr(layer, "adapter", None) for layer in layers]
    if any(adapter is not None for adapter in found):
        parts = y.split([layer.out_features for layer in layers], 1)
        done = _together_adapted(x, rows, parts, layers, found)
        if any(new is not old for new, old in zip(done, parts, strict=True)):
            y = _below(done, 1)  # else all of it was changed in its place
    return y if y.shape[0] == x.shape[0] else y[: x.shape[0]]


def _product(x: Tensor, layers: Sequence[nn.Linear]) -> Tensor:
    if torch.is_grad_enabled() and layers[0].weight.dtype != x.dtype:
        frozen = kept(layers, x.dtype)
        if frozen is not None:
            return F.linear(x, frozen.weight, frozen.bias)
    weights = [layer.weight.to(x.dtype) for layer in layers]  # cast first: half as much to copy
    biases = [layer.bias.to(x.dtype) for layer in layers if layer.bias is not None]
    return F.linear(x, _below(weights), _below(biases) if biases else None)


def of_weight(grad: Tensor, x: Tensor) -> Tensor:
    """(T, out) and (T, in) → (out, in) fp32, never rounded to the type of the factors on a GPU."""
    if grad.is_cuda:
        return torch.mm(grad.T, x, out_dtype=torch.float32)
    return (grad.T @ x).float()


def filled(x: Tensor, n_least: int = ROWS, *, dtype: torch.dtype | None = None) -> Tensor:
    """*x* (T, in) with rows of zeros up to a multiple of *n_least*, for bf16 products on a CPU.

    oneDNN makes code for each size of a bf16 product it has not seen, or has forgotten: 0.65 ms
    and 0.65 MB, and a packed batch has a new T each time. In small jobs that is as much as the
    product itself. From the square of *n_least* rows on the step grows with T, so that an octave
    has no more sizes than that. *dtype* is what *x* will be cast to, if it will.

    >>> len(filled(torch.ones(35, 2, dtype=torch.bfloat16))), len(filled(torch.ones(35, 2)))
    (64, 35)
    """
    if (dtype or x.dtype) != torch.bfloat16 or x.device.type != "cpu":
        return x
    n_rows = x.shape[0]
    step = max(n_least, 2 ** ((n_rows - 1) // n_least).bit_length())
    n_missing = -n_rows % step
    if not n_missing:
        return x
    return torch.cat([x, x.new_zeros(n_missing, x.shape[1])])  # `F.pad` would write all rows twice


def activated(
    x: Tensor, layer: nn.Linear, activation: Callable[[Tensor], Tensor], *, name: str
) -> Tensor:
    """*activation*, called *name*, of ``layer(x)``: within the product, where that is laid out."""
    ready: ReadyProduct | None = getattr(layer, "ready", None)
    has_adapter = getattr(layer, "adapter", None) is not None
    if name != "gelu" or torch.is_grad_enabled():
        return activation(linear(x, layer))
    if ready is None or has_adapter or not ready.gives(x, [layer]):
        return torch.ops.aten.gelu_(linear(x, layer))  # type: ignore[no-any-return]
    return ready(filled(x), "gelu")[: len(x)]


def _together_adapted(
    x: Tensor,
    rows: Tensor,
    parts: Sequence[Tensor],
    layers: Sequence[nn.Linear],
    found: Sequence[Any],
) -> list[Tensor]:
    """What the adapters *found* on *layers* make of the *parts*, at once where they can."""
    adds_with = getattr(found[0], "adds_with", None)
    if len(rows) == len(x) and len(parts) > 1 and adds_with is not None and adds_with(found):
        found[0].add_with(found, x, parts)
        return list(parts)
    return [_adapted(x, rows, *one) for one in zip(parts, layers, strict=True)]


def _adapted(x: Tensor, rows: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
    """*y*, or what the adapter on *layer* makes of it; of *rows*, unless it has to know texts."""
    adapter: Any = getattr(layer, "adapter", None)
    if adapter is None:
        return y
    if len(rows) == len(x) or not knows_texts(layer):
        return adapter(rows, y, layer)  # type: ignore[no-any-return]
    return F.pad(adapter(x, y[: len(x)], layer), (0, 0, 0, len(rows) - len(x)))


def knows_texts(*layers: nn.Linear) -> bool:
    """Whether an adapter of *layers* has to be given the rows of the texts and no others."""
    return any(getattr(getattr(one, "adapter", None), "knows_texts", False) for one in layers)


def _below(tensors: list[Tensor], dim: int = 0) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)
