"""Where pretrained weights come from: embedded packages, folders, hubs; always safetensors."""

from tailorbird.weights import embedded
from tailorbird.weights.checkpoint import Checkpoint
from tailorbird.weights.gguf_folder import TEMPLATE_FILE
from tailorbird.weights.sources import (
    BackboneFolder,
    choose_backbone,
    choose_language_model,
    resolve_backbone,
)

__all__ = [
    "TEMPLATE_FILE",
    "BackboneFolder",
    "Checkpoint",
    "choose_backbone",
    "choose_language_model",
    "embedded",
    "resolve_backbone",
]
