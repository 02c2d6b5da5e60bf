"""Attention within each text: plain products, torch's fused kernel, or no padding at all (GPU).

They give the same states and differ in time and memory only. `mix` chooses between the first two
by length, from the table in ``docs/ideas/engine.md``; `has_varlen` says where the third can run,
which has a kernel of its own for short texts (`gpu.short_attention`).

Shape letters: T tokens, D width, B texts (of a group, see `layout`), L longest of them, K keys, H
heads, G heads of keys and values (H in an encoder; fewer in many decoders), E width of one head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tailorbird.modeling.causal_attention import blockwise, unseen
from tailorbird.modeling.gpu.operations import bounds_of
from tailorbird.modeling.gpu.short_attention import is_short, short_attention
from tailorbird.modeling.layout import Group, layout_of
from tailorbird.modeling.packing import PackedBatch

FUSED_FROM = {torch.float32: 64, torch.bfloat16: 512}
"""The L from which the fused kernel, forward and backward, is the faster one on a CPU."""

FEW = 8
"""So many short texts are looked at one by one on a CPU, as a service is asked for one or two:
laying them out takes longer than what it saves."""

BLOCKWISE_FROM, BLOCKWISE_UNTIL = 128, 2048
"""The L at which tokens that look back go block by block on a CPU: shorter texts are not faster
that way, and weights of longer ones would take too much memory."""


@dataclass(frozen=True, slots=True)
class Causal:
    """How a decoder looks: each token at itself and at the earlier ones of its own text."""

    n_kv_heads: int
    """G; H / G heads of queries share one of keys and values (Ainslie et al. 2023, section 2)."""
    window: int = 0
    """How many tokens each sees, itself included; 0: all from the first."""


def attend(
    qkv: Tensor,
    batch: PackedBatch,
    *,
    n_heads: int,
    dropout: float = 0.0,
    prefix: Tensor | None = None,
    causal: Causal | None = None,
) -> Tensor:
    """Dot-product attention within each text of a packed batch.

    Args:
        qkv: (T, (H + 2 G) E) queries, divided by the root of a head's width, keys and values.
        batch: which token belongs to which text.
        n_heads: H.
        dropout: probability of dropping an attention weight.
        prefix: (2, P, G E) keys and values that every token of every text sees before its own.
        causal: how tokens look back; None: each sees the whole text, and G is H.

    Returns: (T, H E).

    Source: Vaswani et al. 2017, section 3.2.1.
    """
    if prefix is None and has_varlen(qkv, n_heads=n_heads, dropout=dropout, causal=causal):
        return varlen(qkv, batch, n_heads=n_heads, causal=causal)
    is_plain = prefix is None and causal is None and dropout == 0 and not qkv.is_cuda
    if is_plain and batch.n_texts <= FEW and batch.max_length < FUSED_FROM[torch.float32]:
        return _one_by_one(qkv, batch, n_heads)
    layout = layout_of(batch, n_heads=n_heads, dtype=qkv.dtype)
    padded = qkv if layout.places is None else _pad(qkv, *layout.places)
    how = n_heads, dropout, prefix, causal
    if len(layout.groups) == 1:
        mixed = _of_group(padded, layout.groups[0], *how)
    else:
        parts = padded.split([group.n_slots for group in layout.groups])
        both = zip(parts, layout.groups, strict=True)
        found = [_of_group(part, group, *how) for part, group in both]
        mixed = torch.cat(found)
    return mixed if layout.places is None else unpad(mixed, layout.places[1])


def _one_by_one(qkv: Tensor, batch: PackedBatch, n_heads: int) -> Tensor:
    """(T, 3 H E) of a few short texts → (T, H E): nothing is laid out, copied or hidden.

    In fp32 where *qkv* is bf16: for so little oneDNN's bf16 takes four times as long.
    """
    wide = qkv.float() if qkv.dtype.itemsize == 2 else qkv
    heads = wide.view(qkv.shape[0], 3 * n_heads, -1).transpose(0, 1)  # (3 H, T, E)
    found = []
    for text in heads.split(batch.lengths.tolist(), 1):  # (3 H, L, E)
        q, k, v = text.split(n_heads)
        weights = torch.bmm(q, k.transpose(1, 2)).softmax(-1)  # (H, L, L)
        found.append(torch.bmm(weights, v).transpose(0, 1))  # (L, H, E)
    return torch.cat(found).view(qkv.shape[0], -1).to(qkv.dtype)


def _of_group(
    padded: Tensor,
    group: Group,
    n_heads: int,
    dropout: float,
    prefix: Tensor | None,
    causal: Causal | None,
) -> Tensor:
    """(B L, (H + 2 G) E) of texts padded to one length → (B L, H E)."""
    n_texts, longest = len(group.lengths), group.longest
    heads = padded.view(n_texts, longest, *_heads(padded, n_heads, causal))  # (B, L, H + 2 G, E)
    n_kv_heads = n_heads if causal is None else causal.n_kv_heads
    q, k, v = (
        part.transpose(1, 2).contiguous()  # (B, H or G, L, E)
        for part in heads.split([n_heads, n_kv_heads, n_kv_heads], 2)
    )
    # Padding comes last: looking back, none sees it.
    is_padding = group.is_padding if causal is None else None  # (B, L)
    if prefix is not None:
        k, v = after_prefix(prefix, k, v)
        if is_padding is not None:
            is_padding = F.pad(is_padding, (prefix.shape[1], 0))
    mixed = mix(q, k, v, is_padding, dropout, causal).transpose(1, 2)
    return mixed.reshape(n_texts * longest, -1)


def after_prefix(prefix: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """*k* and *v* (B, G, K, E) of each text after those of the *prefix* (2, P, G E)."""
    n_texts, n_kv_heads, _, width = k.shape
    rows = prefix.to(k.dtype).view(2, 1, -1, n_kv_heads, width).transpose(2, 3)
    before = rows.expand(-1, n_texts, -1, -1, -1)  # (2, B, G, P, E)
    return torch.cat([before[0], k], 2), torch.cat([before[1], v], 2)


def mix(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    is_padding: Tensor | None = None,
    dropout: float = 0.0,
    causal: Causal | None = None,
) -> Tensor:
    """``softmax(q kᵀ) v`` of padded texts, by the way that is faster for their length.

    Args:
        q: (B, H, L, E) queries, already divided by the root of E.
        k: (B, G, K, E) keys; K is L, or more where something is put before the texts.
        v: (B, G, K, E) values.
        is_padding: (B, K) True where there is no key; None where all are keys.
        dropout: probability of dropping an attention weight.
        causal: how tokens look back; all see what is put before the texts. None: both ways.

    Returns: (B, H, L, E).

    >>> q = k = torch.zeros(1, 1, 2, 4)
    >>> v = torch.tensor([[[[1.0], [3.0]]]])
    >>> mix(q, k, v).flatten().tolist(), mix(q, k, v, torch.tensor([[False, True]])).tolist()
    ([2.0, 2.0], [[[[1.0], [1.0]]]])
    >>> mix(q, k, v, causal=Causal(n_kv_heads=1)).flatten().tolist()
    [1.0, 2.0]
    """
    is_back = causal is not None and is_padding is None and dropout == 0 and not q.is_cuda
    if causal is not None and is_back and BLOCKWISE_FROM <= q.shape[2] <= BLOCKWISE_UNTIL:
        return blockwise(q, k, v, causal.window)
    # The CPU's fused kernel knows no dropout: with it, torch would take plain products anyway.
    is_long = dropout == 0 and k.shape[2] >= FUSED_FROM.get(q.dtype, 512)
    way = fused if q.is_cuda or is_long else plain
    return way(q, k, v, is_padding, dropout, causal)


def plain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    is_padding: Tensor | None = None,
    dropout: float = 0.0,
    causal: Causal | None = None,
) -> Tensor:
    """`mix` by two batched products, with all (B, H, L, K) weights in memory.

    Source: Vaswani et al. 2017, section 3.2.1.
    """
    n_texts, n_heads, longest, _ = q.shape
    n_kv_heads, n_keys = k.shape[1:3]
    shared = (n_texts, n_kv_heads, -1)  # heads that share keys: one product, nothing repeated
    scores = q.reshape(*shared, q.shape[-1]) @ k.transpose(-1, -2)
    scores = scores.view(n_texts, n_heads, longest, n_keys)
    weights = F.dropout(_weigh(scores, _hidden(q, k, is_padding, causal)), dropout)
    return (weights.view(*shared, n_keys) @ v).view(n_texts, n_heads, longest, v.shape[-1])


class _Weigh(torch.autograd.Function):
    """Softmax over the keys that are not hidden; short rows in fp32, whatever the scores are in.

    A CPU's bf16 softmax costs two to five times the fp32 one for rows of 16 to 31 keys, its
    backward pass ten times: together 4 % of a step, against which the casts are nothing. Long rows
    are faster as they are. The weights are kept in the type of the scores.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, hidden: Tensor | None) -> Tensor:
        is_narrow = scores.dtype.itemsize == 2 and scores.shape[-1] < 64
        ctx.wide = torch.float32 if is_narrow else scores.dtype
        if hidden is None:
            wide = scores.to(ctx.wide)
        else:  # one sum casts and masks, at a fifth of what `masked_fill` takes
            mask = torch.zeros(hidden.shape, dtype=ctx.wide, device=scores.device)
            wide = scores + mask.masked_fill_(hidden, float("-inf"))
        weights = wide.softmax(-1).to(scores.dtype)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors  # what is hidden has weight 0, hence gradient 0
        scores = torch._softmax_backward_data(grad.to(ctx.wide), weights.to(ctx.wide), -1, ctx.wide)
        return scores.to(grad.dtype), None


_weigh: Callable[[Tensor, Tensor | None], Tensor] = _Weigh.apply


def fused(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    is_padding: Tensor | None = None,
    dropout: float = 0.0,
    causal: Causal | None = None,
) -> Tensor:
    """`mix` block by block, the weights never in memory as a whole.

    Source: Dao et al. 2022 (FlashAttention), section 3.1.
    """
    longest, n_keys = q.shape[2], k.shape[2]
    # The kernel's own causal mask needs no memory, but knows no window and nothing before texts.
    is_simple = causal is not None and is_padding is None and longest == n_keys
    is_simple = is_simple and not 0 < (causal.window if causal else 0) < longest
    hidden = None if is_simple else _hidden(q, k, is_padding, causal)
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=None if hidden is None else ~hidden,
        dropout_p=dropout,
        is_causal=is_simple,
        scale=1.0,
        enable_gqa=q.shape[1] != k.shape[1],
    )


def _hidden(
    q: Tensor, k: Tensor, is_padding: Tensor | None, causal: Causal | None
) -> Tensor | None:
    """(B or 1, 1, L or 1, K) True where a query must not see a key; None: each sees all."""
    hidden = None if is_padding is None else is_padding[:, None, None, :]
    if causal is None:
        return hidden
    longest = q.shape[2]
    later = unseen(0, longest, k.shape[2] - longest, causal.window, q.device)  # (L, K)
    return later[None, None] if hidden is None else hidden | later


def _heads(qkv: Tensor, n_heads: int, causal: Causal | None) -> tuple[int, int]:
    """(H + 2 G, E)."""
    n_all = n_heads + 2 * (n_heads if causal is None else causal.n_kv_heads)
    return n_all, qkv.shape[1] // n_all


def has_varlen(
    qkv: Tensor, *, n_heads: int, dropout: float = 0.0, causal: Causal | None = None
) -> bool:
    """Whether `varlen` can run: half precision, no dropout, heads of a width its kernel takes.

    The kernel is FlashAttention 2: Ampere or newer, heads of 8, 16, … 256.
    """
    _, head_width = _heads(qkv, n_heads, causal)
    return (
        qkv.is_cuda
        and qkv.dtype in (torch.float16, torch.bfloat16)
        and dropout == 0
        and head_width % 8 == 0
        and head_width <= 256
        and torch.cuda.get_device_capability(qkv.device) >= (8, 0)
    )


def varlen(
    qkv: Tensor, batch: PackedBatch, *, n_heads: int, causal: Causal | None = None
) -> Tensor:
    """(T, (H + 2 G) E) → (T, H E), attention of a packed batch with no padding anywhere."""
    if causal is None and is_short(qkv, batch.max_length, n_heads):
        return short_attention(qkv, bounds_of(batch.lengths), batch.max_length, n_heads)
    from torch.nn.attention.varlen import varlen_attn  # a GPU's way: a CPU never imports it

    n_tokens, n_kv_heads = qkv.shape[0], n_heads if causal is None else causal.n_kv_heads
    heads = qkv.view(n_tokens, *_heads(qkv, n_heads, causal))  # (T, H + 2 G, E)
    q, k, v = heads.split([n_heads, n_kv_heads, n_kv_heads], 1)
    bounds = bounds_of(batch.lengths)  # (B + 1,)
    longest = batch.max_length
    before = -1 if causal is None or not causal.window else causal.window - 1  # -1: all
    mixed = varlen_attn(
        q,
        k,
        v,
        bounds,
        bounds,
        longest,
        longest,
        scale=1.0,
        window_size=(before, -1 if causal is None else 0),
        enable_gqa=n_kv_heads != n_heads,
    )
    assert isinstance(mixed, Tensor)  # a pair only where the weights' sums are asked for
    return mixed.reshape(n_tokens, -1)


class _Pad(torch.autograd.Function):
    """(T, W) → (S, W), the slots of a layout: gathered, which is faster than zeros and a scatter.

    What stands between texts is a repeated token: attention sees no such key and drops such a
    query, so no gradient comes back from there, and the backward pass is a gather as well.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, sources: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        return x.index_select(0, sources)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slots,) = ctx.saved_tensors
        return grad.index_select(0, slots), None, None


class _Unpad(torch.autograd.Function):
    """(S, W) → (T, W), the inverse of `_Pad`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        ctx.n_slots = x.shape[0]
        return x.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slots,) = ctx.saved_tensors
        return grad.new_zeros(ctx.n_slots, grad.shape[1]).index_copy_(0, slots, grad), None


_pad: Callable[[Tensor, Tensor, Tensor], Tensor] = _Pad.apply
unpad: Callable[[Tensor, Tensor], Tensor] = _Unpad.apply
"""Rows at the places (T,) of a longer layout → (T, W)."""
