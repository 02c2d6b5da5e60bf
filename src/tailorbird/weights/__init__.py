"""Where pretrained weights come from: embedded packages, folders, hubs; always safetensors."""

from tailorbird.weights import embedded
from tailorbird.weights.checkpoint import Checkpoint
from tailorbird.weights.sources import BackboneFolder, choose_backbone, resolve_backbone

__all__ = [
    "BackboneFolder",
    "Checkpoint",
    "choose_backbone",
    "embedded",
    "resolve_backbone",
]
