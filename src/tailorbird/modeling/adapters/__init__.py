"""Ways of tuning. Each is a function that attaches itself to a backbone, in a file of its own.

    attachment = attach(encoder, MethodSettings(name="lora"))
    ...                                  # tune what requires a gradient
    attachment.merge()                   # or attachment.detach()

| name | what is tuned | merges |
| --- | --- | --- |
| full | every weight that is not frozen | it is the weights |
| head | nothing of the backbone | nothing to merge |
| bitfit | the biases | it is the biases |
| lora | a low-rank term on linear layers; also rsLoRA and DoRA | yes |
| adalora | the same as an SVD, with ranks where they matter | yes |
| bottleneck | small networks after the sublayers | no |
| prefix | keys and values before each text, in each layer | no |
| prompt | rows before each text | no |

The head of a task is always tuned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tailorbird.config import MethodSettings
from tailorbird.modeling.adapters.adalora import ADALORA
from tailorbird.modeling.adapters.attachment import Attachment, Method
from tailorbird.modeling.adapters.bitfit import BITFIT
from tailorbird.modeling.adapters.bottleneck import BOTTLENECK
from tailorbird.modeling.adapters.full import FULL
from tailorbird.modeling.adapters.head import HEAD
from tailorbird.modeling.adapters.lora import LORA
from tailorbird.modeling.adapters.peft_format import load_peft, save_peft
from tailorbird.modeling.adapters.prefix import PREFIX
from tailorbird.modeling.adapters.prompt import PROMPT
from tailorbird.modeling.adapters.saved import FACTS, read_adapter, save_adapter

METHODS: dict[str, Method] = {
    "full": FULL,
    "head": HEAD,
    "bitfit": BITFIT,
    "lora": LORA,
    "adalora": ADALORA,
    "bottleneck": BOTTLENECK,
    "prefix": PREFIX,
    "prompt": PROMPT,
}


def attach(backbone: Any, settings: MethodSettings) -> Attachment:
    """Attach the way of tuning that *settings* name; call ``backbone.freeze`` before it."""
    return METHODS[settings.name].attach(backbone, settings)


def load_adapter(backbone: Any, folder: Path) -> Attachment:
    """Attach what `save_adapter` wrote to *folder*.

    Raises WeightsError where it is damaged or belongs to another backbone.
    """
    settings, backbone.n_frozen, tensors = read_adapter(folder)
    attachment = attach(backbone, settings)
    attachment.load(tensors)
    return attachment


__all__ = [
    "FACTS",
    "METHODS",
    "Attachment",
    "Method",
    "attach",
    "load_adapter",
    "load_peft",
    "save_adapter",
    "save_peft",
]
