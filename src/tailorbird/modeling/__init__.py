"""Pretrained models: where weights come from, packed encoders, heads, the text classifier."""

from tailorbird.modeling import adapters
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.modeling.sources import choose_backbone, resolve_backbone
from tailorbird.modeling.text_model import (
    TextModel,
    build_model,
    load_model,
    save_model,
)

__all__ = [
    "TextModel",
    "TokenizedTexts",
    "adapters",
    "build_model",
    "choose_backbone",
    "load_model",
    "resolve_backbone",
    "save_model",
]
