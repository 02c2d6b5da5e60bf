"""Any encoder that transformers knows, behind the interface of `PackedEncoder`.

Padded and slower; for architectures without a packed forward of their own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tailorbird.errors import WeightsError
from tailorbird.modeling.packing import PackedBatch

_IN_A_LAYER = re.compile(r"\blayers?\.\d+\.")


class HubEncoder(nn.Module):
    """`AutoModel` on batches that are padded just before and packed again just after."""

    can_freeze = False

    def __init__(self, model: Any, *, why: str = "asked for") -> None:
        super().__init__()
        self.model = model
        self.reason = f"padded, by AutoModel ({why})"
        self.config: dict[str, Any] = model.config.to_dict()
        self.dropout = 0.0
        self.compute_dtype = torch.float32
        self.n_frozen = 0

    @property
    def width(self) -> int:
        """D."""
        return int(self.model.config.hidden_size)

    @property
    def n_layers(self) -> int:
        """How many layers the model has."""
        return int(self.config.get("num_hidden_layers", 0))

    @property
    def max_positions(self) -> int:
        """Longest text the model takes."""
        return int(getattr(self.model.config, "max_position_embeddings", 512)) - 2

    def freeze(self, n_layers: int, *, words: bool = False) -> None:
        """Leave the word table (*words*) as pretrained; freezing layers needs a packed forward."""
        if n_layers:
            kind = self.config.get("model_type", "this architecture")
            raise WeightsError(
                f"layers of {kind} cannot be frozen one by one",
                cure="use --set model.freeze_layers=0",
            )
        self.requires_grad_(True)
        self.model.get_input_embeddings().requires_grad_(not words)

    def recompute_layers(self, wanted: bool) -> None:
        """Compute layers again in the backward pass, where the architecture can."""
        if wanted and self.model.supports_gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, batch: PackedBatch) -> Tensor:
        """T tokens → (T, D) states."""
        pad_id = self.config.get("pad_token_id") or 0
        has_types = int(self.config.get("type_vocab_size") or 0) > 1
        types = batch.types if has_types else None
        return padded_states(self.model, batch, pad_id=pad_id, types=types)


def padded_states(
    model: Any, batch: PackedBatch, *, pad_id: int, types: Tensor | None = None, **options: Any
) -> Tensor:
    """(T, D) last states of a transformers *model*, the batch being padded for it alone."""
    ids = torch.full((batch.n_texts, batch.max_length), pad_id, device=batch.rows.device)
    ids[batch.rows, batch.positions] = batch.token_ids
    mask = torch.zeros_like(ids)
    mask[batch.rows, batch.positions] = 1
    if types is not None:
        options["token_type_ids"] = torch.zeros_like(ids)
        options["token_type_ids"][batch.rows, batch.positions] = types
    states = model(input_ids=ids, attention_mask=mask, **options).last_hidden_state  # (B, L, D)
    return states[batch.rows, batch.positions]  # type: ignore[no-any-return]


def load_hub_encoder(folder: Path, *, why: str) -> HubEncoder:
    """Load a folder by `AutoModel`; *why* it is not packed is kept for the user.

    Raises WeightsError where transformers cannot load it, or would load it in part.
    """
    from transformers import AutoModel

    cure = "use a BERT, RoBERTa, XLM-RoBERTa, DistilBERT or ELECTRA, or minilm or e5"
    return HubEncoder(load_whole(AutoModel, folder, cure=cure), why=why)


def load_whole(kind: Any, folder: Path, *, cure: str) -> Any:
    """A model by *kind*, one of transformers' Auto classes, in fp32.

    Raises WeightsError where transformers cannot load it (*cure* says what to use instead), or
    would load it in part.
    """
    try:
        model, loading = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
        cause = str(error).strip().splitlines()
        raise WeightsError(
            f"cannot be loaded by {kind.__name__} ({cause[0] if cause else type(error).__name__})",
            where=str(folder),
            cure=cure,
        ) from error
    random = sorted(name for name in loading["missing_keys"] if "pooler" not in name)
    unread = sorted(name for name in loading["unexpected_keys"] if _IN_A_LAYER.search(name))
    if random or unread:
        raise WeightsError(
            f"has no tensor {random[0]}, which would be random"
            if random
            else f"has {unread[0]}, which {kind.__name__} does not read: its states would be wrong",
            where=str(folder),
            cure="the model needs code of its own, or another version of transformers",
        )
    return model
