"""Attention within each text: plain products, torch's fused kernel, or no padding at all (GPU).

They give the same states and differ in time and memory only. `mix` chooses between the first two
by length, from the table in ``docs/ideas/engine.md``; `has_varlen` says where the third can run.

Shape letters: T tokens, D width, B texts, L longest text, H heads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tailorbird.modeling.packing import PackedBatch

FUSED_FROM = {torch.float32: 64, torch.bfloat16: 512}
"""The L from which the fused kernel, forward and backward, is the faster one on a CPU."""


def mix(
    q: Tensor, k: Tensor, v: Tensor, is_padding: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """``softmax(q kᵀ) v`` of padded texts, by the way that is faster for their length.

    Args:
        q: (B, H, L, D/H) queries, already divided by the root of D/H.
        k: (B, H, K, D/H) keys; K is L, or more where something is put before the texts.
        v: (B, H, K, D/H) values.
        is_padding: (B, K) True where there is no key; None where all are keys.
        dropout: probability of dropping an attention weight.

    Returns: (B, H, L, D/H).

    >>> q = k = torch.zeros(1, 1, 2, 4)
    >>> v = torch.tensor([[[[1.0], [3.0]]]])
    >>> mix(q, k, v).flatten().tolist(), mix(q, k, v, torch.tensor([[False, True]])).tolist()
    ([2.0, 2.0], [[[[1.0], [1.0]]]])
    """
    # The CPU's fused kernel knows no dropout: with it, torch would take plain products anyway.
    is_long = dropout == 0 and k.shape[2] >= FUSED_FROM.get(q.dtype, 512)
    way = fused if q.is_cuda or is_long else plain
    return way(q, k, v, is_padding, dropout)


def plain(
    q: Tensor, k: Tensor, v: Tensor, is_padding: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """`mix` by two batched products, with all (B, H, L, K) weights in memory.

    Source: Vaswani et al. 2017, section 3.2.1.
    """
    scores = q @ k.transpose(-1, -2)  # (B, H, L, K)
    if is_padding is not None:
        scores = scores.masked_fill(is_padding[:, None, None, :], float("-inf"))
    return F.dropout(scores.softmax(-1), dropout) @ v


def fused(
    q: Tensor, k: Tensor, v: Tensor, is_padding: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """`mix` block by block, the weights never in memory as a whole.

    Source: Dao et al. 2022 (FlashAttention), section 3.1.
    """
    is_key = None if is_padding is None else ~is_padding[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=is_key, dropout_p=dropout, scale=1.0)


def has_varlen(qkv: Tensor, *, n_heads: int, dropout: float = 0.0) -> bool:
    """Whether `varlen` can run: half precision, no dropout, heads of a width its kernel takes.

    The kernel is FlashAttention 2: Ampere or newer, heads of 8, 16, … 256.
    """
    head_width = qkv.shape[1] // 3 // n_heads
    return (
        qkv.is_cuda
        and qkv.dtype in (torch.float16, torch.bfloat16)
        and dropout == 0
        and head_width % 8 == 0
        and head_width <= 256
        and torch.cuda.get_device_capability(qkv.device) >= (8, 0)
    )


def varlen(qkv: Tensor, batch: PackedBatch, *, n_heads: int) -> Tensor:
    """(T, 3 D) → (T, D), attention of a packed batch with no padding anywhere."""
    from torch.nn.attention.varlen import varlen_attn  # a GPU's way: a CPU never imports it

    n_tokens, width = qkv.shape[0], qkv.shape[1] // 3
    q, k, v = qkv.view(n_tokens, 3, n_heads, width // n_heads).unbind(1)  # each (T, H, D/H)
    ends = torch.cumsum(batch.lengths, 0)
    bounds = F.pad(ends, (1, 0)).to(torch.int32)  # (B + 1,)
    longest = batch.max_length
    mixed = varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=1.0)
    assert isinstance(mixed, Tensor)  # a pair only where the weights' sums are asked for
    return mixed.reshape(n_tokens, width)
