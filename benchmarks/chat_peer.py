"""The peer of the chat benchmarks: Trainer and PEFT on a causal language model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.chat_rows import IGNORED, ChatRow, padded
from benchmarks.trainer import Clock, trainer_of, warm_up

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All linear layers of the Llama family."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What both sides of a chat benchmark share."""

    n_epochs: int
    batch_size: int
    rate: float
    rank: int = 8
    alpha: float = 16.0
    is_flat: bool = False
    """Rows one after another without padding, as `DataCollatorWithFlattening` lays them."""
    attention: str = "sdpa"
    is_plain: bool = False
    """The peer as it comes: no setting of the two but epochs, batch size, rate and schedule."""

    def settings(self) -> dict[str, Any]:
        """As `TrainingArguments` names them."""
        faster = {"train_sampling_strategy": "group_by_length", "bf16": True}
        return {
            "num_train_epochs": self.n_epochs,
            "per_device_train_batch_size": self.batch_size,
            "learning_rate": self.rate,
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.1,
            "seed": 0,
            **({} if self.is_plain else faster),
        }


def load_adapted(model: Any, how: Recipe) -> Any:
    """*model* with PEFT's LoRA on all linear layers; the adapters are fp32, as PEFT makes them."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=how.rank,
        lora_alpha=int(how.alpha),
        lora_dropout=0.0,
        target_modules=list(LINEARS),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def load_model(folder: str, how: Recipe) -> Any:
    """The model with its frozen weights in bf16, so that autocast need not cast them each time.

    As it comes it is in the type that transformers loads it in.
    """
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    best = {"dtype": torch.bfloat16, "attn_implementation": how.attention}
    model = AutoModelForCausalLM.from_pretrained(folder, **({} if how.is_plain else best))
    model.config.use_cache = False
    return load_adapted(model, how)


def collator(how: Recipe, pad_id: int) -> Callable[[Any], Any]:
    """Padding, or laying flat where the recipe says so."""
    if how.is_flat:
        from transformers import DataCollatorWithFlattening

        return DataCollatorWithFlattening(return_tensors="pt")

    def collate(rows: Any) -> dict[str, torch.Tensor]:
        return {name: torch.tensor(values) for name, values in padded(rows, pad_id).items()}

    return collate


def train(model: Any, rows: Sequence[ChatRow], how: Recipe, *, pad_id: int) -> Clock:
    """Train *model* on *rows*, the loss on answers alone; the clock says how long epochs took."""
    encoded = [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]
    warm_up(model, collator(how, pad_id), encoded, **how.settings())
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = how.settings() | {"output_dir": folder}
        trainer_of(model, collator(how, pad_id), encoded, settings, callbacks=[clock]).train()
    return clock


@torch.no_grad()
def nll(model: Any, rows: Sequence[ChatRow], *, pad_id: int, batch_size: int = 8) -> float:
    """Mean negative log-likelihood of an answer's token, in nats, over all of *rows*."""
    model.eval()
    device = next(model.parameters()).device
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    total, n_tokens = 0.0, 0
    for start in range(0, len(ordered), batch_size):
        part = ordered[start : start + batch_size]
        lists = padded([{"input_ids": r.input_ids, "labels": r.labels} for r in part], pad_id)
        batch = {name: torch.tensor(values, device=device) for name, values in lists.items()}
        labels = batch.pop("labels")[:, 1:]
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(**batch).logits[:, :-1]
        is_said = labels != IGNORED
        total += float(F.cross_entropy(logits[is_said].float(), labels[is_said], reduction="sum"))
        n_tokens += int(is_said.sum())
    return total / n_tokens
