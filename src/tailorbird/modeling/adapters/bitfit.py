"""BitFit: the biases alone are tuned."""

from __future__ import annotations

from typing import Any

from tailorbird.config import MethodSettings
from tailorbird.errors import ConfigError
from tailorbird.modeling.adapters.attachment import Attachment, Method


def bitfit(backbone: Any, settings: MethodSettings) -> Attachment:
    """Tune the biases of linear layers and norms that ``backbone.freeze`` left to be tuned.

    ``y = W x + b`` with W as pretrained; b (out,) is about a thousandth of the weights. Nothing is
    added, so nothing is slower afterwards. The pretrained biases are kept, to be put back.

    Raises ConfigError where the backbone has none, as Llama, Mistral and others.

    Source: Ben Zaken et al. 2022 (BitFit), section 3.
    """
    every = {name: p for name, p in backbone.named_parameters() if name.endswith("bias")}
    if not every:
        kind = backbone.config.get("model_type", "this architecture")
        raise ConfigError(
            f"method.name = '{settings.name}' tunes biases, and {kind} has none",
            cure="use --method lora, which adds the fewest weights to such a model",
        )
    biases = {name: parameter for name, parameter in every.items() if parameter.requires_grad}
    backbone.requires_grad_(False)
    for parameter in biases.values():
        parameter.requires_grad_(True)
    kept = {name: parameter.detach().clone() for name, parameter in biases.items()}
    return Attachment(backbone, settings, originals=kept)


BITFIT = Method(bitfit, 5.0, "biases are few and far from the scale of their gradients")
