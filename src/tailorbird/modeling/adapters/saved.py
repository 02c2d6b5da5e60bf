"""An adapter that cannot be merged, on disk: ``adapter.safetensors`` and ``adapter.json``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tailorbird.config import MethodSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling.adapters.attachment import Attachment

FACTS, WEIGHTS = "adapter.json", "adapter.safetensors"


def save_adapter(attachment: Attachment, folder: Path) -> None:
    """Write what was added, and what is needed to attach it again."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().contiguous() for name, t in attachment.tensors().items()}
    save_file(tensors, folder / WEIGHTS)
    backbone = attachment.backbone
    facts = {"method": asdict(attachment.settings), "n_frozen": getattr(backbone, "n_frozen", 0)}
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def read_adapter(folder: Path) -> tuple[MethodSettings, int, dict[str, Tensor]]:
    """The settings, the number of frozen layers and the tensors that `save_adapter` wrote.

    Raises WeightsError where they are missing or damaged.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        settings = MethodSettings(**facts["method"])
        return settings, int(facts["n_frozen"]), load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise WeightsError(
            f"holds no adapter that can be read ({error})",
            where=str(folder),
            cure="copy the folder again, or tune again",
        ) from error
