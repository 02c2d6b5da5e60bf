"""Any causal language model that transformers knows, behind the interface of `PackedDecoder`.

Padded and slower; for architectures without a packed forward of their own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tailorbird.errors import WeightsError
from tailorbird.modeling.hub_encoder import padded_states
from tailorbird.modeling.packing import PackedBatch


class HubDecoder(nn.Module):
    """The body of an `AutoModelForCausalLM`, on batches that are padded for it alone.

    Padding is at the end, where no token looks.
    """

    can_freeze = False

    def __init__(self, model: Any, *, why: str = "asked for") -> None:
        super().__init__()
        self.model = model.base_model
        self.reason = f"padded, by AutoModelForCausalLM ({why})"
        self.config: dict[str, Any] = model.config.to_dict()
        self.dropout = 0.0
        self.compute_dtype = torch.float32
        self.n_frozen = 0

    @property
    def words(self) -> nn.Embedding:
        """The word table, which a head may share."""
        table = self.model.get_input_embeddings()
        assert isinstance(table, nn.Embedding)
        return table

    @property
    def width(self) -> int:
        """D."""
        return int(self.model.config.hidden_size)

    @property
    def n_layers(self) -> int:
        """How many layers the model has."""
        return int(self.model.config.num_hidden_layers)

    @property
    def max_positions(self) -> int:
        """Longest text the model takes."""
        return int(getattr(self.model.config, "max_position_embeddings", 512))

    def freeze(self, n_layers: int, *, words: bool = False) -> None:
        """Leave the word table (*words*) as pretrained; freezing layers needs a packed forward."""
        if n_layers:
            kind = self.config.get("model_type", "this architecture")
            raise WeightsError(
                f"layers of {kind} cannot be frozen one by one",
                cure="use --set model.freeze_layers=0",
            )
        self.requires_grad_(True)
        self.words.requires_grad_(not words)

    def recompute_layers(self, wanted: bool) -> None:
        """Compute layers again in the backward pass, where the architecture can."""
        if wanted and self.model.supports_gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, batch: PackedBatch) -> Tensor:
        """T tokens → (T, D) states."""
        pad_id = self.config.get("pad_token_id") or 0
        return padded_states(self.model, batch, pad_id=pad_id, use_cache=False)
