"""What is worth searching, by the way of tuning and the model, where nobody says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tailorbird.config import Settings
from tailorbird.search.space import Dimension, value_of
from tailorbird.tuning import TuningPlan

RATE_SPAN = 4.0
"""The rate is searched from a fourth of the plan's to four times as much."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a space and a pruner depend on, of the model and of the plan for its rows."""

    method: str
    learning_rate: float
    batch_size: int
    n_epochs: int
    n_layers: int
    """That can be frozen; 0 where none can."""
    has_classes: bool
    """Whether the loss is a cross-entropy between classes, which can be smoothed."""
    n_frozen: int = 0
    """Of the plan."""
    max_tokens: int = 0
    """Where texts are cut; 0: where the backbone does."""


def facts_of(plan: TuningPlan, *, n_layers: int, has_classes: bool, max_tokens: int) -> Facts:
    """The facts of a plan."""
    return Facts(
        method=plan.method.name,
        learning_rate=plan.learning_rate,
        batch_size=plan.batch_size,
        n_epochs=plan.n_epochs,
        n_layers=n_layers,
        has_classes=has_classes,
        n_frozen=plan.n_frozen,
        max_tokens=max_tokens,
    )


def default_space(facts: Facts, settings: Settings) -> tuple[tuple[Dimension, ...], list[str]]:
    """The dimensions to search, and one sentence for each; a setting that is set stays.

    >>> facts = Facts("lora", 2e-3, 64, 3, 6, True)
    >>> [str(dimension) for dimension in default_space(facts, Settings())[0]][:2]
    ['tuning.learning_rate=0.0005..0.008:log', 'tuning.batch_size=32,64,128']
    """
    plain, space, reasons = Settings(), [], []
    for dimension, reason in _proposals(facts):
        is_set = value_of(settings, dimension.key) != value_of(plain, dimension.key)
        if is_set:
            reasons.append(f"not searched: {dimension.key} (as set)")
        else:
            space.append(dimension)
            reasons.append(f"search: {dimension} ({reason})")
    return tuple(space), reasons


def start_values(space: Sequence[Dimension], facts: Facts, settings: Settings) -> dict[str, object]:
    """What a run without a search would take, of each setting that may have that value.

    >>> facts = Facts("lora", 2e-3, 64, 3, 6, True)
    >>> start_values([Dimension("method.rank", 2, 16)], facts, Settings())
    {'method.rank': 8}
    """
    planned = {
        "tuning.learning_rate": facts.learning_rate,
        "tuning.batch_size": facts.batch_size,
        "tuning.n_epochs": facts.n_epochs,
        "method.name": facts.method,
        "model.freeze_layers": facts.n_frozen,
    }
    values: dict[str, object] = {}
    for dimension in space:
        value = value_of(settings, dimension.key)
        if dimension.key in planned and value in (0, "auto", "default"):
            value = planned[dimension.key]
        if dimension.contains(value):
            values[dimension.key] = value
    return values


def _proposals(facts: Facts) -> Iterator[tuple[Dimension, str]]:
    rate, batch = facts.learning_rate, facts.batch_size
    low, high = (float(f"{value:.2g}") for value in (rate / RATE_SPAN, rate * RATE_SPAN))
    yield (
        Dimension("tuning.learning_rate", low, high, is_log=True),
        f"four times less to four times more than the {rate:g} of the plan",
    )
    yield (
        Dimension("tuning.batch_size", choices=(max(1, batch // 2), batch, batch * 2)),
        f"half and twice the {batch} of the plan",
    )
    yield from _of_the_method(facts)
    if facts.n_layers > 1 and facts.method not in {"head", "prompt"}:
        deepest = facts.n_layers - 1 if facts.method == "full" else facts.n_layers * 2 // 3
        yield (
            Dimension("model.freeze_layers", 0, deepest),
            f"of {facts.n_layers} layers; trials above equally many share their states",
        )
    if facts.has_classes:
        yield (
            Dimension("loss.label_smoothing", 0.0, 0.2),
            "classes; more than a fifth of the mass says little",
        )


def _of_the_method(facts: Facts) -> Iterator[tuple[Dimension, str]]:
    method = facts.method
    if method in {"lora", "adalora"}:
        yield (
            Dimension("method.rank", choices=(4, 8, 16, 32)),
            "the size of an adapter; alpha is left alone, it acts as the rate does",
        )
        yield Dimension("method.dropout", 0.0, 0.2), "keeps large adapters from learning by heart"
    elif method == "bottleneck":
        yield Dimension("method.width", choices=(16, 32, 64, 128)), "the size of an adapter"
        yield Dimension("method.dropout", 0.0, 0.2), "keeps large adapters from learning by heart"
    elif method in {"prefix", "prompt"}:
        yield Dimension("method.n_prefix", choices=(8, 16, 32)), "the size of an adapter"
    elif method in {"full", "head"}:
        yield (
            Dimension("optimizer.weight_decay", 1e-3, 1e-1, is_log=True),
            "what holds weights back where all of them move",
        )
