"""`operations.attend` with its gradient, for layers that are not one function as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tailorbird.modeling.gpu import operations as ops


def is_short(qkv: Tensor, longest: int, n_heads: int) -> bool:
    """Whether `short_attention` takes *qkv* (T, 3 H E): a GPU, and texts and heads that fit."""
    head_width = qkv.shape[1] // (3 * n_heads)
    is_fit = longest <= ops.LONGEST and head_width in ops.HEAD_WIDTHS
    return is_fit and ops.can(qkv)


class _ShortAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, bounds: Tensor, longest: int, n_heads: int) -> Tensor:
        qkv = qkv.contiguous()
        ctx.save_for_backward(qkv, bounds)
        ctx.facts = longest, n_heads
        return ops.attend(qkv, bounds, longest, n_heads, 1.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        qkv, bounds = ctx.saved_tensors
        longest, n_heads = ctx.facts
        of_qkv = ops.attend_backward(qkv, grad.contiguous(), bounds, longest, n_heads, 1.0)
        return of_qkv, None, None, None


short_attention: Callable[[Tensor, Tensor, int, int], Tensor] = _ShortAttention.apply
"""(T, 3 H E) with queries already scaled, where texts begin, the longest, H → (T, H E)."""
