"""The peer of the speed benchmarks: `transformers.Trainer`, with its real tokens counted."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

N_WARM = 3
"""Steps that are not counted: the first ones allocate."""


class Clock(TrainerCallback):  # type: ignore[misc]
    """Seconds of each optimizer step; fetching and padding the batch come before and are free."""

    def __init__(self) -> None:
        self.start_s = 0.0
        self.steps_s: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """The batch is there."""
        self.start_s = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """One update is done."""
        self.steps_s.append(time.perf_counter() - self.start_s)


class CountingCollator(DataCollatorWithPadding):  # type: ignore[misc]
    """Pads a batch and remembers how many of its tokens are real."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.counts: list[int] = []

    def __call__(self, features: Any) -> Any:
        """Pad, count, hand on."""
        batch = super().__call__(features)
        self.counts.append(int(batch["attention_mask"].sum()))
        return batch


def load_peer(folder: str, n_classes: int) -> tuple[Any, Any]:
    """Tokenizer and model as the documentation of transformers loads them."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=n_classes)
    return tokenizer, model


def rows_for(tokenizer: Any, texts: Sequence[str], targets: Sequence[int]) -> list[dict[str, Any]]:
    """Tokenised rows as Trainer takes them; cut where ours are."""
    encoded = tokenizer(list(texts), truncation=True, max_length=64)["input_ids"]
    return [
        {"input_ids": ids, "length": len(ids), "labels": target}
        for ids, target in zip(encoded, targets, strict=True)
    ]


def tokens_per_s(
    model: Any, tokenizer: Any, rows: list[dict[str, Any]], *, n_steps: int, **settings: Any
) -> float:
    """Real tokens per second of *n_steps* optimizer steps of Trainer, the first few left out."""
    clock, collator = Clock(), CountingCollator(tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=n_steps,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            dataloader_num_workers=0,
            **settings,
        )
        Trainer(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=collator,
            callbacks=[clock],
        ).train()
    counted = collator.counts[: len(clock.steps_s)]  # the loader may have fetched further
    return sum(counted[N_WARM:]) / sum(clock.steps_s[N_WARM:])
