"""Models: packed backbones, heads, ways of tuning, and what saves and loads them together."""

from tailorbird.modeling import adapters, heads, packing, trunk_cache
from tailorbird.modeling.text_model import TextModel, build_model, load_model, save_model

__all__ = [
    "TextModel",
    "adapters",
    "build_model",
    "heads",
    "load_model",
    "packing",
    "save_model",
    "trunk_cache",
]
