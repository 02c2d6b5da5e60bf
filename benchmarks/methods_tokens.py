"""Token classification in `benchmarks.methods`: the spans of CLUENER, ours and PEFT's.

Both sides take the very same tokens, words and tags, and spans are found and counted by the same
function, so that only the training differs. The peer is what the documentation of transformers
does: a linear head on the state of each word's first token, all other tokens left out of the loss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import ours
from benchmarks.chat_rows import IGNORED, padded
from benchmarks.sets import Rows
from tailorbird.records import Example, Span
from tailorbird.tuning import TuningRun
from tailorbird.tuning.tasks import TASKS, EncodedExamples, encode_examples

if TYPE_CHECKING:
    from benchmarks.methods_cells import Cell, Task

TOKENS = TASKS["token_classification"]


def examples(rows: Rows) -> list[Example]:
    """The rows as our training items."""
    return [
        Example(text, spans=tuple(Span(*span) for span in spans))
        for text, spans in zip(rows.texts, rows.targets, strict=True)
    ]


def labels_of(*parts: Rows) -> list[str]:
    """The tags of all labels that a span has."""
    return TOKENS.labels([example for part in parts for example in examples(part)])


def run_ours(cell: Cell, task: Task) -> dict[str, Any]:
    """Our side."""
    from benchmarks.methods_cells import planned_rate, settings_for

    settings = settings_for(cell, planned_rate(cell, task)[0] * cell.factor)
    model, plan = task.model_and_plan(settings)
    prepared = ours.Prepared(TuningRun(model, plan), encode_examples(model, examples(task.train)))
    start = time.perf_counter()
    prepared = ours.with_trunk(prepared)
    train_s = time.perf_counter() - start + sum(ours.epochs(prepared, cell.n_epochs))

    def f1(part: Rows) -> float:
        _, scores = TOKENS.measure(model, encode_examples(model, examples(part)), TOKENS)
        return scores["span_f1"]

    return {
        "validation": f1(task.validation),
        "test": f1(task.test) if cell.seed else None,
        "trainable": ours.n_trainable(model),
        "train_s": train_s,
    }


def run_peer(cell: Cell, task: Task) -> dict[str, Any]:
    """Trainer's or PEFT's side."""
    from benchmarks import peers
    from benchmarks.methods_cells import adapted_peer, planned_rate, settings_for
    from benchmarks.trainer import load_tokenizer

    rate, head_rate = planned_rate(cell, task)
    reader, _ = task.model_and_plan(settings_for(cell))  # only reads: words, tags and scores
    rows = as_rows(encode_examples(reader, examples(task.train)))
    pad_id = load_tokenizer(str(task.folder.path)).pad_token_id

    def collate(batch: Sequence[Any]) -> dict[str, Tensor]:
        return {name: torch.tensor(lists) for name, lists in padded(batch, pad_id).items()}

    backbone, callbacks, penalty = adapted_peer(cell, task, n_rows=len(rows))
    model = Tagger(backbone, len(task.labels))
    model.penalty = penalty
    how = peers.PeerFit(
        cell.n_epochs, rate * cell.factor, head_rate, seed=cell.seed, callbacks=callbacks
    )
    clock = peers.fit(model, collate, rows, how)

    def f1(part: Rows) -> float:
        encoded = encode_examples(reader, examples(part))
        outputs = tag_logits(model, collate, as_rows(encoded), bf16=how.bf16)
        return TOKENS.scores(outputs, encoded.truth(range(len(encoded))), reader)["span_f1"]

    return {
        "validation": f1(task.validation),
        "test": f1(task.test) if cell.seed else None,
        "trainable": ours.n_trainable(model),
        "train_s": sum(clock.epochs_s),
    }


def as_rows(encoded: EncodedExamples) -> list[dict[str, list[int]]]:
    """Our encoding as Trainer takes it: a tag at each word's first token, else `IGNORED`."""
    tokens = encoded.tokens
    assert tokens.picked is not None  # the task looks at words
    tags = torch.full((len(tokens.flat),), IGNORED)
    tags[tokens.picked] = encoded.targets[:, 0]
    ends = tokens.offsets.tolist()
    return [
        {"input_ids": tokens.flat[a:b].tolist(), "labels": tags[a:b].tolist()}
        for a, b in pairwise(ends)
    ]


class Tagger(nn.Module):
    """Logits (B, L, C) of each token's tag, and the mean cross-entropy over words."""

    def __init__(self, backbone: Any, n_tags: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = backbone.config
        self.penalty: Any = None
        self.dropout = dropout
        self.scale = self.config.hidden_size**0.5
        self.head = nn.Linear(self.config.hidden_size, n_tags)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The head has the form of ours: directions only, brought to entries of about one."""
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        own = states.last_hidden_state[:, -input_ids.shape[1] :]  # a prompt's rows come first
        z = self.scale * F.normalize(own.float(), dim=-1)
        logits = self.head(F.dropout(z, self.dropout, self.training))
        if labels is None:
            return {"logits": logits}
        loss = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
        loss = loss if self.penalty is None else loss + self.penalty()
        return {"loss": loss, "logits": logits}


@torch.no_grad()
def tag_logits(
    model: nn.Module, collate: Any, rows: Sequence[dict[str, list[int]]], *, bf16: bool
) -> Tensor:
    """(all words, C) logits in the order of *rows*, computed in batches of like length."""
    model.eval()
    found: dict[int, Tensor] = {}
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        batch = {name: x.to(ours.DEVICE) for name, x in collate([rows[i] for i in part]).items()}
        labels = batch.pop("labels")
        with torch.autocast(ours.DEVICE, torch.bfloat16, enabled=bf16):
            logits = model(**batch)["logits"].float().cpu()
        labels = labels.cpu()
        found |= {i: logits[k][labels[k] != IGNORED] for k, i in enumerate(part)}
    return torch.cat([found[i] for i in range(len(rows))])
