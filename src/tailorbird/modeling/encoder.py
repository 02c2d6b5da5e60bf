"""The BERT family without padding in any linear layer.

Tokens of all texts of a batch stand in one row of T; only attention lays them out as (B, L), and
on a GPU not even that (`attention.py`).

Ways of tuning (`adapters/`) attach themselves at three places, empty in a pretrained model: the
``adapter`` of a linear layer, the ``prefix`` of an encoder layer, the ``prompt`` of the encoder.

Shape letters: T tokens, D width, B texts, L longest text, H heads, V vocabulary.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tailorbird.modeling.attention import attend, unpad
from tailorbird.modeling.families import ACTIVATIONS, Sizes, hub_name, read_sizes
from tailorbird.modeling.few_texts import FewTexts
from tailorbird.modeling.gpu import encoder_layer
from tailorbird.modeling.packing import PackedBatch
from tailorbird.modeling.products import activated, filled, knows_texts, linear, together
from tailorbird.modeling.ready import make_ready


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward block, each followed by residual and norm (post-norm)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, ffn_width, eps = sizes.width, sizes.ffn_width, sizes.eps
        self.n_heads = sizes.n_heads
        self.activation_name = sizes.activation
        self.activation = ACTIVATIONS[sizes.activation]
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps)
        self.ffn_in = nn.Linear(width, ffn_width)
        self.ffn_out = nn.Linear(ffn_width, width)
        self.ffn_norm = nn.LayerNorm(width, eps)
        self.prefix: nn.Module | None = None  # gives keys and values (2, P, D)

    def forward(self, x: Tensor, batch: PackedBatch, dropout: float, dtype: torch.dtype) -> Tensor:
        """(T, D) → (T, D); products run in *dtype*, the residual stream and norms in fp32."""
        prefix = None if self.prefix is None else self.prefix()
        attended = attend(
            self.project(x.to(dtype)),
            batch,
            n_heads=self.n_heads,
            dropout=dropout,
            prefix=prefix,
        )
        attended = linear(attended, self.attention_out)
        if dropout:
            attended = F.dropout(attended, dropout, self.training)
        x = self.attention_norm(x + attended)  # an fp32 sum: x is fp32
        hidden = self.feed_forward(x.to(dtype))
        if dropout:
            hidden = F.dropout(hidden, dropout, self.training)
        return self.ffn_norm(x + hidden)  # type: ignore[no-any-return]

    def project(self, x: Tensor) -> Tensor:
        """(T, D) → (T, 3 D): queries (already scaled), keys and values by one product."""
        parts, scale = (self.query, self.key, self.value), (x.shape[1] // self.n_heads) ** -0.5
        has_adapter = any(getattr(part, "adapter", None) is not None for part in parts)
        if has_adapter or getattr(self.query, "ready", None) is not None:
            # Adapters see the queries as the layer gives them.
            qkv = together(x, *parts)
            if not torch.is_grad_enabled():
                qkv[:, : x.shape[1]] *= scale
                return qkv
            q, k, v = qkv.chunk(3, 1)
            return torch.cat([q * scale, k, v], 1)
        weights = (parts[0].weight * scale, parts[1].weight, parts[2].weight)
        biases = (parts[0].bias * scale, parts[1].bias, parts[2].bias)
        weight = torch.cat([w.to(x.dtype) for w in weights])  # cast first: half as much to copy
        return F.linear(filled(x), weight, torch.cat(biases).to(x.dtype))[: len(x)]

    def feed_forward(self, x: Tensor) -> Tensor:
        """(T, D) → (T, D): to 4 D and back; all of it on rows that are filled up once.

        In bf16 oneDNN has code for the activation, too, and each T that it meets is one more.
        """
        rows = x if knows_texts(self.ffn_in, self.ffn_out) else filled(x)
        hidden = activated(  # (T, 4 D)
            rows, self.ffn_in, self.activation, name=self.activation_name
        )
        return linear(hidden, self.ffn_out)[: len(x)]

    @property
    def products(self) -> list[list[Any]]:
        """Its linear layers, those side by side that take the same."""
        wide = [self.query, self.key, self.value]
        return [wide, [self.attention_out], [self.ffn_in], [self.ffn_out]]

    def keys_and_values(self, x: Tensor, batch: PackedBatch) -> Tensor:
        """(T, D) → (2, T, D), as `attend` takes them: what a prefix stands beside."""
        _, keys, values = self.project(x).chunk(3, 1)
        return torch.stack([keys, values])


def table(n_rows: int, width: int, *, sparse: bool = False) -> nn.Embedding:
    """A table that waits for pretrained rows.

    Drawing random ones on the meta device would import torch's compiler, seconds at every start.
    """
    rows = torch.empty(n_rows, width)
    table: nn.Embedding = nn.Embedding.from_pretrained(rows, freeze=False, sparse=sparse)
    return table


class PackedEncoder(nn.Module):
    """An encoder of one of the `FAMILIES`: embeddings and n post-norm layers, on packed batches.

    The lowest *n_frozen* layers (and, with any of them, the embeddings) are left as pretrained:
    they run without gradients and without dropout.
    """

    can_freeze = True

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.sizes = sizes = read_sizes(config)
        self.words = table(sizes.n_words, sizes.embedding_width, sparse=True)
        self.positions = table(sizes.n_positions, sizes.embedding_width)
        self.types = table(sizes.n_types, sizes.embedding_width) if sizes.n_types else None
        self.norm = nn.LayerNorm(sizes.embedding_width, sizes.eps)
        is_narrow = sizes.embedding_width != sizes.width
        self.widen = nn.Linear(sizes.embedding_width, sizes.width) if is_narrow else None
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.n_layers))
        self.prompt: nn.Module | None = None  # puts rows before each text
        self.dropout = 0.0
        self.compute_dtype = torch.float32
        self.n_frozen = 0
        self.recompute = False
        self.few_texts: FewTexts | None = None  # of a service

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
        """Longest text the position table holds."""
        return self.sizes.n_positions - self.sizes.first_position

    def hub_name(self, name: str) -> str:
        """The name that hub checkpoints of this family give our module or parameter *name*."""
        return hub_name(name, self.config["model_type"])

    def freeze(self, n_layers: int, *, words: bool = False) -> None:
        """Leave the lowest *n_layers* as pretrained; *words* freezes the word table alone too."""
        self.n_frozen = n_layers
        self.requires_grad_(True)
        self.words.requires_grad_(not (words or n_layers))
        for module in (self.positions, self.types, self.norm, self.widen):
            if module is not None:
                module.requires_grad_(n_layers == 0)
        for layer in self.layers[:n_layers]:
            layer.requires_grad_(False)

    def make_ready(self) -> None:
        """Lay the weights out for a service, which asks and never tunes (`ReadyProduct`)."""
        for layer in self.layers:
            make_ready(layer.products, self.compute_dtype)  # type: ignore[arg-type]
        self.few_texts = FewTexts.of(self.layers, self.compute_dtype)  # type: ignore[arg-type]

    def recompute_layers(self, wanted: bool) -> None:
        """Compute tuned layers again in the backward pass, rather than keep what they made."""
        self.recompute = wanted

    def forward(self, batch: PackedBatch) -> Tensor:
        """T tokens → (T, D) states; starts above the frozen layers where their states are known."""
        x = self.trunk(batch) if batch.states is None else batch.states
        own = None
        if self.prompt is not None:
            x, batch, own = self.prompt(x, batch)
        tuned: list[Any] = list(self.layers[self.n_frozen :])
        dropout = self.dropout if self.training else 0.0
        if not self.recompute and encoder_layer.fits(tuned, x, batch, dropout, self.compute_dtype):
            x = encoder_layer.tuned_layers(tuned, x, batch, self.compute_dtype)
            tuned = []
        few = None if dropout else self.few_texts
        n_called = len(tuned) if few is None else few.first_of(tuned, batch, self.compute_dtype)
        for layer in tuned[:n_called]:
            run = partial(checkpoint, layer, use_reentrant=False) if self.recompute else layer
            x = run(x, batch, dropout, self.compute_dtype)
        if few is not None and n_called < len(tuned):
            x = few(x, batch, n_called)
        return x if own is None else unpad(x, own)

    def trunk(self, batch: PackedBatch) -> Tensor:
        """T tokens → (T, D), the embeddings and what the frozen layers make of them."""
        x: Tensor
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.n_frozen == 0):
            positions = batch.positions + self.sizes.first_position
            x = self.words(batch.token_ids) + self.positions(positions)
            x = self.norm(x if self.types is None else x + self._types(batch))
            if self.n_frozen == 0:
                x = F.dropout(x, self.dropout, self.training)
            if self.widen is not None:  # (T, D): a small ELECTRA's tables are narrower
                x = linear(x.to(self.compute_dtype), self.widen).float()
            for layer in self.layers[: self.n_frozen]:
                x = layer(x, batch, 0.0, self.compute_dtype)
        return x

    def _types(self, batch: PackedBatch) -> Tensor:
        """(D,) or (T, D): what tells the two texts of a pair apart."""
        assert self.types is not None
        if batch.types is None or self.sizes.n_types == 1:
            return self.types.weight[0]
        return self.types(batch.types)  # type: ignore[no-any-return]
