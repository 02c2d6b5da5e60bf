"""An encoder layer as one function with a gradient of its own, for a GPU.

With short texts a GPU waits for the processor that starts its kernels: a layer of single operations
and their gradients is some eighty of them, each through memory. Here it is 27, products included,
and weights are cast by one call. It computes what `EncoderLayer` does, in bf16 products and an fp32
residual stream, where nothing is attached to the layer and nothing is dropped.

Shape letters: T tokens, D width, B texts, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tailorbird.modeling.gpu import operations as ops
from tailorbird.modeling.packing import PackedBatch
from tailorbird.modeling.products import of_weight


class Texts(NamedTuple):
    """What a layer has to know of a batch."""

    bounds: Tensor  # (B + 1,) int32, where texts begin
    longest: int


def texts_of(batch: PackedBatch) -> Texts:
    """Where the texts of a *batch* stand."""
    return Texts(ops.bounds_of(batch.lengths), batch.max_length)


def fits(
    layers: Sequence[Any], x: Tensor, batch: PackedBatch, dropout: float, dtype: torch.dtype
) -> bool:
    """Whether `tuned_layers` can stand in for *layers* with *x* (T, D).

    It can on a GPU, in half precision, with short texts, where nothing is dropped or attached.
    """
    is_half = dtype.itemsize == 2 and x.dtype == torch.float32
    is_plain = is_half and dropout == 0 and batch.max_length <= ops.LONGEST
    if not (is_plain and layers and torch.is_grad_enabled() and ops.can(x)):
        return False
    return all(is_bare(layer) for layer in layers)


def is_bare(layer: Any) -> bool:
    """Whether nothing is attached to a *layer* of the usual form."""
    linears = [linear for group in layer.products for linear in group]
    return (
        layer.prefix is None
        and layer.activation_name == "gelu"
        and layer.query.out_features // layer.n_heads in ops.HEAD_WIDTHS
        and not layer._forward_hooks  # they would not be called
        and all(getattr(linear, "adapter", None) is None for linear in linears)
    )


def tuned_layers(
    layers: Sequence[Any], x: Tensor, batch: PackedBatch, dtype: torch.dtype
) -> Tensor:
    """(T, D) fp32 → the same, what *layers* make of it, one after another; products in *dtype*."""
    texts, x = texts_of(batch), x.contiguous()
    half = x.to(dtype)
    for layer in layers:
        x, half = _layer(x, half, texts, layer, *parameters_of(layer))
    return x


def parameters_of(layer: Any) -> list[nn.Parameter]:
    """Weights and biases: of one product after another, then of both norms."""
    linears = [linear for group in layer.products for linear in group]
    norms = [layer.attention_norm, layer.ffn_norm]
    return [p for module in (*linears, *norms) for p in (module.weight, module.bias)]


class _Cast:
    """The weights of a layer's products in the type these run in; queries, keys, values as one.

    They are cast by one call, and live until the backward pass.
    """

    def __init__(self, parameters: Sequence[Tensor], dtype: torch.dtype) -> None:
        width = parameters[0].shape[1]
        first = parameters[0].new_empty(3 * width, width, dtype=dtype)
        bias = parameters[1].new_empty(3 * width, dtype=dtype)
        rest = [torch.empty_like(one, dtype=dtype) for one in parameters[6:12]]
        self.weights, self.biases = [first, *rest[0::2]], [bias, *rest[1::2]]
        wide = zip(first.chunk(3), bias.chunk(3), strict=True)
        places = [*(one for pair in wide for one in pair), *rest]
        torch._foreach_copy_(places, list(parameters[:12]))


class _EncoderLayer(torch.autograd.Function):
    """Devlin et al. 2019, appendix A.2, with the norms after the sums."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, half: Tensor, texts: Texts, layer: Any, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        cast = _Cast(parameters, half.dtype)
        weights, biases, norms = cast.weights, cast.biases, parameters[12:]
        scale = (x.shape[1] // layer.n_heads) ** -0.5
        qkv = F.linear(half, weights[0], biases[0])
        mixed = ops.attend(qkv, *texts, layer.n_heads, scale)
        added = F.linear(mixed, weights[1], biases[1])
        first = ops.add_norm(x, added, norms[0], norms[1], layer.attention_norm.eps)
        inner = F.linear(first.half, weights[2], biases[2])  # (T, 4 D)
        hidden = F.gelu(inner)
        added = F.linear(hidden, weights[3], biases[3])
        second = ops.add_norm(first.out, added, norms[2], norms[3], layer.ffn_norm.eps)
        kept = [(n.summed, n.half, n.mean, n.rate) for n in (first, second)]
        ctx.save_for_backward(half, qkv, mixed, inner, hidden, *kept[0], *kept[1], *norms)
        ctx.facts = texts, layer.n_heads, scale, cast
        ctx.set_materialize_grads(False)
        return second.out, second.half

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_half: Tensor | None) -> tuple[Any, ...]:
        half, qkv, mixed, inner, hidden, *rest = ctx.saved_tensors
        texts, n_heads, scale, cast = ctx.facts
        (first, second), norms = (_normed(*rest[k : k + 4]) for k in (0, 4)), rest[8:]
        wanted = ctx.needs_input_grad[4:]
        found: list[Tensor | None] = [None] * 16
        if grad is None:
            assert grad_half is not None
            grad, grad_half = grad_half.float(), None
        grad = grad.contiguous()
        grad_half = None if grad_half is None else grad_half.contiguous()
        n = ops.add_norm_backward(grad, grad_half, second, norms[2])
        found[11], found[14], found[15] = n.addend, n.weight, n.bias
        found[10] = of_weight(n.half, hidden) if wanted[10] else None
        of_inner = torch.ops.aten.gelu_backward(n.half @ cast.weights[3], inner)
        found[8] = of_weight(of_inner, first.half) if wanted[8] else None
        found[9] = of_inner.sum(0, dtype=torch.float32) if wanted[9] else None
        n = ops.add_norm_backward(n.summed, of_inner @ cast.weights[2], first, norms[0])
        found[7], found[12], found[13] = n.addend, n.weight, n.bias
        found[6] = of_weight(n.half, mixed) if wanted[6] else None
        of_mixed = n.half @ cast.weights[1]
        bounds, longest = texts
        of_qkv = ops.attend_backward(qkv, of_mixed, bounds, longest, n_heads, scale)
        if any(wanted[0:6:2]):
            found[0:6:2] = of_weight(of_qkv, half).chunk(3)
        if any(wanted[1:6:2]):
            found[1:6:2] = of_qkv.sum(0, dtype=torch.float32).chunk(3)
        given = (one if is_wanted else None for one, is_wanted in zip(found, wanted, strict=True))
        of_half = of_qkv @ cast.weights[0] if ctx.needs_input_grad[1] else None
        return n.summed, of_half, None, None, *given


def _normed(summed: Tensor, half: Tensor, mean: Tensor, rate: Tensor) -> ops.Normed:
    return ops.Normed(summed, summed, half, mean, rate)  # ``out`` itself is not needed again


_layer: Any = _EncoderLayer.apply
