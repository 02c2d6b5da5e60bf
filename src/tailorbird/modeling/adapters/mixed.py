"""A text model that answers many users at once, each with their own adapter and head.

Shape letters: N texts, B texts of a batch, D width, C classes, R rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from tailorbird.errors import WeightsError
from tailorbird.modeling.adapters.grouped import LoraGroup
from tailorbird.modeling.adapters.own_rows import OwnRows, without_rows
from tailorbird.modeling.adapters.segmented import arrange, own_linear
from tailorbird.modeling.adapters.weights import AdapterWeights, LoraFactors
from tailorbird.modeling.first_layer import first_layer
from tailorbird.modeling.heads import LinearHead
from tailorbird.modeling.packing import inference_batches


@dataclass(frozen=True, slots=True, eq=False)
class ReadyAdapter:
    """An adapter in memory of its own, known to fit the model it was made ready for."""

    hash: str
    factors: Mapping[str, LoraFactors]
    """By linear layer; scaled already. Empty where only the head was tuned."""
    head: Mapping[str, Tensor]
    """Empty: the model's own head."""
    labels: tuple[str, ...]
    facts: Mapping[str, Any]
    n_bytes: int
    rows: OwnRows | None = None
    """Of their user, heard beside what the head says."""

    @property
    def temperature(self) -> float:
        """What its logits are divided by; one that has rows says it."""
        return float(self.facts.get("temperature", 1.0))


_Run = tuple[ReadyAdapter | None, slice]
"""Texts of a batch that stand side by side and have the same adapter."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What texts with the same labels got."""

    labels: tuple[str, ...]
    at: list[int]  # which of the N texts
    rows: Tensor  # (len(at), C) fp32 logits; their softmax at the adapter's temperature is meant
    states: (
        Tensor  # (len(at), K, D) fp32, as TextModel.outputs gives them; NaN: an adapter made them
    )


@dataclass(slots=True)
class _Part:
    """What texts with the same labels got so far, run by run."""

    at: list[int] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)

    def outputs(self, labels: tuple[str, ...]) -> Outputs:
        """All of it, on the CPU."""
        return Outputs(labels, self.at, torch.cat(self.rows).cpu(), torch.cat(self.states).cpu())


@torch.no_grad()
def make_ready(model: Any, weights: AdapterWeights) -> ReadyAdapter:
    """Copy *weights* into memory, in the form in which `mixed_outputs` takes them.

    Raises ConfigError where they are of a kind that cannot share a batch, WeightsError where they
    do not fit *model*.
    """
    factors: dict[str, LoraFactors] = {}
    device = model.device
    plain, own = without_rows(weights)
    if plain.settings.name != "head":
        for place, one in plain.lora().items():
            a = one.a.to(device, copy=True)
            b = (one.scale * one.b.mT).contiguous().mT  # rows of the product side by side
            factors[place] = LoraFactors(a, b, 1.0)
    head = {name: tensor.to(device, copy=True) for name, tensor in weights.head.items()}
    labels = weights.labels or tuple(model.labels)
    _check(model, factors, head, len(labels))
    pooling = weights.facts.get("pooling", model.pooling)
    if pooling != model.pooling:
        raise WeightsError(
            f"an adapter of {pooling} pooling does not fit a model of {model.pooling} pooling",
            cure="personalise again",
        )
    if not head and labels != tuple(model.labels):
        raise WeightsError("an adapter has labels and no head for them", cure="personalise again")
    rows = _ready_rows(model, own, weights, len(labels))
    return ReadyAdapter(weights.hash, factors, head, labels, weights.facts, weights.n_bytes, rows)


def _ready_rows(
    model: Any, own: OwnRows | None, weights: AdapterWeights, n_labels: int
) -> OwnRows | None:
    """*own* in memory; WeightsError where they cannot be blended with what the head says."""
    if own is None:
        return None
    if "temperature" not in weights.facts:
        raise WeightsError("own rows stand beside no temperature", cure="personalise again")
    width = next(iter(model.head.state_dict().values())).shape[-1]
    is_whole = own.features.ndim == 2 and own.features.shape == (len(own.truth), width)
    if not is_whole or not bool(own.features.isfinite().all()):
        raise WeightsError("own rows have other features than the model", cure="personalise again")
    if own.truth.is_floating_point() or not bool((own.truth < n_labels).all()):
        raise WeightsError("own rows have classes that the head lacks", cure="personalise again")
    if not len(own.truth):
        return None
    features, truth, base = (
        one.to(model.device, copy=True) for one in (own.features, own.truth, own.base)
    )
    return OwnRows(features, truth, base, own.how)


def _check(
    model: Any, factors: Mapping[str, LoraFactors], head: Mapping[str, Tensor], n_labels: int
) -> None:
    """WeightsError where a tensor has no place in *model*, another shape or is not finite."""
    layers = dict(model.backbone.named_modules())
    for place, one in factors.items():
        layer, sizes = layers.get(place), (one.a.shape[1], one.b.shape[0])
        if layer is None or sizes != (layer.in_features, layer.out_features):
            raise WeightsError(f"an adapter does not fit {place}", cure="personalise again")
    own = model.head.state_dict()
    if head and head.keys() != own.keys():
        raise WeightsError("a head has other tensors than the model's", cure="personalise again")
    for name, tensor in head.items():
        rows = (n_labels,) if own[name].ndim else ()
        if tensor.shape != (*rows, *own[name].shape[1:]):
            raise WeightsError(
                f"a head's {name} is {tuple(tensor.shape)} for {n_labels} labels",
                cure="personalise again",
            )
    tensors = [*head.values(), *(side for one in factors.values() for side in (one.a, one.b))]
    largest = [one.abs().max() for one in tensors if one.numel()]  # NaN where one of them is
    if largest and not bool(torch.stack(largest).isfinite().all()):
        raise WeightsError("an adapter holds numbers that are none", cure="personalise again")


@torch.inference_mode()
def mixed_outputs(
    model: Any, texts: Sequence[str], adapters: Sequence[ReadyAdapter | None]
) -> list[Outputs]:
    """What each text gets from the adapter and head of its own, None being the model's.

    All share the passes through the backbone; nothing of one reaches another. Heads with the same
    labels come as one `Outputs`.

    Args:
        model: a TextModel.
        texts: N.
        adapters: one a text.
    """
    tokens = model.tokenizer(texts)
    distinct: dict[int, ReadyAdapter] = {id(one): one for one in adapters if one is not None}
    used = list(distinct.values())
    numbers = {id(one): number for number, one in enumerate(used)}
    owners = [numbers.get(id(one), -1) for one in adapters]  # (N,)
    group, lengths = LoraGroup(model.backbone), tokens.lengths
    parts: dict[tuple[str, ...], _Part] = {}
    was_training = model.training
    model.eval()
    try:
        for indices in inference_batches(lengths):
            order = arrange([lengths[i] for i in indices], [owners[i] for i in indices])
            chosen = [indices[place] for place in order]
            batch = tokens.take(chosen).to(model.device)
            here = torch.tensor([owners[i] for i in chosen])
            present = sorted({owners[i] for i in chosen} - {-1})
            places = torch.full((len(used) + 1,), -1)
            places[present] = torch.arange(len(present))
            with (
                group.using([used[n].factors for n in present], batch, places[here]),
                first_layer(model.backbone, batch) as first,
            ):
                pooled = model.pool(batch)  # (B, D)
            near = _near_states(model, tokens, chosen, adapters, pooled)
            states = torch.stack([pooled, *first], 1)  # (B, K, D)
            _add_heads(model, (pooled, near, states), [adapters[i] for i in chosen], chosen, parts)
    finally:
        model.train(was_training)
    return [part.outputs(labels) for labels, part in parts.items()]


def _near_states(
    model: Any,
    tokens: Any,
    chosen: Sequence[int],
    adapters: Sequence[ReadyAdapter | None],
    pooled: Tensor,
) -> Tensor:
    """(B, D) states by which own rows are near or far: the trunk's, whatever adapter answers."""
    at = [
        place
        for place, text in enumerate(chosen)
        if (one := adapters[text]) is not None and one.rows is not None and one.factors
    ]
    if not at:
        return pooled
    near = pooled.clone()
    near[at] = model.pool(tokens.take([chosen[place] for place in at]).to(model.device))
    return near


def _shared_states(adapters: Sequence[ReadyAdapter | None], states: Tensor) -> Tensor:
    """(B, K, D) in fp32; NaN where an adapter inside of the network had its part in them."""
    has_part = [one is not None and bool(one.factors) for one in adapters]
    return states.float().masked_fill(
        torch.tensor(has_part).to(states.device)[:, None, None], torch.nan
    )


def _with_rows(adapter: ReadyAdapter, logits: Tensor, near: Tensor) -> Tensor:
    """(B, C) logits and (B, D) states → (B, C) logits of the answer blended with own rows."""
    if adapter.rows is None:
        return logits
    base = (logits.double() / adapter.temperature).softmax(-1)
    return adapter.rows.probs(near, base).clamp(min=1e-12).log() * adapter.temperature


def _add_heads(
    model: Any,
    states: tuple[Tensor, Tensor, Tensor],
    adapters: Sequence[ReadyAdapter | None],
    at: Sequence[int],
    parts: dict[tuple[str, ...], _Part],
) -> None:
    """Put the outputs of each run of texts with the same head to those with the same labels."""
    pooled, near, layers = states
    shared_states = _shared_states(adapters, layers)
    places = [list(run) for _, run in groupby(range(len(at)), lambda text: id(adapters[text]))]
    runs = [(adapters[run[0]], slice(run[0], run[-1] + 1)) for run in places]
    for (adapter, texts), logits in zip(runs, _logits(model, pooled, runs), strict=True):
        part = parts.setdefault(adapter.labels if adapter else tuple(model.labels), _Part())
        part.at += at[texts]
        rows = _with_rows(adapter, logits, near[texts]) if adapter else logits
        part.rows.append(rows.float())
        part.states.append(shared_states[texts])


def _logits(model: Any, pooled: Tensor, runs: Sequence[_Run]) -> list[Tensor]:
    """(B, D) → (texts, C) for each of *runs*: what the head of its adapter says."""
    own = [(adapter.head if adapter else None) or {} for adapter, _ in runs]
    places = [texts for _, texts in runs]
    if not isinstance(model.head, LinearHead):
        called = zip(own, places, strict=True)
        return [functional_call(model.head, dict(one), (pooled[texts],)) for one, texts in called]
    shared = {f"linear.{name}": value for name, value in model.head.linear.named_parameters()}
    weights, biases = (
        [(one or shared)[f"linear.{name}"] for one in own] for name in ("weight", "bias")
    )
    return own_linear(model.head.directions(pooled), places, weights, biases)
