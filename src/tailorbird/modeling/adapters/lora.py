"""LoRA, with the rank-stabilised scale (rsLoRA) and the weight-decomposed form (DoRA).

Shape letters: T tokens, R rank; a linear layer's weight is (out, in).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling.adapters.attachment import Attachment, Method, target_linears
from tailorbird.modeling.adapters.lora_product import lora_product
from tailorbird.modeling.frozen import kept
from tailorbird.modeling.products import filled


def lora(backbone: Any, settings: MethodSettings) -> Attachment:
    """Freeze the backbone and put a `LoraAdapter` on each target above the frozen layers."""
    return attach_lora(backbone, settings, target_linears(backbone, settings))


def attach_lora(backbone: Any, settings: MethodSettings, linears: Iterable[str]) -> Attachment:
    """The same on the *linears* that are named."""
    if settings.rank < 1:
        raise ConfigError(f"method.rank = {settings.rank} must be at least 1")
    backbone.requires_grad_(False)
    places = {
        f"{name}.adapter": LoraAdapter(backbone.get_submodule(name), settings) for name in linears
    }
    return Attachment(backbone, settings, places, originals={})


class LoraAdapter(nn.Module):
    """``y = W x + b + s B A x``, A (R, in) and B (out, R); W and b as pretrained.

    B starts at zero, so that at first nothing changes. The scale s is alpha / R, or
    alpha / sqrt(R) with *rslora*: its gradients keep their size when the rank grows. With *dora*
    each row of the weight has its length m (out,) tuned apart from its direction::

        y = m / |W + s B A| * (W x + s B A x) + b

    m starts as the row lengths of W. The length |W + s B A| is taken as a constant (no gradient);
    it is found from R-wide products, without forming B A. In training with dropout, the dropout
    is before A alone.

    Sources: Hu et al. 2022 (LoRA), section 4.1; Kalajdzievski 2023 (rsLoRA), section 3; Liu et
    al. 2024 (DoRA), sections 4.1 and 4.3.

    >>> layer = nn.Linear(3, 2)
    >>> adapter = LoraAdapter(layer, MethodSettings(name="lora", rank=4, alpha=8.0))
    >>> adapter.scale, tuple(adapter.a.shape), adapter.b.abs().sum().item()
    (2.0, (4, 3), 0.0)
    """

    def __init__(self, layer: nn.Linear, settings: MethodSettings) -> None:
        super().__init__()
        rank = settings.rank
        self.scale = settings.alpha / (math.sqrt(rank) if settings.rslora else rank)
        self.dropout = settings.dropout
        self.a = nn.Parameter(torch.empty(rank, layer.in_features))
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))
        lengths = layer.weight.detach().norm(dim=1) if settings.dora else None
        self.length = None if lengths is None else nn.Parameter(lengths)

    def forward(self, x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
        """The layer's input *x* (T, in) and output *y* (T, out) → (T, out), in the type of *x*."""
        low = F.linear(F.dropout(x, self.dropout, self.training), self.a.to(x.dtype))  # (T, R)
        if self.length is None:
            return torch.addmm(y, low, self.b.to(x.dtype).T, alpha=self.scale)
        gain = (self.length / self.lengths(layer)).to(x.dtype)
        y = y if layer.bias is None else y - layer.bias.to(x.dtype)
        y = gain * torch.addmm(y, low, self.b.to(x.dtype).T, alpha=self.scale)
        return y if layer.bias is None else y + layer.bias.to(x.dtype)

    def product(self, x: Tensor, layers: Sequence[nn.Linear]) -> Tensor | None:
        """(T, in) → (T, out of *layers*, of which this is on the first), all of it at once.

        None where that cannot be: weights are tuned, products are not in half precision, or not
        all layers have an adapter as plain as this.
        """
        adapters: list[Any] = [getattr(layer, "adapter", None) for layer in layers]
        if not all(self._is_alike(adapter) for adapter in adapters):
            return None
        weights = kept(layers, x.dtype)
        if weights is None:
            return None
        rows = filled(x)
        y = lora_product(rows, weights, adapters)
        return y if len(rows) == len(x) else y[: len(x)]

    def _is_alike(self, other: Any) -> bool:
        is_plain = isinstance(other, LoraAdapter) and other.length is None
        return is_plain and not (other.dropout and other.training) and other.scale == self.scale

    @torch.no_grad()
    def lengths(self, layer: nn.Linear) -> Tensor:
        """(out,) the lengths of the rows of ``W + s B A``.

        ``|w + s b A|² = |w|² + 2 s b·(A w) + s² b (A Aᵀ) bᵀ``
        """
        crossed = layer.weight @ self.a.T  # (out, R)
        squares = layer.weight.square().sum(1) + 2 * self.scale * (self.b * crossed).sum(1)
        squares = squares + self.scale**2 * ((self.b @ (self.a @ self.a.T)) * self.b).sum(1)
        return squares.sqrt()

    def merged_weight(self, layer: nn.Linear) -> Tensor:
        """(out, in) the one weight that does the same."""
        weight = layer.weight + self.scale * self.b @ self.a
        if self.length is None:
            return weight
        return (self.length / self.lengths(layer))[:, None] * weight


LORA = Method(
    lora,
    5.0,
    "low-rank factors start at zero and stand several times the rate",
    keeps_backbone=True,
)
