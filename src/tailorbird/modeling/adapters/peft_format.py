"""LoRA and AdaLoRA as PEFT's folder: ``adapter_config.json`` and ``adapter_model.safetensors``.

Source: the format of peft 0.21, ``utils/save_and_load.py`` and ``tuners/{lora,adalora}``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tailorbird.config import MethodSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling.adapters.adalora import AdaLoraAdapter, Budget, attach_adalora
from tailorbird.modeling.adapters.attachment import Attachment
from tailorbird.modeling.adapters.lora import attach_lora
from tailorbird.modeling.decoder import PackedDecoder
from tailorbird.modeling.decoder_families import PREFIX as BODY

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_LORA = {"a": "lora_A.weight", "b": "lora_B.weight", "length": "lora_magnitude_vector"}
_ADALORA = {"a": "lora_A", "b": "lora_B", "e": "lora_E"}
_REFUSED: dict[str, tuple[Any, ...]] = {
    "bias": ("none", None),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "lora_bias": (False, None),
    "fan_in_fan_out": (False, None),
    "layer_replication": (None,),
    "target_parameters": (None, []),
    "trainable_token_indices": (None,),
}
"""Keys that make an adapter another one than ours, unless they have one of these values."""


def save_peft(attachment: Attachment, folder: Path, *, base_name: str = "") -> None:
    """Write a LoRA or AdaLoRA *attachment* so that ``PeftModel.from_pretrained`` reads it.

    Args:
        attachment: of a packed backbone.
        folder: made if missing.
        base_name: the backbone's name or folder, for PEFT to find it by.
    """
    settings = attachment.settings
    is_lora = settings.name == "lora"
    names = {place: _hub_module(attachment.backbone, place) for place in attachment.places}
    config: dict[str, Any] = {
        "peft_type": "LORA" if is_lora else "ADALORA",
        "base_model_name_or_path": base_name or None,
        "task_type": "CAUSAL_LM" if isinstance(attachment.backbone, PackedDecoder) else None,
        "inference_mode": True,
        "target_modules": sorted(names.values()),
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "bias": "none",
        "fan_in_fan_out": False,
        "modules_to_save": None,
    }
    tensors: dict[str, Tensor] = {}
    if is_lora:
        config |= {"r": settings.rank, "use_rslora": settings.rslora, "use_dora": settings.dora}
        for place, hub in names.items():
            for name, tensor in attachment.places[place].state_dict().items():
                tensors[f"{_PREFIX}{hub}.{_LORA[name]}"] = tensor
    else:
        budget, kept = Budget.of(100), {hub: _kept(attachment, p) for p, hub in names.items()}
        config |= {
            "r": 8,  # not used by AdaLoRA; PEFT warns of any other value
            "init_r": settings.start_rank,
            "target_r": settings.rank,
            "orth_reg_weight": settings.orthogonality,
            "total_step": budget.n_steps,
            "tinit": budget.n_initial,
            "tfinal": budget.n_final,
        }
        is_cut = not all(row.all() for row in kept.values())
        if is_cut:
            config["rank_pattern"] = {f"{hub}.lora_E": row.tolist() for hub, row in kept.items()}
        for place, hub in names.items():
            for name, tensor in attachment.places[place].state_dict().items():
                rows = tensor.T[kept[hub]].T if name == "b" else tensor[kept[hub]]
                tensors[f"{_PREFIX}{hub}.{_ADALORA[name]}"] = rows
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


@torch.no_grad()
def load_peft(backbone: Any, folder: Path) -> Attachment:
    """Attach the LoRA or AdaLoRA that PEFT, or `save_peft`, wrote to *folder*.

    Raises WeightsError where the folder is not whole, or the adapter of another kind.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        saved = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"is no PEFT adapter ({error})", where=str(folder)) from error
    kind = config.get("peft_type")
    if kind not in ("LORA", "ADALORA"):
        raise WeightsError(
            f"is a PEFT adapter of type {kind}", where=str(folder), cure="LORA and ADALORA are read"
        )
    for key, allowed in _REFUSED.items():
        if not (key == "rank_pattern" and kind == "ADALORA") and config.get(key) not in allowed:
            raise WeightsError(
                f"has {key} = {config[key]!r}, which is not read",
                where=str(folder / CONFIG),
                cure="merge it with PEFT (merge_and_unload) and load the model",
            )
    settings = _settings(config)
    parts = _LORA if kind == "LORA" else _ADALORA
    ours = {
        _hub_module(backbone, f"{name}.adapter"): name
        for name, module in backbone.named_modules()
        if name.startswith("layers.") and isinstance(module, nn.Linear)
    }
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in saved.items():
        hub, part = _split(key, parts)
        # A task model's own prefix, or the body of a causal language model without it.
        module = ours.get(hub) or ours.get(hub.partition(".")[2]) or ours.get(f"{BODY}{hub}")
        if not part or module is None:
            raise WeightsError(
                f"has {key}, for which there is no place",
                where=str(folder / WEIGHTS),
                cure="attach it to the backbone that it was tuned on",
            )
        found.setdefault(module, {})[part] = tensor.float()
    patterns = {key: torch.tensor(row) for key, row in (config.get("rank_pattern") or {}).items()}
    attach = attach_lora if kind == "LORA" else attach_adalora
    attachment = attach(backbone, settings, sorted(found, key=list(ours.values()).index))
    tensors: dict[str, Tensor] = {}
    for module, own in found.items():
        adapter: Any = attachment.places[f"{module}.adapter"]
        if isinstance(adapter, AdaLoraAdapter) and patterns:
            hub = _hub_module(backbone, f"{module}.adapter")
            adapter.kept[:, 0] = next(
                row for key, row in patterns.items() if f"{hub}.lora_E" in key
            )
            own = _spread(own, adapter.kept[:, 0])
        tensors |= {f"{module}.adapter.{name}": tensor for name, tensor in own.items()}
    attachment.load(tensors)
    return attachment


def _settings(config: dict[str, Any]) -> MethodSettings:
    shared: dict[str, Any] = {
        "alpha": float(config["lora_alpha"]),
        "dropout": float(config["lora_dropout"]),
    }
    if config["peft_type"] == "LORA":
        return MethodSettings(
            name="lora",
            rank=config["r"],
            rslora=bool(config.get("use_rslora")),
            dora=bool(config.get("use_dora")),
            **shared,
        )
    return MethodSettings(
        name="adalora",
        rank=config["target_r"],
        start_rank=config["init_r"],
        orthogonality=float(config["orth_reg_weight"]),
        **shared,
    )


def _hub_module(backbone: Any, place: str) -> str:
    """``layers.3.query.adapter`` → what the hub calls ``layers.3.query``."""
    name: str = backbone.hub_name(f"{place.removesuffix('.adapter')}.weight")
    return name.removesuffix(".weight")


def _split(key: str, parts: dict[str, str]) -> tuple[str, str]:
    """``base_model.model.backbone.….query.lora_A.weight`` → (``encoder.….query``, ``a``)."""
    for ours, theirs in parts.items():
        if key.endswith(f".{theirs}"):
            return key.removeprefix(_PREFIX).removesuffix(f".{theirs}"), ours
    return key, ""


def _kept(attachment: Attachment, place: str) -> Tensor:
    """(R,) the triplets to save: all but those that were cut and are zero."""
    adapter: Any = attachment.places[place]
    kept: Tensor = (adapter.kept | (adapter.e != 0))[:, 0]
    return kept


def _spread(own: dict[str, Tensor], kept: Tensor) -> dict[str, Tensor]:
    """The rows of the kept triplets at their old places, zeros at the others."""
    if kept.all() or own["e"].shape[0] == len(kept):
        return own
    spread = {}
    for name, tensor in own.items():
        rows = tensor.T if name == "b" else tensor
        whole = rows.new_zeros(len(kept), rows.shape[1])
        whole[kept] = rows
        spread[name] = whole.T.contiguous() if name == "b" else whole
    return spread
