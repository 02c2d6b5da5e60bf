"""What a decoder does between its products, a kernel each way: norms, rotary turns, gates.

They are what `rms_norm`, `turn` and ``silu(gate) * input`` are in single operations, of which each
is started by itself and goes through memory.

Shape letters: T tokens, D width, H heads, G heads of keys and values, E width of one head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tailorbird.modeling.gpu.operations import power_of_two

_COLUMNS = 1024
"""That one program of a gate takes of a row."""


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        from tailorbird.modeling.gpu import kernels

        x = x.contiguous()
        width = x.shape[-1]
        n_rows = x.numel() // width
        out, rate = torch.empty_like(x, dtype=dtype), x.new_empty(n_rows, dtype=torch.float32)
        kernels.rms_norm[(n_rows,)](x, weight, out, rate, eps, width, power_of_two(width))
        ctx.save_for_backward(x, weight, rate)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        from tailorbird.modeling.gpu import kernels

        x, weight, rate = ctx.saved_tensors
        width, of_x = x.shape[-1], torch.empty_like(x)
        kernels.rms_norm_backward[(len(rate),)](
            grad.contiguous(), x, weight, rate, of_x, width, power_of_two(width)
        )
        return of_x, None, None, None


rms_norm: Callable[[Tensor, Tensor, float, torch.dtype], Tensor] = _RmsNorm.apply
"""(…, D), a weight (D,) that is not tuned, eps → ``x w / root mean square(x)`` in the type asked
for."""


class _Turn(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        heads: Tensor,
        positions: Tensor,
        rates: Tensor,
        n_query: int,
        n_key: int,
        scale: float,
    ) -> Tensor:
        ctx.save_for_backward(positions, rates)
        ctx.sizes = n_query, n_key, scale
        return _turned(heads, positions, rates, ctx.sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        positions, rates = ctx.saved_tensors
        of_heads = _turned(grad, positions, rates, ctx.sizes, sign=-1.0)
        return of_heads, None, None, None, None, None


turn: Callable[[Tensor, Tensor, Tensor, int, int, float], Tensor] = _Turn.apply
"""(T, H + 2 G, E), positions (T,), rates (E / 2,), H, G, scale → the same as `rotary.turn`."""


def _turned(
    heads: Tensor,
    positions: Tensor,
    rates: Tensor,
    sizes: tuple[int, int, float],
    *,
    sign: float = 1.0,
) -> Tensor:
    from tailorbird.modeling.gpu import kernels

    heads, (n_query, n_key, scale) = heads.contiguous(), sizes
    out, (n_tokens, n_heads, width) = torch.empty_like(heads), heads.shape
    half = width // 2
    kernels.turn[n_tokens, n_heads](
        heads,
        positions,
        rates,
        out,
        sign,
        scale,
        n_heads,
        n_query + n_key,
        n_query,
        half,
        power_of_two(half),
        num_warps=1,
    )
    return out


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        from tailorbird.modeling.gpu import kernels

        both = both.contiguous()
        n_rows, width = both.shape[0], both.shape[1] // 2
        ctx.save_for_backward(both)
        out = both.new_empty(n_rows, width)
        kernels.gate[n_rows, -(-width // _COLUMNS)](both, out, width, _COLUMNS)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        from tailorbird.modeling.gpu import kernels

        (both,) = ctx.saved_tensors
        of_both, (n_rows, width) = torch.empty_like(both), grad.shape
        grid = n_rows, -(-width // _COLUMNS)
        kernels.gate_backward[grid](grad.contiguous(), both, of_both, width, _COLUMNS)
        return of_both


gate: Callable[[Tensor], Tensor] = _Gate.apply
"""(T, 2 W), gates and then inputs → (T, W) ``silu(gate) * input``."""
