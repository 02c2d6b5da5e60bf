"""Attention that looks back only, by blocks of queries: half of the products, about half the time.

Queries from s to e need no key after e, so each block is multiplied with the keys up to its end,
and its weights are small enough to stay in the processor's cache from one operation to the next.

Shape letters: B texts, L longest text, K keys (L, and what is put before the texts), H heads,
G heads of keys and values, R = H / G heads that share one of them, E width of one head, N queries
of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

BLOCK = 64
"""Queries of a block; see ``docs/ideas/engine.md``. 32 to 96 are alike, 128 and more are slower."""


def unseen(start: int, end: int, n_before: int, window: int, device: torch.device) -> Tensor:
    """(N, n_before + end) True where the queries from *start* to *end* must not see a key.

    Args:
        start: the first query's place in its text.
        end: the place after the last one's; later keys are not looked at.
        n_before: keys before the texts, which all see.
        window: how many tokens each sees, itself included; 0: all from the first.
        device: where the mask is wanted.

    >>> unseen(1, 3, 0, 2, torch.device("cpu")).tolist()
    [[False, False, True], [True, False, False]]
    """
    queries = torch.arange(start, end, device=device)[:, None]
    keys = torch.arange(-n_before, end, device=device)
    hidden = keys > queries
    if window:
        hidden |= (keys >= 0) & (keys <= queries - window)
    return hidden


class _Blockwise(torch.autograd.Function):
    """The weights of each block are kept for the backward pass; gradients are sums over blocks."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
        n_before = k.shape[2] - q.shape[2]
        keys, values = k.flatten(0, 1), v.flatten(0, 1)  # (B G, K, E)
        mixed = q.new_empty(q.shape)
        kept: list[Tensor] = []
        for s, e in _blocks(q):
            scores = _rows(q, k, s, e) @ keys[:, : n_before + e].mT  # (B G, R N, ≤ K)
            weights = _weigh(scores, unseen(s, e, n_before, window, q.device), n_before + s, window)
            _grouped(mixed, k)[:, :, s:e] = _back(weights @ values[:, : n_before + e], s, e)
            kept.append(weights)
        ctx.save_for_backward(q, k, v, *kept)
        return mixed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, *kept = ctx.saved_tensors
        n_before = k.shape[2] - q.shape[2]
        keys, values = k.flatten(0, 1), v.flatten(0, 1)
        of_q, grad = q.new_empty(q.shape), grad.contiguous()
        # Sums of many blocks: in fp32, as one product would have them.
        of_k, of_v = (torch.zeros_like(x, dtype=torch.float32) for x in (keys, values))
        for (s, e), weights in zip(_blocks(q), kept, strict=True):
            until = n_before + e
            g = _rows(grad, k, s, e)  # (B G, R N, E)
            of_v[:, :until] += weights.mT @ g
            wide = _wide(weights)
            of_scores = torch._softmax_backward_data(
                (g @ values[:, :until].mT).to(wide), weights.to(wide), -1, wide
            ).to(q.dtype)  # what is hidden has weight 0, hence gradient 0
            of_k[:, :until] += of_scores.mT @ _rows(q, k, s, e)
            _grouped(of_q, k)[:, :, s:e] = _back(of_scores @ keys[:, :until], s, e)
        return of_q, of_k.to(k.dtype).view_as(k), of_v.to(v.dtype).view_as(v), None


blockwise: Callable[[Tensor, Tensor, Tensor, int], Tensor] = _Blockwise.apply
"""``softmax(q kᵀ) v`` of queries (B, H, L, E), each looking back, over keys (B, G, K, E)."""


def _blocks(q: Tensor) -> Iterator[tuple[int, int]]:
    """(start, end) of each block of queries."""
    longest = q.shape[2]
    return ((s, min(s + BLOCK, longest)) for s in range(0, longest, BLOCK))


def _grouped(x: Tensor, k: Tensor) -> Tensor:
    """(B, H, L, E) → (B G, R, L, E), the same memory where *x* is contiguous."""
    return x.reshape(k.shape[0] * k.shape[1], -1, *x.shape[2:])


def _rows(x: Tensor, k: Tensor, s: int, e: int) -> Tensor:
    """(B, H, L, E) → (B G, R N, E), the rows of a block; heads that share keys in one product."""
    return _grouped(x, k)[:, :, s:e].flatten(1, 2)


def _back(rows: Tensor, s: int, e: int) -> Tensor:
    """(B G, R N, E) → (B G, R, N, E)."""
    return rows.view(len(rows), -1, e - s, rows.shape[-1])


def _weigh(scores: Tensor, hidden: Tensor, first: int, window: int) -> Tensor:
    """Softmax of (B G, R N, ≤ K) over the keys that are not *hidden* (N, ≤ K).

    Without a window only keys from *first* on, those of the block itself, can be hidden.
    """
    first = 0 if window else first
    mask = torch.zeros(hidden.shape, dtype=scores.dtype, device=scores.device)
    mask.masked_fill_(hidden, float("-inf"))
    scores.view(len(scores), -1, *hidden.shape)[..., first:].add_(mask[:, first:])
    return scores.to(_wide(scores)).softmax(-1).to(scores.dtype)


def _wide(weights: Tensor) -> torch.dtype:
    """The type softmax runs in: a CPU's bf16 softmax is slow for rows of fewer than 64 keys."""
    is_narrow = weights.dtype.itemsize == 2 and weights.shape[-1] < 64
    return torch.float32 if is_narrow else weights.dtype
