"""The layers of an encoder on a few short texts, as one compiled function: what a service is asked.

A layer is some seventeen operations, of which each takes about as long as Python takes to call it.
They are those of `EncoderLayer` in the same order: of up to `attention.FEW` texts the states are
the same bit by bit in fp32, of more, which it lays out, within the rounding. In half precision
queries are not rounded again after they were scaled. A hook within a layer is not heard.

Shape letters: T tokens, D width, H heads, E width of one head, L tokens of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tailorbird.modeling.compiled import compiled
from tailorbird.modeling.frozen import Marks
from tailorbird.modeling.packing import PackedBatch
from tailorbird.modeling.products import filled
from tailorbird.modeling.ready import ROWS, ReadyProduct

MOST = 32
"""So many texts at once: beyond, those of like length are faster side by side."""

SHORT = 64
"""Tokens of a text, fewer than these."""


class FewTexts:
    """The *layers* of an encoder, whose products are laid out already (`make_ready`)."""

    def __init__(self, layers: Sequence[Any], dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._parts = [_parts(layer) for layer in layers]
        self._marks = [Marks(_weighted(layer)) for layer in layers]
        first = layers[0]
        self._sizes = first.n_heads, first.attention_norm.eps

    @classmethod
    def of(cls, layers: Sequence[Any], dtype: torch.dtype) -> FewTexts | None:
        """None where a product is not laid out, or there is another activation than gelu."""
        products = [one for layer in layers for one in _ready(layer)]
        is_ready = all(one is not None and one.bias is not None for one in products)
        is_gelu = all(layer.activation_name == "gelu" for layer in layers)
        return cls(layers, dtype) if is_ready and is_gelu else None

    def __deepcopy__(self, memo: object) -> None:
        """A copy of a model has none: its layers are others."""
        return

    def first_of(self, layers: Sequence[Any], batch: PackedBatch, dtype: torch.dtype) -> int:
        """From which of *layers* on it stands in for them in *dtype*: their number where for none.

        A layer that somebody listens to is called itself, as those before it.
        """
        fits = batch.n_texts <= MOST and batch.max_length < SHORT and dtype == self._dtype
        if not fits or torch.is_grad_enabled() or len(layers) != len(self._parts):
            return len(layers)
        for i in range(len(layers) - 1, -1, -1):
            if _is_special(layers[i]) or not self._marks[i].are_of(_weighted(layers[i])):
                return i + 1
        return 0

    def __call__(self, x: Tensor, batch: PackedBatch, first: int) -> Tensor:
        """(T, D) → (T, D), through the layers from *first* on."""
        rows = filled(x, ROWS, dtype=self._dtype)
        lengths: list[int] = batch.lengths.tolist()
        is_half = self._dtype == torch.bfloat16
        found: Tensor = compiled(_layers)(rows, self._parts[first:], lengths, *self._sizes, is_half)
        return found[: len(x)]


def _layers(
    x: Tensor,
    parts: list[list[Tensor]],
    lengths: list[int],
    n_heads: int,
    eps: float,
    is_half: bool,
) -> Tensor:
    """(T and rows to fill up, D) fp32 → the same, as `EncoderLayer` has it."""
    n_rows, width = x.shape
    n_tokens = 0
    for length in lengths:
        n_tokens += length
    scale = (width // n_heads) ** -0.5
    for own in parts:
        h = x.to(torch.bfloat16) if is_half else x
        qkv = torch.ops.mkldnn._linear_pointwise(h, own[0], own[1], "none", [], "")
        wide = qkv.float() if is_half else qkv  # for so little bf16 takes four times as long
        wide.narrow(1, 0, width).mul_(scale)
        heads = wide.view(n_rows, 3 * n_heads, -1).transpose(0, 1)  # (3 H, T, E)
        mixed = torch.zeros_like(h) if n_rows > n_tokens else torch.empty_like(h)
        places = mixed.view(n_rows, n_heads, -1)
        start = 0
        for length in lengths:
            text = heads.narrow(1, start, length)  # (3 H, L, E)
            q, k, v = text.chunk(3)
            weights = torch.bmm(q, k.transpose(1, 2)).softmax(-1)  # (H, L, L)
            places.narrow(0, start, length).copy_(torch.bmm(weights, v).transpose(0, 1))
            start += length
        y = torch.ops.mkldnn._linear_pointwise(mixed, own[2], own[3], "none", [], "")
        x = torch.layer_norm(x + y, [width], own[4], own[5], eps)
        h = x.to(torch.bfloat16) if is_half else x
        y = torch.ops.mkldnn._linear_pointwise(h, own[6], own[7], "gelu", [], "none")
        y = torch.ops.mkldnn._linear_pointwise(y, own[8], own[9], "none", [], "")
        x = torch.layer_norm(x + y, [width], own[10], own[11], eps)
    return x


def _linears(layer: Any) -> list[nn.Linear]:
    return [one for side_by_side in layer.products for one in side_by_side]


def _weighted(layer: Any) -> list[Any]:
    """All that has weights."""
    return [*_linears(layer), layer.attention_norm, layer.ffn_norm]


def _ready(layer: Any) -> list[ReadyProduct | None]:
    """Its products, in the order in which they are needed; None for one that is not laid out."""
    return [getattr(first, "ready", None) for first, *_ in layer.products]


def _parts(layer: Any) -> list[Tensor]:
    """Weights and biases in the order in which they are needed."""
    qkv, out, wide, narrow = ([one.weight, one.bias] for one in _ready(layer) if one)
    first, second = ([n.weight, n.bias] for n in (layer.attention_norm, layer.ffn_norm))
    return [*qkv, *out, *first, *wide, *narrow, *second]


def _is_special(layer: Any) -> bool:
    """Whether something is attached to it, or somebody listens to what it gives."""
    has_adapter = any(getattr(one, "adapter", None) is not None for one in _linears(layer))
    return has_adapter or layer.prefix is not None or bool(layer._forward_hooks)
