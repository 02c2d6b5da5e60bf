"""Root mean square norms, with half the passes over memory that single operations take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class _RmsNorm(torch.autograd.Function):
    """Keeps the input and one number a row; the gradient is written into one tensor in place.

    With r one over the root mean square, y = r w x and h = w dy::

        dx = r h - x r³ (h · x) / D,  dw = Σ r x dy
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        wide = x.float()
        r = (wide.square().mean(-1, keepdim=True) + eps).rsqrt()  # (…, 1)
        ctx.save_for_backward(x, weight, r)
        y: Tensor = (wide * r).mul_(weight)
        return y.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, weight, r = ctx.saved_tensors
        wide, dy = x.float(), grad.float()
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (dy * wide).mul_(r).flatten(0, -2).sum(0)
        h = dy * weight
        slope = (h * wide).sum(-1, keepdim=True).mul_(r**3).div_(-x.shape[-1])
        return h.mul_(r).addcmul_(wide, slope).to(x.dtype), of_weight, None, None


rms_norm: Callable[[Tensor, Tensor, float, torch.dtype], Tensor] = _RmsNorm.apply
"""(…, D), weight (D,) fp32, eps → ``x w / root mean square(x)`` in the type asked for."""
