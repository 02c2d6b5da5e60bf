"""Prompt-tuning: rows before each text, where its tokens enter the first layer that is tuned.

Shape letters: T tokens, D width, B texts, P prompt rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling.adapters.attachment import Attachment, Method, tuned_layers
from tailorbird.modeling.packing import PackedBatch, pack


def prompt(backbone: Any, settings: MethodSettings) -> Attachment:
    """Freeze the backbone and put a `Prompt` before each text.

    The rows enter after the embeddings (and after the frozen layers, where there are some). In an
    encoder texts keep their positions, so none has to be cut for them; in a decoder, whose
    positions are within the layers, the rows take the first ones. They start as the states of
    random words, as in the paper, and are left out of pooling.

    Source: Lester et al. 2021 (prompt tuning), sections 2 and 2.1.
    """
    tuned_layers(backbone, settings.name)
    if settings.n_prefix < 1:
        raise ConfigError(f"method.n_prefix = {settings.n_prefix} must be at least 1")
    backbone.requires_grad_(False)
    ids = torch.randint(backbone.words.num_embeddings, (settings.n_prefix, 1))
    with torch.no_grad():
        rows = backbone.trunk(pack(list(ids)).to(backbone.words.weight.device))  # (P, D)
    return Attachment(backbone, settings, {"prompt": Prompt(rows.clone())}, originals={})


class Prompt(nn.Module):
    """P rows (P, D) that every text has before its own."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    @property
    def n_rows(self) -> int:
        """P."""
        return self.rows.shape[0]

    def forward(self, x: Tensor, batch: PackedBatch) -> tuple[Tensor, PackedBatch, Tensor]:
        """(T, D) → (T + B P, D), the batch as it is with them, and where the T rows are now.

        >>> rows, batch, own = Prompt(torch.tensor([[9.0]]))(
        ...     torch.tensor([[1.0], [2.0], [3.0]]), pack([[5, 6], [7]])
        ... )
        >>> rows.flatten().tolist(), batch.rows.tolist(), own.tolist()
        ([9.0, 1.0, 2.0, 9.0, 3.0], [0, 0, 0, 1, 1], [1, 2, 4])
        """
        n_rows, lengths = self.n_rows, batch.lengths + self.n_rows
        rows = torch.repeat_interleave(torch.arange(batch.n_texts, device=x.device), lengths)
        places = torch.arange(len(rows), device=x.device)
        positions = places - (torch.cumsum(lengths, 0) - lengths)[rows]
        is_own = positions >= n_rows
        own = places[is_own]
        source = positions.clone()  # into the prompt's rows and, after them, the tokens'
        source[own] = n_rows + torch.arange(batch.n_tokens, device=x.device)
        token_ids = torch.zeros_like(rows)
        token_ids[own] = batch.token_ids
        longer = PackedBatch(token_ids, positions, rows, lengths, batch.max_length + n_rows)
        return F.embedding(source, torch.cat([self.rows, x])), longer, own


PROMPT = Method(
    prompt,
    30.0,
    "a few rows must move the states of all texts",
    starts_silent=False,
    keeps_backbone=True,
)
