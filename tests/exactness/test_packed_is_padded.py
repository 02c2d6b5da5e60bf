"""The loss of a packed batch is that of transformers on the padded one, gradients too.

States and gradients of each architecture are compared in ``tests/modeling``; here are whole losses:
of pairs, whose second text has a type of its own, and of conversations, whose answers alone count.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from tailorbird.tuning import TuningRun
from tailorbird.tuning.gradients import add_gradients

IGNORED = -100


def gradients_of(run: TuningRun, rows: Any) -> tuple[float, dict[str, torch.Tensor]]:
    run.model.eval()
    loss, _ = add_gradients(run, rows, list(range(len(rows))))
    named = run.model.backbone.named_parameters()
    return loss, {
        run.model.backbone.hub_name(name): p.grad.to_dense()
        for name, p in named
        if p.grad is not None
    }


def assert_equal(ours: dict[str, torch.Tensor], reference: torch.nn.Module) -> None:
    theirs = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    assert ours.keys() <= theirs.keys()
    for name, found in ours.items():
        expected = theirs[name]
        if expected.norm() < 1e-5:  # softmax ignores the bias of keys: the true gradient is 0
            assert found.norm() < 1e-4, name
        else:
            assert (found - expected).norm() / expected.norm() < 1e-4, name


def test_pairs_have_the_loss_of_the_padded_original(
    run_of: Callable[..., TuningRun], rows_of: Callable[[TuningRun], Any], folders: dict[str, Path]
) -> None:
    run = run_of("pairs", "full")
    rows = rows_of(run)
    assert rows.tokens.types is not None
    loss, ours = gradients_of(run, rows)

    reference = AutoModel.from_pretrained(folders["pairs"], add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(folders["pairs"])
    batch = rows.batch(range(len(rows)))
    longest = batch.max_length
    padded = {
        name: torch.zeros(len(rows), longest, dtype=torch.int64)
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    padded["input_ids"][:] = tokenizer.pad_token_id
    values = (batch.token_ids, batch.types, torch.ones_like(batch.token_ids))
    for tensor, value in zip(padded.values(), values, strict=True):
        tensor[batch.rows, batch.positions] = value
    states = reference(**padded).last_hidden_state
    mask = padded["attention_mask"][..., None]
    pooled = (states * mask).sum(1) / mask.sum(1)
    expected = F.cross_entropy(run.model.head(pooled), rows.targets)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    assert_equal(ours, reference)


def test_conversations_have_the_loss_of_transformers_on_answers_alone(
    run_of: Callable[..., TuningRun], rows_of: Callable[[TuningRun], Any], folders: dict[str, Path]
) -> None:
    run = run_of("dialogue", "full")
    rows = rows_of(run)
    loss, ours = gradients_of(run, rows)

    batch = rows.batch(range(len(rows)))
    ids = torch.zeros(len(rows), batch.max_length, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    ids[batch.rows, batch.positions] = batch.token_ids
    mask[batch.rows, batch.positions] = 1
    labels[batch.rows[batch.picked], batch.positions[batch.picked] + 1] = rows.targets
    assert ((labels == ids) | (labels == IGNORED)).all()  # what is learned is what stands there
    reference = AutoModelForCausalLM.from_pretrained(folders["dialogue"])
    expected = reference(input_ids=ids, attention_mask=mask, labels=labels).loss
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    assert_equal(ours, reference)
