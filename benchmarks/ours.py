"""Our side of the benchmarks: a model, a plan and its updates, through the functions of a build.

The clock counts what the peer's does: making the batches (packed rather than padded) and the
updates; tokenising, loading and building the optimizer are outside.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.sets import Rows
from tailorbird.config import Settings
from tailorbird.data.batching import epoch_batches
from tailorbird.modeling import TextModel, build_model
from tailorbird.modeling.heads import HeadSpec
from tailorbird.records import Example
from tailorbird.tuning import TuningPlan, TuningRun, plan_tuning
from tailorbird.tuning.loop import update
from tailorbird.tuning.optimizers import set_rates
from tailorbird.tuning.schedules import rate_factor
from tailorbird.tuning.tasks import EncodedExamples, encode_examples
from tailorbird.weights import resolve_backbone

N_WARM = 3
"""Updates before the clock: the first ones allocate."""

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Where both sides compute: Trainer takes a GPU where there is one, and so do we."""


def backbone(name: str) -> Any:
    """A backbone, embedded ones unpacked where nothing else looks."""
    return resolve_backbone(name, cache=Path(tempfile.gettempdir()) / "tailorbird-benchmarks")


def examples(rows: Rows) -> list[Example]:
    """The rows as our training items."""
    return [Example(text, label) for text, label in zip(rows.texts, rows.targets, strict=True)]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run before its first update, and its rows."""

    run: TuningRun
    train: EncodedExamples

    @property
    def model(self) -> TextModel:
        """What is tuned."""
        return self.run.model


def prepare(
    train: Rows, labels: Sequence[str], folder: Any, settings: Settings, *, max_tokens: int = 64
) -> Prepared:
    """Load, plan and encode as a build does: head from features, dropout and rates as planned.

    Args:
        train: the training rows.
        labels: of the head, in order.
        folder: what `backbone` returned.
        settings: sections model, method, tuning, optimizer and loss are read.
        max_tokens: longer texts are cut.
    """
    model, plan = model_and_plan(len(train), labels, folder, settings, max_tokens=max_tokens)
    run = TuningRun(model, plan)
    rows = encode_examples(model, examples(train))
    if settings.model.init_head == "features":
        run.start_head(rows)
    return Prepared(run, rows)


def model_and_plan(
    n_rows: int,
    labels: Sequence[str],
    folder: Any,
    settings: Settings,
    *,
    max_tokens: int = 64,
    spec: HeadSpec | None = None,
    device: str = DEVICE,
) -> tuple[TextModel, TuningPlan]:
    """A new model and the plan of *settings* for *n_rows* training rows.

    The rest is as `build_model` takes it, but for *device*, where the model is put.
    """
    torch.manual_seed(settings.tuning.seed)
    model = build_model(folder, labels, settings=settings.model, spec=spec, max_tokens=max_tokens)
    model.to(device)
    plan, _ = plan_tuning(model, n_rows, settings)
    return model, plan


def n_trainable(model: torch.nn.Module) -> int:
    """Parameters that change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def n_layer_weights(model: TextModel) -> int:
    """Weights of the layers' matrices: what most operations of a step are with."""
    layers: Any = model.backbone.layers
    return sum(p.numel() for p in layers.parameters() if p.ndim > 1)


def warm_up(prepared: Prepared, *, n_updates: int = N_WARM) -> None:
    """Updates on the longest rows with a rate of 0, after which counters are as they were."""
    run, rows = prepared.run, prepared.train
    rates = [[group["lr"] for group in o.param_groups] for o in run.optimizers]
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 0.0
    lengths = rows.lengths
    order = sorted(range(len(rows)), key=lengths.__getitem__, reverse=True)
    size = run.plan.batch_size
    for k in range(n_updates):
        batch = order[k * size : (k + 1) * size]
        if batch:
            update(run, rows, batch)
    for optimizer, saved in zip(run.optimizers, rates, strict=True):
        for group, rate in zip(optimizer.param_groups, saved, strict=True):
            group["lr"] = rate
    run.step = run.n_tokens = 0
    run.elapsed_s = 0.0
    run.losses.clear()


def epoch_s(prepared: Prepared, *, epoch: int = 0) -> float:
    """Seconds of one epoch's batches and updates, at the rate that stands."""
    run, rows = prepared.run, prepared.train
    start = time.perf_counter()
    for batch in epoch_batches(rows.lengths, run.plan.batch_size, seed=0, epoch=epoch):
        update(run, rows, batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def epochs(prepared: Prepared, n_epochs: int) -> list[float]:
    """Seconds of each of *n_epochs* epochs, the rate along the plan's schedule."""
    run, rows = prepared.run, prepared.train
    lengths, plan = rows.lengths, prepared.run.plan
    n_epoch = len(epoch_batches(lengths, plan.batch_size, seed=plan.settings.seed, epoch=0))
    run.n_steps = n_epochs * n_epoch
    run.weigh_classes(rows)
    taken: list[float] = []
    for epoch in range(n_epochs):
        start = time.perf_counter()
        seed = plan.settings.seed
        for batch in epoch_batches(lengths, plan.batch_size, seed=seed, epoch=epoch):
            factor = rate_factor(
                plan.settings.schedule, run.step, run.n_steps, plan.settings.warmup_fraction
            )
            set_rates(run.optimizers, factor)
            update(run, rows, batch)
        taken.append(time.perf_counter() - start)
    return taken


def with_trunk(prepared: Prepared) -> Prepared:
    """The same with the states of the frozen layers, computed now."""
    return replace(prepared, train=prepared.run.with_trunk(prepared.train))


def n_layers(folder: Any) -> int:
    """Layers of the backbone in *folder*."""
    return int(json.loads((folder.path / "config.json").read_text())["num_hidden_layers"])


def n_tokens(rows: EncodedExamples) -> int:
    """Real tokens of all rows."""
    return sum(rows.lengths)


def accuracy(model: TextModel, rows: Rows) -> float:
    """Share of *rows* whose most likely label is theirs."""
    predicted = model.logits(rows.texts).argmax(-1).tolist()
    pairs = zip(predicted, rows.targets, strict=True)
    n_right: int = sum(model.labels[i] == label for i, label in pairs)
    return n_right / len(rows)


def largest_product(dtype: torch.dtype = torch.bfloat16, device: str = DEVICE) -> float:
    """GFLOP/s of the fastest of several products, the best of ten times each."""
    sizes = [(1024, 384, 1536), (2048, 1536, 384), (2048, 2048, 2048)]
    if device != "cpu":
        sizes = [(8192, 8192, 8192), (16384, 4096, 4096)]
    best = 0.0
    for m, k, n in sizes:
        a, b = (torch.randn(*shape, device=device).to(dtype) for shape in ((m, k), (n, k)))
        for _ in range(10):
            start = time.perf_counter()
            torch.nn.functional.linear(a, b)
            if device != "cpu":
                torch.cuda.synchronize()
            best = max(best, 2e-9 * m * k * n / (time.perf_counter() - start))
    return best
