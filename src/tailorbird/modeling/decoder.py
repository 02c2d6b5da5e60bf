"""The Llama family without padding in any linear layer: causal language models, packed.

As in `encoder.py`, tokens of all texts of a batch stand in one row of T, and only attention lays
them out as (B, L). A token sees itself and the earlier tokens of its own text, nothing else.

Ways of tuning (`adapters/`) attach themselves at the same three places: the ``adapter`` of a linear
layer, the ``prefix`` of a decoder layer, the ``prompt`` of the decoder.

Shape letters: T tokens, D width, B texts, H heads, G heads of keys and values, E width of one head,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tailorbird.modeling.attention import Causal, attend, unpad
from tailorbird.modeling.decoder_families import (
    DecoderSizes,
    decoder_hub_name,
    read_decoder_sizes,
)
from tailorbird.modeling.encoder import table
from tailorbird.modeling.families import ACTIVATIONS
from tailorbird.modeling.gpu import decoder_operations as gpu
from tailorbird.modeling.gpu.operations import can
from tailorbird.modeling.key_values import KeyValues
from tailorbird.modeling.packing import PackedBatch
from tailorbird.modeling.products import linear, together
from tailorbird.modeling.rms_norm import rms_norm
from tailorbird.modeling.rotary import frequencies, turn, turns


class RMSNorm(nn.Module):
    """``x / root mean square(x) * (offset + w)`` over the last dimension, computed in fp32.

    Source: Zhang & Sennrich 2019, section 4, equation 4. The offset is Gemma's.

    >>> RMSNorm(2, eps=0.0)(torch.tensor([3.0, 3.0])).tolist()
    [1.0, 1.0]
    """

    def __init__(self, width: int, *, eps: float, offset: float = 0.0) -> None:
        super().__init__()
        self.eps = eps
        self.offset = offset
        self.weight = nn.Parameter(torch.full((width,), 1.0 - offset))

    def forward(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """(…, D) → (…, D), in *dtype*, or else the type of *x*."""
        weight = self.weight + self.offset if self.offset else self.weight
        is_tuned = weight.requires_grad and torch.is_grad_enabled()
        norm = gpu.rms_norm if can(x) and not is_tuned else rms_norm
        return norm(x, weight, self.eps, dtype or x.dtype)


class DecoderLayer(nn.Module):
    """Self-attention and a gated feed-forward block, each normed before and added after.

    ``x ← x + W_o attention(norm x)``, then ``x ← x + W_out (f(W_gate z) * W_in z)`` with z the norm
    of x. Gemma norms what is added, too.

    Sources: Touvron et al. 2023 (Llama), section 2.2; Shazeer 2020 (gated units), section 2.
    """

    rates: Tensor

    def __init__(self, sizes: DecoderSizes, index: int) -> None:
        super().__init__()
        width, head_width = sizes.width, sizes.head_width
        n_query, n_key = sizes.n_heads * head_width, sizes.n_kv_heads * head_width
        norm = partial(RMSNorm, eps=sizes.eps, offset=sizes.norm_offset)
        self.n_heads, self.head_width = sizes.n_heads, head_width
        self.scale = sizes.query_scale
        self.causal = Causal(sizes.n_kv_heads, sizes.windows[index])
        self.activation = ACTIVATIONS[sizes.activation]
        self.attention_norm = norm(width)
        self.query = nn.Linear(width, n_query, bias=sizes.has_qkv_bias)
        self.key = nn.Linear(width, n_key, bias=sizes.has_qkv_bias)
        self.value = nn.Linear(width, n_key, bias=sizes.has_qkv_bias)
        self.query_norm = norm(head_width) if sizes.has_qk_norm else None
        self.key_norm = norm(head_width) if sizes.has_qk_norm else None
        self.attention_out = nn.Linear(n_query, width, bias=sizes.has_out_bias)
        self.attention_out_norm = norm(width) if sizes.has_out_norms else None
        self.ffn_norm = norm(width)
        self.ffn_gate = nn.Linear(width, sizes.ffn_width, bias=sizes.has_ffn_bias)
        self.ffn_in = nn.Linear(width, sizes.ffn_width, bias=sizes.has_ffn_bias)
        self.ffn_out = nn.Linear(sizes.ffn_width, width, bias=sizes.has_ffn_bias)
        self.ffn_out_norm = norm(width) if sizes.has_out_norms else None
        self.prefix: nn.Module | None = None  # gives keys and values (2, P, G E)
        rates = frequencies(sizes.ropes[index], head_width)
        self.register_buffer("rates", rates, persistent=False)

    def forward(
        self,
        x: Tensor,
        batch: PackedBatch,
        dropout: float,
        dtype: torch.dtype,
        kept: KeyValues | None = None,
    ) -> Tensor:
        """(T, D) → (T, D); products run in *dtype*, the residual stream and norms in fp32.

        With *kept*, tokens see what earlier calls read, and are kept for later ones.
        """
        prefix = None if self.prefix is None else self.prefix()
        qkv = self.project(self.attention_norm(x, dtype), batch.positions)
        if kept is None:
            attended = attend(
                qkv,
                batch,
                n_heads=self.n_heads,
                dropout=dropout,
                prefix=prefix,
                causal=self.causal,
            )
        else:
            attended = kept.attend(
                qkv, batch, n_heads=self.n_heads, prefix=prefix, causal=self.causal
            )
        attended = F.dropout(linear(attended, self.attention_out), dropout, self.training)
        x = x + _normed(attended, self.attention_out_norm)  # an fp32 sum: x is fp32
        z = self.ffn_norm(x, dtype)
        hidden = self.gated(z)
        hidden = F.dropout(linear(hidden, self.ffn_out), dropout, self.training)
        return x + _normed(hidden, self.ffn_out_norm)

    def gated(self, z: Tensor) -> Tensor:
        """(T, D) → (T, W): the wide states, each by its gate."""
        if self.activation is F.silu and can(z):
            return gpu.gate(together(z, self.ffn_gate, self.ffn_in))
        return self.activation(linear(z, self.ffn_gate)) * linear(z, self.ffn_in)

    def project(self, z: Tensor, positions: Tensor) -> Tensor:
        """(T, D) normed → (T, (H + 2 G) E): queries (scaled), keys, values; the former turned."""
        heads = together(z, self.query, self.key, self.value).unflatten(1, (-1, self.head_width))
        n_kv_heads = self.causal.n_kv_heads
        if self.query_norm is not None and self.key_norm is not None:
            q, k, v = heads.split([self.n_heads, n_kv_heads, n_kv_heads], 1)
            heads = torch.cat([self.query_norm(q), self.key_norm(k), v], 1)
        if can(heads):
            sizes = self.n_heads, n_kv_heads, self.scale
            return gpu.turn(heads, positions, self.rates, *sizes).flatten(1)
        cos, sin = turns(positions, self.rates, heads.dtype)
        return turn(heads, cos, sin, self.n_heads, n_kv_heads, self.scale).flatten(1)

    def keys_and_values(self, x: Tensor, batch: PackedBatch) -> Tensor:
        """(T, D) → (2, T, G E), as `attend` takes them, all as at position 0: not turned."""
        n_query, n_key = (n * self.head_width for n in (self.n_heads, self.causal.n_kv_heads))
        qkv = self.project(self.attention_norm(x), torch.zeros_like(batch.positions))
        return torch.stack(qkv.split([n_query, n_key, n_key], 1)[1:])


def _normed(x: Tensor, norm: nn.Module | None) -> Tensor:
    return x if norm is None else norm(x)


class PackedDecoder(nn.Module):
    """A decoder of one of the `DECODER_FAMILIES`: embeddings, n layers, a norm; on packed batches.

    The lowest *n_frozen* layers (and, with any of them, the word table) are left as pretrained:
    they run without gradients and without dropout. The norm at the end is tuned with the layers.
    """

    can_freeze = True
    above_layers = ("norm.weight", "out_words.weight")
    """Parameters that stand above all layers."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.sizes = sizes = read_decoder_sizes(config)
        self.words = table(sizes.n_words, sizes.width)  # dense: a head may share it
        self.out_words: nn.Embedding | None = None  # of a language head that has a table of its own
        self.layers = nn.ModuleList(DecoderLayer(sizes, i) for i in range(sizes.n_layers))
        self.norm = RMSNorm(sizes.width, eps=sizes.eps, offset=sizes.norm_offset)
        self.prompt: nn.Module | None = None  # puts rows before each text
        self.dropout = 0.0
        self.compute_dtype = torch.float32
        self.n_frozen = 0
        self.recompute = False

    @property
    def reason(self) -> str:
        """How it computes, for the user."""
        return f"packed, no padding in any layer ({self.config['model_type']})"

    @property
    def width(self) -> int:
        """D."""
        return self.sizes.width

    @property
    def n_layers(self) -> int:
        """How many layers there are to freeze or tune."""
        return len(self.layers)

    @property
    def max_positions(self) -> int:
        """Longest text it was trained on."""
        return self.sizes.n_positions

    def hub_name(self, name: str) -> str:
        """The name that causal language models on hubs give our module or parameter *name*."""
        return decoder_hub_name(name, self.config["model_type"])

    def freeze(self, n_layers: int, *, words: bool = False) -> None:
        """Leave the lowest *n_layers* as pretrained; *words* freezes the word tables alone too."""
        self.n_frozen = n_layers
        self.requires_grad_(True)
        for rows in (self.words, self.out_words):
            if rows is not None:
                rows.requires_grad_(not (words or n_layers))
        for layer in self.layers[:n_layers]:
            layer.requires_grad_(False)

    def recompute_layers(self, wanted: bool) -> None:
        """Compute tuned layers again in the backward pass, rather than keep what they made."""
        self.recompute = wanted

    def forward(self, batch: PackedBatch, kept: Sequence[KeyValues] | None = None) -> Tensor:
        """T tokens → (T, D) normed states; above the frozen layers where their states are known.

        Args:
            batch: the texts; with *kept*, at first the texts so far, then a token of each.
            kept: one of each layer, where texts are to be gone on with (`generation.py`).
        """
        is_start = kept is None or kept[0].rows is None
        x = self.trunk(batch, kept) if batch.states is None else batch.states
        own = None
        if self.prompt is not None and is_start:
            x, batch, own = self.prompt(x, batch)
        elif self.prompt is not None:  # its rows are kept: only the positions move by them
            n_rows: Any = self.prompt.n_rows
            batch = replace(batch, positions=batch.positions + n_rows)
        dropout = self.dropout if self.training else 0.0
        for i in range(self.n_frozen, self.n_layers):
            layer: Any = self.layers[i]
            run = partial(checkpoint, layer, use_reentrant=False) if self.recompute else layer
            x = run(x, batch, dropout, self.compute_dtype, None if kept is None else kept[i])
        states: Tensor = self.norm(x if own is None else unpad(x, own))
        return states

    def trunk(self, batch: PackedBatch, kept: Sequence[KeyValues] | None = None) -> Tensor:
        """T tokens → (T, D), the embeddings and what the frozen layers make of them; not normed."""
        x: Tensor
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.n_frozen == 0):
            x = self.words(batch.token_ids) * self.sizes.word_scale
            if self.n_frozen == 0:
                x = F.dropout(x, self.dropout, self.training)
            for i, layer in enumerate(self.layers[: self.n_frozen]):
                own = None if kept is None else kept[i]
                x = layer(x, batch, 0.0, self.compute_dtype, own)
        return x
