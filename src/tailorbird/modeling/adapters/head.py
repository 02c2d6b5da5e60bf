"""Only the head is tuned: a linear classifier on pretrained features."""

from __future__ import annotations

from typing import Any

from tailorbird.config import MethodSettings
from tailorbird.modeling.adapters.attachment import Attachment, Method


def head(backbone: Any, settings: MethodSettings) -> Attachment:
    """Freeze the whole backbone, so that the states of its last layer can be cached.

    Source: Kumar et al. 2022 (linear probing against full tuning), section 2.
    """
    backbone.requires_grad_(False)
    if backbone.can_freeze:
        backbone.n_frozen = backbone.n_layers
    return Attachment(backbone, settings, originals={})


HEAD = Method(
    head, 10.0, "a linear model stands larger steps", freezes_all=True, keeps_backbone=True
)
