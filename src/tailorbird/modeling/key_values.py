"""Keys and values of what has been read, kept while a decoder writes on.

Shape letters: T tokens, B texts, C capacity in tokens, H heads, G heads of keys and values,
E width of one head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tailorbird.modeling.attention import Causal, after_prefix, attend, mix
from tailorbird.modeling.packing import PackedBatch


class KeyValues:
    """Keys and values (2, B, G, C, E) of one layer, for B texts of at most C tokens each."""

    def __init__(self, n_texts: int, capacity: int) -> None:
        self.n_texts = n_texts
        self.capacity = capacity
        self.rows: Tensor | None = None

    def attend(
        self,
        qkv: Tensor,
        batch: PackedBatch,
        *,
        n_heads: int,
        prefix: Tensor | None,
        causal: Causal,
    ) -> Tensor:
        """What `attend` gives, (T, (H + 2 G) E) → (T, H E), and the keys and values are kept.

        The first call has the texts as they are so far; each later one a single new token of each
        text, which sees what was kept.
        """
        is_first = self.rows is None
        self._keep(qkv, batch, n_heads, causal)
        if is_first:
            return attend(qkv, batch, n_heads=n_heads, prefix=prefix, causal=causal)
        assert self.rows is not None
        n_seen = int(batch.positions.max()) + 1
        keys, values = self.rows[:, :, :, :n_seen]  # each (B, G, K, E)
        places = torch.arange(n_seen, device=qkv.device)
        is_unseen = places > batch.positions[:, None]  # (B, K): texts differ in length
        if causal.window:
            is_unseen |= places <= batch.positions[:, None] - causal.window
        if prefix is not None:
            keys, values = after_prefix(prefix, keys, values)
            is_unseen = F.pad(is_unseen, (prefix.shape[1], 0))
        width = keys.shape[-1]
        q = qkv[:, : n_heads * width].view(self.n_texts, n_heads, 1, width)
        return mix(q, keys, values, is_unseen).reshape(self.n_texts, -1)

    def _keep(self, qkv: Tensor, batch: PackedBatch, n_heads: int, causal: Causal) -> None:
        n_kv_heads = causal.n_kv_heads
        width = qkv.shape[1] // (n_heads + 2 * n_kv_heads)
        new = qkv[:, n_heads * width :].view(-1, 2, n_kv_heads, width)  # (T, 2, G, E)
        if self.rows is None:
            self.rows = new.new_zeros(2, self.n_texts, n_kv_heads, self.capacity, width)
        self.rows[:, batch.rows, :, batch.positions] = new
