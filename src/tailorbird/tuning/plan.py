"""Defaults by model and data, each with its reason; what the user set is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import torch

from tailorbird.config import (
    LossSettings,
    MethodSettings,
    ModelSettings,
    OptimizerSettings,
    Settings,
    TuningSettings,
)
from tailorbird.data.batching import MEGA_BATCHES, epoch_batches
from tailorbird.errors import ConfigError
from tailorbird.hardware import compute_dtype, gpu_gib, quick_dtype
from tailorbird.modeling import TextModel, adapters
from tailorbird.modeling.heads import LANGUAGE
from tailorbird.tuning.optimizers import RATE_FACTORS
from tailorbird.tuning.tasks import TASKS

LANGUAGE_TOKENS = 2048
"""Tokens of a language model computed at once: what its many layers keep of them takes memory."""

MOST_LANGUAGE_TOKENS = 16_384
"""The same on a GPU that has room: starting small products there takes longer than the products."""

MOST_COMPARED = 64
"""Rows of a batch that are each other's wrong answers, by default: more of them tell more, and few
rows need some updates an epoch."""

ENOUGH_COMPARED = 1000
"""Fewer rows that are compared want a lower rate: more epochs learn them by heart."""

HEAD_RATE_FACTOR = 2.0
"""The head is new where the backbone is not: it may move faster."""


class _Size(NamedTuple):
    n_rows: int
    batch_size: int
    n_epochs: int


_SIZES = (
    _Size(30_000, 64, 1),
    _Size(4000, 64, 3),
    _Size(1000, 32, 4),
    _Size(200, 16, 6),
    _Size(0, 8, 10),
)
"""Few rows need small batches and more passes to get a few hundred updates."""


def bits_factor(bits: float) -> float:
    """What a truth of few bits leaves of the rate: its share of four bits.

    Telling good from bad asks less of a pretrained model than telling 77 intents apart, and at the
    same rate such runs fit their few rows by heart: on 1,200 film reviews, 4e-5 to 1e-4 gave the
    lowest validation loss, on 77 intents 2.5e-4 to 5e-4.

    >>> [bits_factor(bits) for bits in (1, 2, 4, 6.3)]
    [0.25, 0.5, 1.0, 1.0]
    """
    return min(1.0, bits / 4)


def check_way(method: MethodSettings) -> None:
    """Raise ConfigError where *method* names no way of tuning."""
    if method.name not in ("auto", *adapters.METHODS):
        raise ConfigError(
            f"method.name = {method.name!r} is no way of tuning",
            cure=f"use one of auto, {', '.join(adapters.METHODS)}",
        )


def _way(model: TextModel, method: MethodSettings) -> adapters.Method:
    """The way of tuning that is asked for, where there is one and it tunes anything."""
    check_way(method)
    way = adapters.METHODS[method.name]
    if way.freezes_all and not any(True for _ in model.head.parameters()):
        raise ConfigError(
            f"method {method.name} tunes the head alone, and the task {model.spec.task} has none "
            "to tune",
            cure="use method.name=lora, or full",
        )
    return way


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """Every number of a tuning run, decided."""

    n_epochs: int
    batch_size: int
    learning_rate: float
    head_rate: float
    n_frozen: int
    freeze_words: bool
    encoder_dropout: float
    dtype: torch.dtype
    settings: TuningSettings
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    method: MethodSettings = field(default_factory=lambda: MethodSettings(name="full"))
    mixes_lengths: bool = False
    """Whether short and long texts share a batch. Where rows are compared they do: a batch has the
    wrong passages of each query, and those it meets later are of any length."""

    def batches(self, lengths: Sequence[int], epoch: int) -> list[list[int]]:
        """The rows of each update of one epoch; *lengths* are their tokens."""
        return epoch_batches(
            lengths,
            self.batch_size,
            seed=self.settings.seed,
            epoch=epoch,
            batch_tokens=self.settings.batch_tokens,
            mega_batches=1 if self.mixes_lengths else MEGA_BATCHES,
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, for checkpoints and reports."""
        return asdict(self) | {"dtype": str(self.dtype).removeprefix("torch.")}

    def settings_of(self, model: TextModel, settings: ModelSettings) -> dict[str, Any]:
        """What a report says of *model* that was tuned so: JSON-ready, decided where it can be."""
        decided = {"pooling": model.pooling, "method": self.method.name}
        return asdict(settings) | self.to_json() | decided | {"answers_in": model.asked_in}


def plan_tuning(
    model: TextModel,
    n_rows: int,
    settings: Settings,
    *,
    dtype_before: str = "",
    frozen: tuple[int, str] | None = None,
) -> tuple[TuningPlan, list[str]]:
    """The plan for *n_rows* training rows, and one sentence for each decision.

    A run that goes on keeps the compute type it had, *dtype_before*, where it is chosen by timing.
    *frozen* is how many layers a search has found best to freeze (`freeze_search`), and why.
    """
    _check_loss(settings.loss)
    tuning, optimizer = settings.tuning, settings.optimizer
    method, why_method = chosen_method(model, settings.method)
    way = _way(model, method)
    n_frozen, why = frozen or frozen_layers(model, method, settings.model.freeze_layers)
    decisions = [f"method: {method.name} ({why_method})", f"frozen layers: {n_frozen} ({why})"]
    n_words = int(model.backbone.config.get("vocab_size", 0))
    freeze_words = n_frozen > 0 or n_words > 100_000 or method.name != "full"
    if freeze_words:
        decisions.append(f"word table: as pretrained ({n_words:,} rows, most never seen here)")

    def decide(name: str, wanted: float, default: float, reason: str) -> float:
        value = wanted or default
        decisions.append(f"{name}: {value:g} ({'as set' if wanted else reason})")
        return value

    size = next(row for row in _SIZES if n_rows >= row.n_rows)
    compares = TASKS[model.spec.task].compares_rows
    n_default, why_size = _batch_size(size, n_rows, compares=compares)
    batch_size = int(decide("batch size", tuning.batch_size, n_default, why_size))
    if tuning.batch_tokens:
        decisions.append(f"updates: of about {tuning.batch_tokens:,} tokens each (as set)")
    most = f"at most; {n_rows:,} rows, stops early"
    n_epochs = int(decide("epochs", tuning.n_epochs, size.n_epochs, most))
    default, reason = _rate(model, way, optimizer.name, batch_size, n_rows)
    rate = decide("learning rate", tuning.learning_rate, default, reason)
    if model.spec.name == LANGUAGE:
        n_tokens, why = language_tokens(gpu_gib() if model.device.type == "cuda" else 0.0)
        why = f"{model.backbone.n_layers} layers keep what they made of each token{why}"
        n_tokens = decide("micro-batch tokens", tuning.micro_batch_tokens, n_tokens, why)
        tuning = replace(tuning, micro_batch_tokens=int(n_tokens))
    dtype, why = _dtype(tuning.dtype, model.device.type, dtype_before)
    decisions += [why, "answers in: {} ({})".format(*answers_in(model, dtype))]
    plan = TuningPlan(
        n_epochs=n_epochs,
        batch_size=batch_size,
        learning_rate=rate,
        head_rate=rate if way.freezes_all else rate * HEAD_RATE_FACTOR / way.rate_factor,
        n_frozen=n_frozen,
        freeze_words=freeze_words,
        encoder_dropout=settings.model.encoder_dropout,
        dtype=dtype,
        settings=tuning,
        optimizer=optimizer,
        loss=settings.loss,
        method=method,
        mixes_lengths=compares,
    )
    return plan, decisions


def _batch_size(size: _Size, n_rows: int, *, compares: bool) -> tuple[int, str]:
    """Rows of an update, and why; *compares*: they are each other's wrong answers."""
    reason = f"{n_rows:,} training rows"
    if not compares:
        return size.batch_size, reason
    n = max(size.batch_size, min(MOST_COMPARED, n_rows // 4))
    return n, f"{reason}, each compared with the others of its batch"


def _check_loss(loss: LossSettings) -> None:
    if loss.name == "focal" and loss.label_smoothing:
        raise ConfigError(
            f"loss.label_smoothing = {loss.label_smoothing:g} has no meaning for the focal loss",
            cure="set it to 0, or loss.name=cross_entropy",
        )


def chosen_method(model: TextModel, method: MethodSettings) -> tuple[MethodSettings, str]:
    """The way of tuning, chosen by the kind of model where none is set, and why."""
    if method.name != "auto":
        return method, "as set"
    if model.spec.name == LANGUAGE:
        return replace(method, name="lora"), "a language model keeps what it knows, and fits memory"
    return replace(method, name="full"), "an encoder of this size is tuned best as a whole"


def _rate(
    model: TextModel, way: adapters.Method, rule: str, batch_size: int, n_rows: int
) -> tuple[float, str]:
    """The peak rate by depth, batch, task, way of tuning, optimizer and rows, and why."""
    n_layers = model.backbone.n_layers
    depth_factor = (6 / max(1, n_layers)) ** 0.5 if n_layers > 6 else 1.0
    bits, truths = TASKS[model.spec.task].bits(model)
    rate = 4e-4 * (batch_size / 64) ** 0.5 * depth_factor * bits_factor(bits)
    if TASKS[model.spec.task].compares_rows and n_rows < ENOUGH_COMPARED:
        factor = (n_rows / ENOUGH_COMPARED) ** 0.5
        rate *= factor
        truths += f"; few rows, {factor:.2g} times that"
    rule_factor = RATE_FACTORS[rule]
    reason = (
        f"4e-4 for 6 layers, batches of 64 and 16 labels or more; here {n_layers} layers, "
        f"batches of {batch_size}, {truths}"
        + (f", {rule_factor:g} times AdamW's for {rule}" if rule_factor != 1 else "")
        + (f"; {way.rate_factor:g} times that: {way.rate_reason}" if way.rate_factor != 1 else "")
    )
    return rule_factor * way.rate_factor * float(f"{rate:.1g}"), reason


def language_tokens(gpu_gib: float) -> tuple[float, str]:
    """How many tokens of a language model are computed at once on a GPU of *gpu_gib*, and why.

    >>> language_tokens(0.0)  # none
    (2048, '')
    >>> language_tokens(24.0)
    (12288, ', GPU of 24 GiB')
    """
    if not gpu_gib:
        return LANGUAGE_TOKENS, ""
    n_tokens = LANGUAGE_TOKENS * max(1, int(gpu_gib) // 4)
    return min(MOST_LANGUAGE_TOKENS, n_tokens), f", GPU of {gpu_gib:.0f} GiB"


def answers_in(model: TextModel, dtype: torch.dtype) -> tuple[str, str]:
    """The type that *model*, tuned in *dtype*, is asked in once it is saved, and why."""
    if model.asked_in != "auto":
        return model.asked_in, "as set"
    if model.spec.name == LANGUAGE:
        return "float32", "a word at a time gains nothing by bfloat16"
    if not model.backbone.can_freeze:
        return "float32", "AutoModel computes in it"
    tuned_in = str(dtype).removeprefix("torch.")
    name = str(quick_dtype(tuned_in)).removeprefix("torch.")
    return name, "as it is tuned" if name == tuned_in else f"{tuned_in} is not quick here"


def _dtype(wanted: str, device: str, before: str) -> tuple[torch.dtype, str]:
    """The type that products run in, and why."""
    if before and wanted == "auto":
        dtype: torch.dtype = getattr(torch, before)
        return dtype, f"compute type: {before} (as before)"
    return compute_dtype(wanted, device)


def frozen_layers(model: TextModel, method: MethodSettings, wanted: int | str) -> tuple[int, str]:
    """How many of the lowest layers stay as pretrained, and why.

    Raises ConfigError where the backbone has fewer than *wanted*.
    """
    n_layers = model.backbone.n_layers
    if adapters.METHODS[method.name].freezes_all:
        n_frozen = n_layers if model.backbone.can_freeze else 0
        return n_frozen, f"method {method.name} tunes no layer"
    if isinstance(wanted, int) and wanted >= 0:
        if model.backbone.can_freeze and wanted > n_layers:
            raise ConfigError(
                f"model.freeze_layers = {wanted}, and the backbone has {n_layers} layers",
                cure=f"set 0 to {n_layers}, default or auto",
            )
        return wanted, "as set"
    if model.backbone.can_freeze and n_layers > 6:  # default; -1 in runs from before it had a name
        if TASKS[model.spec.task].compares_rows:
            why = f"the lower third of {n_layers} layers; texts that are compared want the others"
            return n_layers // 3, why
        why = f"the lower half of {n_layers} layers holds general language; two thirds of the time"
        return n_layers // 2, why
    return 0, f"all {n_layers} layers are tuned: the model is small"
