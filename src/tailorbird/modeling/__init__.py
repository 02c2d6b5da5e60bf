"""Pretrained models: where weights come from, packed encoders, heads, the text classifier."""

from tailorbird.modeling import adapters
from tailorbird.modeling.classifier import (
    TextClassifier,
    build_classifier,
    load_classifier,
    save_classifier,
)
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.modeling.sources import choose_backbone, resolve_backbone

__all__ = [
    "TextClassifier",
    "TokenizedTexts",
    "adapters",
    "build_classifier",
    "choose_backbone",
    "load_classifier",
    "resolve_backbone",
    "save_classifier",
]
