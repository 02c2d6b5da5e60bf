"""Bottleneck adapters: a small network after a sublayer, around which the sublayer's output runs.

Shape letters: T tokens, D width, K inner width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling.adapters.attachment import Attachment, Method, tuned_layers

PLACEMENTS = {"houlsby": ("attention_out", "ffn_out"), "pfeiffer": ("ffn_out",)}
"""The linear layers that end the sublayers with an adapter."""


def bottleneck(backbone: Any, settings: MethodSettings) -> Attachment:
    """Freeze the backbone and put a `Bottleneck` at the end of sublayers above the frozen layers.

    With ``houlsby`` after attention and after the feed-forward block, with ``pfeiffer`` after the
    latter alone; before the residual sum and the norm in both. They cannot be merged: there is a
    non-linearity inside.

    Sources: Houlsby et al. 2019, section 2.1; Pfeiffer et al. 2021 (AdapterFusion), section 3.2
    (one adapter a layer; theirs also moves the norms around it).
    """
    if settings.width < 1:
        raise ConfigError(f"method.width = {settings.width} must be at least 1")
    layers = tuned_layers(backbone, settings.name)
    backbone.requires_grad_(False)
    places: dict[str, nn.Module] = {
        f"{name}.{end}.adapter": Bottleneck(backbone.width, settings)
        for name, _ in layers
        for end in PLACEMENTS[settings.placement]
    }
    return Attachment(backbone, settings, places, originals={})


class Bottleneck(nn.Module):
    """``y' = y + U gelu(V y + c) + d``, V (K, D) and U (D, K).

    U and d start at zero, so that at first nothing changes (the paper: near zero).

    Source: Houlsby et al. 2019, section 2.1 and figure 2.
    """

    def __init__(self, width: int, settings: MethodSettings) -> None:
        super().__init__()
        self.dropout = settings.dropout
        self.down = nn.Linear(width, settings.width)
        self.up = nn.Linear(settings.width, width)
        nn.init.normal_(self.down.weight, std=width**-0.5)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, y: Tensor, layer: nn.Linear) -> Tensor:
        """The sublayer's output *y* (T, D) → (T, D), in its type."""
        down, up = self.down, self.up
        inner = F.gelu(F.linear(y, down.weight.to(y.dtype), down.bias.to(y.dtype)))  # (T, K)
        inner = F.dropout(inner, self.dropout, self.training)
        added: Tensor = F.linear(inner, up.weight.to(y.dtype), up.bias.to(y.dtype))
        return torch.add(y, added)


BOTTLENECK = Method(
    bottleneck,
    5.0,
    "new layers start at zero and stand several times the rate",
    keeps_backbone=True,
)
