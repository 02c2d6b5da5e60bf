"""Our side of the chat benchmarks: a packed decoder with LoRA, tuned on the answers alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks import ours
from benchmarks.chat_peer import Recipe
from benchmarks.chat_rows import ChatRow
from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.tuning import TuningRun
from tailorbird.tuning.tasks import TASKS, EncodedExamples

TASK = "dialogue"


def encode(rows: Sequence[ChatRow]) -> EncodedExamples:
    """The very tokens of the peer: an answer's token is the target of the state before it."""
    ids = [row.input_ids for row in rows]
    picked = [[*row.is_answer[1:], False] for row in rows]
    targets = [
        token
        for row in rows
        for token, said in zip(row.input_ids[1:], row.is_answer[1:], strict=True)
        if said
    ]
    return EncodedExamples(TokenizedTexts.from_lists(ids, picked=picked), torch.tensor(targets))


def prepare(
    rows: Sequence[ChatRow], folder: Any, how: Recipe, *, device: str = ours.DEVICE
) -> ours.Prepared:
    """The model of *folder* with LoRA on all linear layers, and *rows* as its task has them.

    Ends the program where this version has no task for dialogues.
    """
    if TASK not in TASKS:
        sys.exit(f"this version has no task {TASK!r}, so our side cannot run")
    settings = Settings(
        model=ModelSettings(freeze_layers=0),
        method=MethodSettings(name="lora", rank=how.rank, alpha=how.alpha),
        tuning=TuningSettings(
            n_epochs=how.n_epochs,
            batch_size=how.batch_size,
            learning_rate=how.rate,
            patience=0,
        ),
    )
    model, plan = ours.model_and_plan(
        len(rows), [], folder, settings, spec=TASKS[TASK].spec, device=device
    )
    model.head.requires_grad_(False)  # an untied head stays as pretrained, as PEFT leaves it
    return ours.Prepared(TuningRun(model, plan), encode(rows))


def nll(prepared: ours.Prepared, rows: Sequence[ChatRow]) -> float:
    """Mean negative log-likelihood of an answer's token, in nats: the plain loss of the task."""
    task = prepared.run.task
    loss, _ = task.measure(prepared.model, encode(rows), task)
    return loss
