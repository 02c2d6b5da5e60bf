"""The pretrained body of a model, from a folder as hubs have them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tailorbird.errors import WeightsError
from tailorbird.modeling.causal import load_decoder
from tailorbird.modeling.decoder import PackedDecoder
from tailorbird.modeling.decoder_families import DECODER_FAMILIES
from tailorbird.modeling.encoder import PackedEncoder
from tailorbird.modeling.families import FAMILIES, refuse_unknown_positions, why_not_packed
from tailorbird.modeling.hub_decoder import HubDecoder
from tailorbird.modeling.hub_encoder import HubEncoder, load_hub_encoder
from tailorbird.weights import Checkpoint

PackedBackbone = PackedEncoder | PackedDecoder
Backbone = PackedBackbone | HubEncoder | HubDecoder


def load_backbone(folder: Path) -> Backbone:
    """The body of a hub-style folder: packed for the families known, by `AutoModel` for the rest.

    The families are the `FAMILIES` of encoders and the `DECODER_FAMILIES`; `load_decoder` takes
    other causal language models, too.

    Raises WeightsError where the folder has no config or no safetensors, or where they do not
    belong together.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError("has no config.json", where=str(folder)) from error
    if config.get("model_type") in DECODER_FAMILIES:
        return load_decoder(folder)
    refuse_unknown_positions(config, where=str(folder))
    config.pop("torch_dtype", None)
    config["dtype"] = "float32"  # as the weights are from here on, whatever they were saved in
    why = why_not_packed(config)
    family = FAMILIES.get(config.get("model_type", ""))
    checkpoint = Checkpoint(folder, prefix=family.prefix if family else "")
    if why:
        return load_hub_encoder(folder, why=why)
    with torch.device("meta"):
        encoder = PackedEncoder(config)
    shapes = {encoder.hub_name(n): tensor.shape for n, tensor in encoder.state_dict().items()}
    tensors = checkpoint.read(shapes)
    state = {name: tensors[encoder.hub_name(name)] for name in encoder.state_dict()}
    encoder.load_state_dict(state, assign=True)
    return encoder.requires_grad_(True)
