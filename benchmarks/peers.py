"""What a careful user of transformers and PEFT would set against us: mean-pooled head, adapters.

The published classification head reads the first token's state through a pooler that starts from
noise where the checkpoint was trained to be averaged; a mean-pooled head learns several times as
fast, so the peer gets one, of the form that ours has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, TrainerCallback
from transformers.modeling_outputs import SequenceClassifierOutput

from benchmarks.trainer import NO_DROPOUT, Clock, trainer_of

PEFT_LINEARS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
}
"""Our linear layers of a BERT layer → theirs."""


def seed(number: int) -> None:
    """Of new weights and dropout."""
    torch.manual_seed(number)


class MeanPooled(nn.Module):
    """Logits (B, C) from the mean of each text's states, brought to the unit sphere; and the loss.

    Args:
        backbone: an `AutoModel`, or PEFT's wrapping of one.
        n_classes: C.
        dropout: before the last product, as ours.
    """

    def __init__(self, backbone: Any, n_classes: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = backbone.config
        self.penalty: Callable[[], Tensor] | None = None  # what a method adds to the loss
        self.dropout = dropout
        width = self.config.hidden_size
        self.scale = width**0.5
        self.head = nn.Linear(width, n_classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """(B, L) ids → logits (B, C), with the mean cross-entropy where there are labels (B,)."""
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        own = states.last_hidden_state[:, -input_ids.shape[1] :]  # a prompt's rows come first
        mask = attention_mask[..., None].to(own.dtype)
        pooled = (own * mask).sum(1) / mask.sum(1)
        z = self.scale * F.normalize(pooled.float(), dim=-1)
        logits = self.head(F.dropout(z, self.dropout, self.training))
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        if loss is not None and self.penalty is not None:
            loss = loss + self.penalty()
        return SequenceClassifierOutput(loss=loss, logits=logits)


def load_backbone(folder: str, *, attention: str = "eager") -> Any:
    """The encoder as `AutoModel` loads it, without dropout in the layers and without a pooler."""
    return AutoModel.from_pretrained(
        folder, attn_implementation=attention, add_pooling_layer=False, **NO_DROPOUT
    )


class StopAt(TrainerCallback):
    """Ends the training at the first evaluation whose accuracy is at least *target*."""

    def __init__(self, target: float) -> None:
        self.target = target
        self.best = self.last = 0.0
        self.step = 0

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> Any:
        """Look at the figure; Trainer reads *control*."""
        self.last, self.step = metrics["eval_accuracy"], state.global_step
        self.best = max(self.best, self.last)
        if self.last >= self.target:
            control.should_training_stop = True
        return control


def share_right(prediction: Any) -> dict[str, float]:
    """Accuracy, as `Trainer.compute_metrics` wants it."""
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def lora_targets(targets: str, n_layers: int, *, above: int = 0) -> list[str]:
    """Names of the linear layers of a BERT above its lowest *above* layers; ``""``: all six.

    >>> lora_targets("query", 2, above=1)
    ['encoder.layer.1.attention.self.query']
    """
    names = [name.strip() for name in targets.split(",") if name.strip()] or list(PEFT_LINEARS)
    return [
        f"encoder.layer.{i}.{PEFT_LINEARS[name]}" for i in range(above, n_layers) for name in names
    ]


def with_lora(
    backbone: Any, *, rank: int = 8, alpha: float = 16.0, targets: str = "", above: int = 0
) -> Any:
    """PEFT's LoRA on *backbone*, on the same linear layers as ours."""
    from peft import LoraConfig, get_peft_model

    names = lora_targets(targets, backbone.config.num_hidden_layers, above=above)
    return get_peft_model(
        backbone, LoraConfig(r=rank, lora_alpha=int(alpha), lora_dropout=0.0, target_modules=names)
    )


def two_rates(model: Any, rate: float, head_rate: float, *, decay: float = 0.01) -> Any:
    """Fused AdamW as Trainer's own, with a rate of its own for the head, as ours has."""
    head = {id(p) for p in model.head.parameters()}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            key = (
                head_rate if id(parameter) in head else rate,
                decay if parameter.ndim > 1 else 0.0,
            )
            groups.setdefault(key, []).append(parameter)
    rows = [{"params": ps, "lr": lr, "weight_decay": wd} for (lr, wd), ps in groups.items()]
    return torch.optim.AdamW(rows, fused=True)


@dataclass(frozen=True, slots=True)
class PeerFit:
    """How the peer is trained; one value for every benchmark that trains it whole epochs."""

    n_epochs: int
    rate: float
    head_rate: float
    batch_size: int = 64
    bf16: bool = True
    seed: int = 0
    callbacks: Sequence[TrainerCallback] = field(default_factory=tuple)
    more: dict[str, Any] = field(default_factory=dict)
    """Further settings of `TrainingArguments`."""

    def settings(self) -> dict[str, Any]:
        """As `TrainingArguments` names them: linear decay after a tenth of warm-up, as ours."""
        return {
            "num_train_epochs": self.n_epochs,
            "per_device_train_batch_size": self.batch_size,
            "per_device_eval_batch_size": 64,
            "train_sampling_strategy": "group_by_length",
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.1,
            "bf16": self.bf16,
            "seed": self.seed,
            "learning_rate": self.rate,
            **self.more,
        }


def fit(
    model: Any,
    collate: Callable[[Any], Any],
    rows: Sequence[dict[str, Any]],
    how: PeerFit,
    *,
    eval_rows: Any = None,
) -> Clock:
    """Train *model*; the clock says how long each epoch took, evaluations within it included."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(
            model,
            collate,
            rows,
            how.settings() | {"output_dir": folder},
            optimizers=(two_rates(model, how.rate, how.head_rate), None),
            callbacks=[clock, *how.callbacks],
            eval_dataset=eval_rows,
        )
        trainer.compute_metrics = share_right
        trainer.train()
    return clock


@torch.no_grad()
def accuracy(
    model: nn.Module, collate: Callable[[Any], Any], rows: Sequence[dict[str, Any]], *, bf16: bool
) -> float:
    """Share of *rows* whose most likely label is theirs, in batches of like length."""
    model.eval()
    device = next(model.parameters()).device
    ordered = sorted(rows, key=lambda row: len(row["input_ids"]))
    n_right = 0
    for start in range(0, len(ordered), 64):
        batch = collate(ordered[start : start + 64])
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = model(**batch).logits
        n_right += int((logits.argmax(-1) == batch["labels"]).sum())
    return n_right / len(rows)
