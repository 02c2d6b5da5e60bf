"""Attention of short texts, and a sum with its norm: forward and backward, a kernel each.

FlashAttention goes through a text by tiles of 128 tokens. Texts of logs are shorter than one, so
that most of each tile is empty. Here a tile is as long as the longest text, and weights are
computed anew in the backward pass: queries, keys, values and gradients go through memory once.

All of it is there in plain torch as well, for tensors that are on no GPU: what is tested anywhere.

Shape letters: T tokens, D width, B texts, H heads, E width of one head.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

LONGEST = 128
"""Tokens of the longest text whose weights fit the registers of one program."""

SHORTEST = 16
"""The fewest tokens that a tile holds: products of matrices take no fewer."""

HEAD_WIDTHS = (16, 32, 64)

_WARPS = {16: 1, 32: 2, 64: 4, 128: 8}
"""By the length of the tile: more of it needs more registers."""

_PROGRAMS = 264
"""Of the norm's backward pass, each of some rows: two for a multiprocessor of a large GPU."""


class Normed(NamedTuple):
    """A sum, its layer norm, and what the backward pass needs to know of it."""

    summed: Tensor  # (T, D) fp32
    out: Tensor  # (T, D) fp32
    half: Tensor  # (T, D), out in the type products run in
    mean: Tensor  # (T,)
    rate: Tensor  # (T,) one over the standard deviation


class NormGradients(NamedTuple):
    """Of a sum with its norm."""

    summed: Tensor  # (T, D) fp32
    half: Tensor  # (T, D), the same in the type of the addend
    weight: Tensor  # (D,)
    bias: Tensor  # (D,)
    addend: Tensor  # (D,) the sum of `summed` over rows: of a bias that the addend had


_last: tuple[Tensor, Tensor] | None = None


def bounds_of(lengths: Tensor) -> Tensor:
    """(B,) → (B + 1,) int32, where texts begin, and the end.

    Kept for the layers to come, which ask with the same tensor; nobody may change it meanwhile.
    """
    global _last
    known = _last
    if known is None or known[0] is not lengths:
        with torch.inference_mode(False):  # they may be kept for a backward pass
            known = lengths, F.pad(torch.cumsum(lengths, 0), (1, 0)).to(torch.int32)
        _last = known
    return known[1]


@cache
def why_not() -> str:
    """Why kernels cannot be compiled for this machine's GPU; empty: they can, as one was.

    torch's builds for CUDA bring Triton on Linux. It starts its kernels by a little C, for which it
    needs a compiler and the headers of Python.
    """
    if find_spec("triton") is None:
        return "there is no Triton, which torch's builds for CUDA bring on Linux"
    if torch.cuda.get_device_capability() < (8, 0):
        return "the GPU is older than Ampere"
    try:
        from tailorbird.modeling.gpu import kernels

        kernels.probe[1,](torch.empty(1, device="cuda"))
    except Exception as error:  # whatever its compilers lack here: single operations need none
        said = str(error).strip().splitlines()
        return f"Triton compiles no kernel here ({said[-1] if said else type(error).__name__})"
    return ""


def can(x: Tensor) -> bool:
    """Whether kernels take *x*: it is on a GPU that they can be compiled for."""
    return x.is_cuda and not why_not()


def attend(qkv: Tensor, bounds: Tensor, longest: int, n_heads: int, scale: float) -> Tensor:
    """(T, 3 H E) queries, keys and values → (T, H E), each text by itself.

    Args:
        qkv: in half precision.
        bounds: (B + 1,) int32, where texts begin, and the end.
        longest: tokens of the longest text, at most `LONGEST`.
        n_heads: H.
        scale: what the products of queries and keys are multiplied by.

    Source: Vaswani et al. 2017, section 3.2.1.
    """
    if not qkv.is_cuda:
        return _attend_plainly(qkv, bounds, n_heads, scale)
    from tailorbird.modeling.gpu import kernels

    width, tile = qkv.shape[1] // 3, max(SHORTEST, power_of_two(longest))
    out = qkv.new_empty(len(qkv), width)
    kernels.attend[len(bounds) - 1, n_heads](
        qkv, out, bounds, scale, n_heads, width // n_heads, tile, num_warps=_WARPS[tile]
    )
    return out


def attend_backward(
    qkv: Tensor, grad: Tensor, bounds: Tensor, longest: int, n_heads: int, scale: float
) -> Tensor:
    """*grad* (T, H E) of what `attend` gave → (T, 3 H E), that of *qkv*."""
    if not qkv.is_cuda:
        with torch.enable_grad():
            leaf = qkv.detach().requires_grad_()
            mixed = _attend_plainly(leaf, bounds, n_heads, scale)
        (found,) = torch.autograd.grad(mixed, leaf, grad)
        return found
    from tailorbird.modeling.gpu import kernels

    width, tile, of_qkv = (
        qkv.shape[1] // 3,
        max(SHORTEST, power_of_two(longest)),
        torch.empty_like(qkv),
    )
    kernels.attend_backward[len(bounds) - 1, n_heads](
        qkv,
        grad,
        of_qkv,
        bounds,
        scale,
        n_heads,
        width // n_heads,
        tile,
        num_warps=_WARPS[tile],
    )
    return of_qkv


def _attend_plainly(qkv: Tensor, bounds: Tensor, n_heads: int, scale: float) -> Tensor:
    found = []
    for text in qkv.split(torch.diff(bounds).tolist()):
        heads = text.view(len(text), 3, n_heads, -1).permute(1, 2, 0, 3)  # (3, H, L, E)
        weights = (heads[0] @ heads[1].transpose(1, 2) * scale).softmax(-1)
        found.append((weights @ heads[2]).transpose(0, 1).flatten(1))
    return torch.cat(found)


def add_norm(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Normed:
    """The layer norm of *x* (T, D) fp32 + *y* (T, D), in fp32 and in the type of *y*."""
    n_rows, width = x.shape
    if not x.is_cuda:
        summed = x + y
        out = F.layer_norm(summed, (width,), weight, bias, eps)
        rate = (summed.var(1, correction=0) + eps).rsqrt()
        return Normed(summed, out, out.to(y.dtype), summed.mean(1), rate)
    from tailorbird.modeling.gpu import kernels

    made = Normed(
        torch.empty_like(x),
        torch.empty_like(x),
        torch.empty_like(y),
        x.new_empty(n_rows),
        x.new_empty(n_rows),
    )
    kernels.add_norm[(n_rows,)](x, y, weight, bias, *made, eps, width, power_of_two(width))
    return made


def add_norm_backward(
    grad: Tensor, grad_half: Tensor | None, normed: Normed, weight: Tensor
) -> NormGradients:
    """The gradients of `add_norm`, given those of ``out`` and, where it was used, of ``half``."""
    width = grad.shape[1]
    if not grad.is_cuda:
        return _add_norm_backward_plainly(grad, grad_half, normed, weight)
    from tailorbird.modeling.gpu import kernels

    summed, half = torch.empty_like(grad), torch.empty_like(normed.half)
    parts = grad.new_empty(_PROGRAMS, 3, width)
    kernels.add_norm_backward[(_PROGRAMS,)](
        grad,
        grad if grad_half is None else grad_half,
        normed.summed,
        normed.mean,
        normed.rate,
        weight,
        summed,
        half,
        parts,
        len(grad),
        grad_half is not None,
        width,
        power_of_two(width),
    )
    return NormGradients(summed, half, *parts.sum(0).unbind())


def _add_norm_backward_plainly(
    grad: Tensor, grad_half: Tensor | None, normed: Normed, weight: Tensor
) -> NormGradients:
    dz = grad if grad_half is None else grad + grad_half
    z = (normed.summed - normed.mean[:, None]) * normed.rate[:, None]
    slope = dz * weight
    along = (slope * z).mean(1, keepdim=True)
    ds = normed.rate[:, None] * (slope - slope.mean(1, keepdim=True) - z * along)
    return NormGradients(ds, ds.to(normed.half.dtype), (dz * z).sum(0), dz.sum(0), ds.sum(0))


def power_of_two(n: int) -> int:
    """The least that is not below *n*: kernels hold so many numbers at once.

    >>> power_of_two(48), power_of_two(64)
    (64, 64)
    """
    return 1 << (n - 1).bit_length()
