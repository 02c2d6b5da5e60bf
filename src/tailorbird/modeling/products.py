"""Linear layers in the type products run in, with what is attached to them.

Weights stay fp32, whatever products run in, and those that are tuned get fp32 gradients.

Shape letters: T tokens; a linear layer's weight is (out, in).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """``layer(x)`` in the type of *x*, with what is attached to it."""
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return adapted(x, F.linear(x, layer.weight.to(x.dtype), bias), layer)


def together(x: Tensor, *layers: nn.Linear) -> Tensor:
    """(T, in) → (T, out of all *layers*): each on the same *x*, what they give side by side.

    It is one product where weights have to be cast anyway.
    """
    if x.dtype == layers[0].weight.dtype:
        return torch.cat([linear(x, layer) for layer in layers], 1)
    weight = torch.cat([layer.weight.to(x.dtype) for layer in layers])  # cast first: half to copy
    biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    y = F.linear(x, weight, torch.cat(biases).to(x.dtype) if biases else None)
    if all(getattr(layer, "adapter", None) is None for layer in layers):
        return y
    parts = y.split([layer.out_features for layer in layers], 1)
    return torch.cat(
        [adapted(x, part, layer) for part, layer in zip(parts, layers, strict=True)], 1
    )


def adapted(x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
    """*y*, or what the adapter on *layer* makes of the layer's input *x* and output *y*."""
    adapter = getattr(layer, "adapter", None)
    return y if adapter is None else adapter(x, y, layer)
