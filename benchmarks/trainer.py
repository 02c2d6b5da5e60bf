"""The peer of the benchmarks: `transformers.Trainer`, timed.

The clock runs from the beginning of an epoch to its end, so that it counts what a person waits
for: drawing and padding the batches, the updates, and Trainer's own bookkeeping. Tokenising,
loading and building the optimizer are outside, on our side too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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
from transformers.trainer_pt_utils import get_length_grouped_indices

N_WARM = 3
"""Steps before the clock: the first ones allocate."""

MEGA_BATCHES = 50
"""Batches that Trainer shuffles together and sorts by length, where the data is large enough."""

QUIET: dict[str, Any] = {
    "report_to": "none",
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
    "dataloader_num_workers": 0,  # a second process has no core of its own here
    "label_names": ["labels"],
}
"""Settings that take away what is no part of training."""

BEST: dict[str, Any] = {
    "bf16": True,
    "per_device_train_batch_size": 64,
    "train_sampling_strategy": "group_by_length",
}
"""What made Trainer faster here; its batches are as large as ours."""

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
"""Of the layers: ours have none either, and drawing the masks takes time."""


class Clock(TrainerCallback):
    """Seconds from the beginning to the end of each epoch."""

    def __init__(self) -> None:
        self.start_s = 0.0
        self.epochs_s: list[float] = []

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Nothing has been fetched yet."""
        self.start_s = time.perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """All updates are done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.epochs_s.append(time.perf_counter() - self.start_s)


class GroupedTrainer(Trainer):
    """Trainer whose length-grouped order is that of a large set, also on few rows.

    Its own sampler lowers the mega-batch on fewer than 200 batches, so that a short span would
    be padded more than a whole epoch of the set.
    """

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        rows: Any = self.train_dataset
        lengths = [len(row["input_ids"]) for row in rows]
        size = self.args.train_batch_size
        generator = torch.Generator().manual_seed(self.args.seed)
        return GroupedOrder(lengths, size, generator)


class GroupedOrder(torch.utils.data.Sampler[int]):
    """Row numbers in Trainer's length-grouped order, a new one each epoch."""

    def __init__(self, lengths: list[int], batch_size: int, generator: torch.Generator) -> None:
        self.lengths, self.batch_size, self.generator = lengths, batch_size, generator

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Any:
        return iter(
            get_length_grouped_indices(
                self.lengths, self.batch_size, MEGA_BATCHES, generator=self.generator
            )
        )


def load_tokenizer(folder: str) -> Any:
    """The tokenizer as the documentation of transformers loads it."""
    return AutoTokenizer.from_pretrained(folder)


def load_peer(folder: str, n_classes: int, **config: Any) -> Any:
    """The model as the documentation of transformers loads it, with its own classification head."""
    return AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=n_classes, **config
    )


def rows_for(
    tokenizer: Any, texts: Sequence[str], targets: Sequence[int], *, max_tokens: int = 64
) -> list[dict[str, Any]]:
    """Tokenised rows as Trainer takes them; cut where ours are."""
    encoded = tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
    return [
        {"input_ids": ids, "labels": target} for ids, target in zip(encoded, targets, strict=True)
    ]


def trainer_of(
    model: Any,
    collate: Callable[[Any], Any],
    rows: Sequence[dict[str, Any]],
    settings: Mapping[str, Any],
    **more: Any,
) -> Trainer:
    """A quiet Trainer; *settings* are of its `TrainingArguments`, *more* its own arguments."""
    arguments = TrainingArguments(**(QUIET | dict(settings)), use_cpu=not torch.cuda.is_available())
    return GroupedTrainer(
        model=model, args=arguments, train_dataset=list(rows), data_collator=collate, **more
    )


def padded(tokenizer: Any) -> Callable[[Any], Any]:
    """Pads each batch to its longest text."""
    return DataCollatorWithPadding(tokenizer)


def warm_up(
    model: Any, collate: Callable[[Any], Any], rows: Sequence[dict[str, Any]], **settings: Any
) -> None:
    """`N_WARM` steps on the longest *rows* with a rate of 0, so that the model is as before."""
    size = settings.get("per_device_train_batch_size", 8)
    longest = sorted(rows, key=lambda row: -len(row["input_ids"]))[: N_WARM * size]
    quiet = settings | {"learning_rate": 0.0, "weight_decay": 0.0, "num_train_epochs": 1}
    with tempfile.TemporaryDirectory() as folder:
        trainer_of(model, collate, longest, {"output_dir": folder} | quiet).train()


def seconds_of_epoch(
    model: Any, collate: Callable[[Any], Any], rows: Sequence[dict[str, Any]], **settings: Any
) -> float:
    """Seconds of one epoch of Trainer over *rows*, fetching and padding included; warmed up."""
    warm_up(model, collate, rows, **settings)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        once = settings | {"num_train_epochs": 1, "output_dir": folder}
        trainer_of(model, collate, rows, once, callbacks=[clock]).train()
    return sum(clock.epochs_s)


def n_tokens(rows: Sequence[dict[str, Any]]) -> int:
    """Real tokens of all rows."""
    return sum(len(row["input_ids"]) for row in rows)
