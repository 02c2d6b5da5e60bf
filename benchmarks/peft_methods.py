"""PEFT's ways of tuning with the sizes that ours have by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from peft import (
    AdaLoraConfig,
    PeftModelForFeatureExtraction,
    PrefixTuningConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from torch import Tensor
from transformers import TrainerCallback

from benchmarks.peers import lora_targets, with_lora
from tailorbird.config import MethodSettings

OURS = MethodSettings()


class GiveRanks(TrainerCallback):
    """AdaLoRA's own step, which Trainer does not take by itself."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def on_optimizer_step(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """After the update, while the gradients are still there."""
        self.model.base_model.update_and_allocate(state.global_step + 1)


def skewness(model: Any, weight: float = OURS.orthogonality) -> Tensor:
    """``weight * mean |P Pᵀ - I|`` over the factors.

    As in PEFT's own forward, which adds it to the loss of the model that it wraps; the one wrapped
    here makes no loss.
    """
    terms = []
    for name, p in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            product = p @ p.T if "lora_A" in name else p.T @ p
            terms.append((product - torch.eye(len(product), device=p.device)).norm())
    return weight * torch.stack(terms).mean()


Adapted = tuple[Any, list[TrainerCallback], Callable[[], Tensor] | None]


def adapt(backbone: Any, method: str, *, n_steps: int) -> Adapted:
    """(*backbone* with the method on it, what Trainer must call back for it, a term for the loss).

    The word table is left as pretrained in full tuning too, where it is larger than 100,000 rows,
    as ours does: moving it all costs more than the layers.
    """
    config = backbone.config
    if method == "full":
        if config.vocab_size > 100_000:
            backbone.get_input_embeddings().requires_grad_(False)
        return backbone, [], None
    if method == "lora":
        return with_lora(backbone, rank=OURS.rank, alpha=OURS.alpha), [], None
    if method == "adalora":
        model = get_peft_model(
            backbone,
            AdaLoraConfig(
                init_r=OURS.start_rank,
                target_r=OURS.rank,
                lora_alpha=int(OURS.alpha),
                lora_dropout=0.0,
                orth_reg_weight=OURS.orthogonality,
                tinit=round(0.1 * n_steps),
                tfinal=round(0.3 * n_steps),
                deltaT=max(1, n_steps // 100),
                total_step=n_steps,
                target_modules=lora_targets("", config.num_hidden_layers),
            ),
        )
        return model, [GiveRanks(model)], lambda: skewness(model)
    kinds = {"prefix": PrefixTuningConfig, "prompt": PromptTuningConfig}
    how = kinds[method](
        task_type=TaskType.FEATURE_EXTRACTION,
        num_virtual_tokens=OURS.n_prefix,
        num_layers=config.num_hidden_layers,
        token_dim=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
    )
    return PeftModelForFeatureExtraction(backbone, how), [], None
