"""Prefix-tuning: keys and values that every text sees before its own, in each layer.

Shape letters: D width of keys and values (in a decoder often less than the states'), P prefix rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling.adapters.attachment import Attachment, Method, tuned_layers
from tailorbird.modeling.packing import pack


def prefix(backbone: Any, settings: MethodSettings) -> Attachment:
    """Freeze the backbone and give each layer above the frozen ones a `Prefix`.

    The rows start as the keys and values that P random words have in that layer: the paper finds
    real activations to be the better start. So the states differ from the pretrained ones from
    the first step on. The rows are tuned themselves, without the network that the paper (section
    4.3) puts before them for long outputs.

    In a decoder with rotary positions the keys are not turned, and texts keep their positions from
    0: the rows stand at no place, as near to the end of a long text as to its start. Layers with a
    window see them from everywhere, too.

    Source: Li & Liang 2021 (prefix-tuning), sections 4.2 and 7.4.
    """
    layers = tuned_layers(backbone, settings.name)
    if settings.n_prefix < 1:
        raise ConfigError(f"method.n_prefix = {settings.n_prefix} must be at least 1")
    backbone.requires_grad_(False)
    rows = _activations(backbone, settings.n_prefix)
    places: dict[str, nn.Module] = {
        f"{name}.prefix": Prefix(row) for (name, _), row in zip(layers, rows, strict=True)
    }
    return Attachment(backbone, settings, places, originals={})


class Prefix(nn.Module):
    """Keys and values (2, P, D); attention is ``softmax(q [Kp; K]ᵀ) [Vp; V]``."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    def forward(self) -> Tensor:
        """() → (2, P, D)."""
        return self.rows


@torch.no_grad()
def _activations(backbone: Any, n_rows: int) -> list[Tensor]:
    """Keys and values (2, P, D) of random words, read as one text, in each layer not frozen."""
    n_rows_known = min(n_rows, backbone.max_positions)
    ids = torch.randint(backbone.words.num_embeddings, (n_rows_known,))
    batch = pack([ids]).to(backbone.words.weight.device)
    found = []
    x = backbone.trunk(batch)
    for layer in backbone.layers[backbone.n_frozen :]:
        rows = layer.keys_and_values(x, batch)  # (2, P, D)
        found.append(rows.repeat(1, -(-n_rows // n_rows_known), 1)[:, :n_rows].clone())
        x = layer(x, batch, 0.0, torch.float32)
    return found


PREFIX = Method(
    prefix,
    15.0,
    "rows beside the weights must move far to be seen",
    starts_silent=False,
    keeps_backbone=True,
)
