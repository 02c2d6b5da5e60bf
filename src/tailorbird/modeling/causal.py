"""Causal language models out of a hub folder: the decoder, and its head over the vocabulary.

Shape letters: D width, U states the head sees, V vocabulary.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tailorbird.errors import WeightsError
from tailorbird.modeling.decoder import PackedDecoder
from tailorbird.modeling.decoder_families import DECODER_FAMILIES, PREFIX, why_not_packed_decoder
from tailorbird.modeling.heads import LanguageHead
from tailorbird.modeling.hub_decoder import HubDecoder
from tailorbird.modeling.hub_encoder import load_whole
from tailorbird.modeling.packing import pack
from tailorbird.weights import Checkpoint


def load_decoder(folder: Path) -> PackedDecoder | HubDecoder:
    """The decoder of a hub-style folder: packed for the `DECODER_FAMILIES`, else by transformers.

    Raises WeightsError where the folder has no config or no safetensors, or where they do not
    belong together.
    """
    config = _read_config(folder)
    config.pop("torch_dtype", None)
    config["dtype"] = "float32"  # as the weights are from here on, whatever they were saved in
    checkpoint = Checkpoint(folder, prefix=PREFIX)
    why = why_not_packed_decoder(config)
    if why:
        return HubDecoder(_load_hub(folder), why=why)
    with torch.device("meta"):
        decoder = PackedDecoder(config)
    theirs = {name: decoder.hub_name(name).removeprefix(PREFIX) for name in decoder.state_dict()}
    shapes = {theirs[name]: tensor.shape for name, tensor in decoder.state_dict().items()}
    tensors = checkpoint.read(shapes)
    state = {name: tensors[hub] for name, hub in theirs.items()}
    decoder.load_state_dict(state, assign=True)
    return decoder.requires_grad_(True)


def load_language_head(folder: Path, backbone: nn.Module) -> LanguageHead:
    """The head that the folder's causal language model has, for the *backbone* loaded from it.

    Raises WeightsError where it is missing, or is no plain product over the vocabulary.
    """
    if isinstance(backbone, HubDecoder):
        return _hub_head(folder, backbone)
    if not isinstance(backbone, PackedDecoder):
        raise WeightsError(
            "is an encoder, which cannot say what comes next",
            where=str(folder),
            cure=f"use a causal language model: one of {', '.join(DECODER_FAMILIES)}",
        )
    config = backbone.config
    is_tied = config.get("tie_word_embeddings")
    if is_tied is None:
        is_tied = DECODER_FAMILIES[config["model_type"]].is_tied
    weight = None
    if not is_tied:
        shapes = {"lm_head.weight": backbone.words.weight.shape}
        weight = Checkpoint(folder, prefix=PREFIX).read(shapes)["lm_head.weight"]
    return LanguageHead(backbone, weight, soft_cap=_soft_cap(config))


def _hub_head(folder: Path, backbone: HubDecoder) -> LanguageHead:
    """The head of an architecture without a packed forward, if it is what `LanguageHead` is."""
    model = _load_hub(folder)
    last = model.get_output_embeddings()
    is_tied = last.weight is model.get_input_embeddings().weight
    head = LanguageHead(
        backbone,
        None if is_tied else last.weight.detach(),
        bias=None if getattr(last, "bias", None) is None else last.bias.detach(),
        soft_cap=_soft_cap(backbone.config),
    )
    # Some families scale or bound their logits in ways of their own: compare rather than guess.
    ids = torch.arange(min(8, len(backbone.words.weight)))
    with torch.no_grad():
        expected = model.eval()(input_ids=ids[None]).logits[0]  # (8, V)
        found = head(backbone.eval()(pack([ids])))
    if not torch.allclose(found, expected, rtol=1e-3, atol=1e-3):
        raise WeightsError(
            f"{backbone.config.get('model_type')} makes its logits in a way of its own",
            where=str(folder),
            cure=f"use one of {', '.join(DECODER_FAMILIES)}",
        )
    return head


def _load_hub(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    cure = f"use one of {', '.join(DECODER_FAMILIES)}"
    return load_whole(AutoModelForCausalLM, folder, cure=cure)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError("has no config.json", where=str(folder)) from error
    return config


def _soft_cap(config: dict[str, Any]) -> float:
    return float(config.get("final_logit_softcapping") or 0.0)
