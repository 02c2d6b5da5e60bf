"""Weights laid out once for the products of a service: short texts, one or few at a time, on a CPU.

A product of fifteen rows spends half its time on laying the weights out as the processor wants
them, and one in bf16 casts them before. A model that is only asked can keep them so. What it gives
is what it gave, within the rounding of the type: sums are taken in another order.

Shape letters: T tokens; a linear layer's weight is (out, in).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from tailorbird.modeling.frozen import Marks

ROWS = 16
"""T that the layout is made for: a question. It suits longer ones as well."""


class ReadyProduct:
    """``x → x Wᵀ + b`` of *layers* side by side, from weights that are laid out already.

    It takes as much memory as the weights themselves in *dtype*. Once one of them has changed it
    is stale, and `gives` says no.
    """

    def __init__(self, layers: Sequence[nn.Linear], dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        with torch.no_grad():
            weight = torch.cat([layer.weight.to(dtype) for layer in layers])
            biases = [layer.bias.to(dtype) for layer in layers if layer.bias is not None]
            self.bias = torch.cat(biases) if biases else None
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
        self._marks = Marks(layers)

    def gives(self, x: Tensor, layers: Sequence[nn.Linear]) -> bool:
        """Whether it can stand in for the product of *x* (T, in) with *layers*, as they are now."""
        return (
            x.dtype == self._dtype
            and not x.is_cuda
            and not torch.is_grad_enabled()
            and self._marks.are_of(layers)
        )

    def __call__(self, x: Tensor, activation: Literal["none", "gelu"] = "none") -> Tensor:
        """(T, in) → (T, out of all layers), with its *activation*: gelu is that of erf."""
        product = torch.ops.mkldnn._linear_pointwise
        algorithm = "none" if activation == "gelu" else ""
        y: Tensor = product(x, self.weight, self.bias, activation, [], algorithm)
        return y

    def __deepcopy__(self, memo: object) -> None:
        """A copy of a model has none: its layers are others."""
        return


def make_ready(groups: Iterable[Sequence[nn.Linear]], dtype: torch.dtype = torch.float32) -> None:
    """Lay out the weights of each group of layers that are asked together, for products in *dtype*.

    None are laid out where the weights are not fp32 on a CPU, or torch cannot do it.
    """
    can = torch.backends.mkldnn.is_available() and _can(dtype)
    for layers in groups:
        vars(layers[0]).pop("ready", None)  # of another time
        weights = [layer.weight for layer in layers]
        biases = [layer.bias is None for layer in layers]
        if can and all(_fits(weight) for weight in weights) and len(set(biases)) == 1:
            object.__setattr__(layers[0], "ready", ReadyProduct(layers, dtype))


def _can(dtype: torch.dtype) -> bool:
    """Whether oneDNN has products in *dtype* on this processor."""
    has_bf16: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32 or (dtype == torch.bfloat16 and has_bf16)


def _fits(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu"
