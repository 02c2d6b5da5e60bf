"""From token states to what a task wants: logits, numbers, vectors.

Shape letters: T tokens, D width, B texts, C classes, U units (texts or picked tokens),
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tailorbird.modeling.masked_head import MaskedHead
from tailorbird.modeling.packing import PackedBatch
from tailorbird.modeling.word_loss import word_nll


def mean_pool(states: Tensor, batch: PackedBatch) -> Tensor:
    """(T, D) → (B, D), the mean over each text's tokens.

    >>> from tailorbird.modeling.packing import pack
    >>> mean_pool(torch.tensor([[1.0], [3.0], [5.0]]), pack([[8, 8], [8]])).tolist()
    [[2.0], [5.0]]
    """
    sums = states.new_zeros(batch.n_texts, states.shape[1]).index_add(0, batch.rows, states)
    return sums / batch.lengths[:, None]


def cls_pool(states: Tensor, batch: PackedBatch) -> Tensor:
    """(T, D) → (B, D), the state of each text's first token."""
    return states[torch.cumsum(batch.lengths, 0) - batch.lengths]


def pick(states: Tensor, batch: PackedBatch) -> Tensor:
    """(T, D) → (U, D), the states of the picked tokens, without any pooling."""
    return states[batch.picked]


POOLINGS = {"mean": mean_pool, "cls": cls_pool, "picked": pick}


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """What a task asks of the head: enough to make it anew."""

    task: str = "single_label"
    name: str = "linear"
    """A key of `HEADS`, or `LANGUAGE`."""
    n_outputs: int = 0
    """0: one a label."""
    pooling: str = ""
    """``picked`` for tasks that look at tokens; empty: texts as wholes, as the settings say."""
    plugin: str = ""
    """The plug-in that task and head come from; empty: they are ours."""


class LinearHead(nn.Module):
    """``outputs = W dropout(scale * z) + b`` with z the pooled state on the unit sphere.

    Sentence encoders put meaning into the direction of a state, not its length, so only the
    direction is used; *scale* brings its entries to about one.
    """

    def __init__(self, width: int, n_outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        self.scale = width**0.5
        self.linear = nn.Linear(width, n_outputs)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """(U, D) → (U, C)."""
        z = self.directions(pooled)
        return self.linear(F.dropout(z, self.dropout, self.training))  # type: ignore[no-any-return]

    def directions(self, pooled: Tensor) -> Tensor:
        """(U, D) → (U, D), the z: it is the same for all heads of its kind."""
        z: Tensor = self.scale * F.normalize(pooled, dim=-1)
        return z

    @torch.no_grad()
    def start_from_features(self, pooled: Tensor, targets: Tensor, *, ridge: float = 1.0) -> None:
        """Set the weights to the regularised linear discriminant of pretrained features.

        With class means m_c and shared within-class covariance S (shrunk towards its mean
        variance), ``w_c = S^-1 m_c`` and ``b_c = -m_c·w_c / 2 + log prior``. The first step of
        tuning then starts from a working classifier and does not tear pretrained layers apart.
        All is scaled down to the length that new weights have: fitted to few rows the
        discriminant is far too sure of itself, and long weights send large gradients down.

        Args:
            pooled: (N, D) pretrained features.
            targets: (N,) class indices.
            ridge: weight of the mean variance added to the covariance, relative to 1.

        Sources: Hastie et al., Elements of Statistical Learning, section 4.3; Kumar et al. 2022
        (linear probing before full tuning).
        """
        z = (self.scale * F.normalize(pooled.double(), dim=-1)).cpu()
        targets = targets.cpu()
        n_classes = self.linear.out_features
        counts = torch.bincount(targets, minlength=n_classes).double()
        centre = z.mean(0)
        sums = torch.zeros(n_classes, z.shape[1], dtype=z.dtype).index_add(0, targets, z - centre)
        means = sums / counts.clamp(min=1)[:, None]  # (C, D), around the common centre
        residual = z - centre - means[targets]
        covariance = residual.T @ residual / len(z)
        spread = covariance.diagonal().mean().clamp(min=1e-12)  # of one row there is none
        shrunk = covariance + ridge * spread * torch.eye(z.shape[1])
        weight = torch.linalg.solve(shrunk, means.T).T  # (C, D)
        prior = torch.log((counts + 1) / (counts.sum() + n_classes))
        bias = prior - (means * weight).sum(-1) / 2 - weight @ centre
        new = self.linear.weight.norm(dim=1).mean().cpu()
        shorter = new / weight.norm(dim=1).mean().clamp(min=1e-12)
        self.linear.weight.copy_(weight * shorter)
        self.linear.bias.copy_(bias * shorter)


class ThresholdHead(LinearHead):
    """A `LinearHead` whose outputs each say yes or no, and that knows from where on it is yes."""

    def __init__(self, width: int, n_outputs: int, dropout: float = 0.1) -> None:
        super().__init__(width, n_outputs, dropout)
        self.thresholds: Tensor
        self.register_buffer("thresholds", torch.full((n_outputs,), 0.5))

    def says_yes(self, outputs: Tensor) -> Tensor:
        """(B, C) logits → (B, C) bool: whether each probability reaches its threshold."""
        return outputs.sigmoid() >= self.thresholds.to(outputs)


class JointHead(ThresholdHead):
    """Two heads in one product: the first outputs each say yes or no, the others are one class."""

    @torch.no_grad()
    def start_from_features(self, pooled: Tensor, targets: Tensor, *, ridge: float = 1.0) -> None:
        """The outputs of the one class start as a discriminant of the rows that have one.

        Args:
            pooled: (N, D) pretrained features.
            targets: (N, C1 + 1), in the last column the class of the row, -1 where it has none.
            ridge: as in `LinearHead`.
        """
        n_many = targets.shape[1] - 1
        n_classes = self.linear.out_features - n_many
        has_one = targets[:, n_many] >= 0
        if n_classes < 2 or not has_one.any():
            return
        part = LinearHead(self.linear.in_features, n_classes, 0.0)
        part.start_from_features(pooled[has_one], targets[has_one, n_many], ridge=ridge)
        self.linear.weight[n_many:] = part.linear.weight
        self.linear.bias[n_many:] = part.linear.bias


class NumberHead(LinearHead):
    """A `LinearHead` of one output that knows the scale of the numbers it is to give.

    Tuning works on numbers of mean 0 and spread 1; `numbers` turns outputs into real ones.
    """

    def __init__(self, width: int, n_outputs: int = 1, dropout: float = 0.1) -> None:
        super().__init__(width, n_outputs, dropout)
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def fit_scale(self, values: Tensor) -> None:
        """Take mean and spread from *values*, the numbers of the training examples."""
        self.mean.copy_(values.mean())
        spread = values.std(correction=0)
        self.spread.copy_(torch.where(spread > 0, spread, torch.ones(())))

    def standardized(self, values: Tensor) -> Tensor:
        """Real numbers → what the outputs are tuned to."""
        return (values - self.mean.cpu()) / self.spread.cpu()

    def numbers(self, outputs: Tensor) -> Tensor:
        """(B, 1) outputs → (B,) real numbers."""
        return outputs[:, 0] * self.spread.to(outputs) + self.mean.to(outputs)


class EmbeddingHead(nn.Module):
    """The pooled state itself, on the unit sphere: nothing to tune, nothing to forget."""

    def __init__(self, width: int, n_outputs: int = 0, dropout: float = 0.0) -> None:
        super().__init__()

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, D) → (B, D), each of length 1."""
        return F.normalize(pooled, dim=-1)


class LanguageHead(nn.Module):
    """``logits = z Wᵀ + b`` of the next word, for states z of a decoder.

    W is a table of the decoder, not of this head: its word table where both are tied, or its
    ``out_words``. So it is frozen by ways of tuning that freeze the backbone, is tuned when the
    words are, and is saved once. Where the logits are bounded, they are
    ``cap · tanh(logits / cap)``.

    It computes what it is given: hand it the states before the words that count, not all of them;
    with 150,000 words the logits are the largest tensor of a step.

    Args:
        backbone: whose states it reads and whose words it names.
        bias: (V,), where there is one; always as pretrained.
        soft_cap: bound of the logits; 0: none.

    Sources: Press & Wolf 2017 (tied tables), section 3; Gemma team 2024 (Gemma 2), section 2.
    """

    bias: Tensor | None

    def __init__(self, backbone: Any, *, bias: Tensor | None = None, soft_cap: float = 0.0) -> None:
        super().__init__()
        self._backbone = (backbone,)  # in a tuple, so that it is no part of this module
        self.register_buffer("bias", bias)
        self.soft_cap = soft_cap

    @property
    def is_tied(self) -> bool:
        """Whether words are read and written by one table."""
        return self._backbone[0].out_words is None

    @property
    def weight(self) -> Tensor:
        """(V, D) the table that is in use."""
        backbone = self._backbone[0]
        table: Tensor = (backbone.words if self.is_tied else backbone.out_words).weight
        return table

    def forward(self, states: Tensor) -> Tensor:
        """(U, D) → (U, V) fp32 logits; the product runs in the backbone's compute type."""
        weight, bias = self._in_compute_type()
        logits = F.linear(states.to(weight.dtype), weight, bias).float()
        return self.soft_cap * torch.tanh(logits / self.soft_cap) if self.soft_cap else logits

    def nll(self, states: Tensor, targets: Tensor) -> Tensor:
        """Mean ``-log softmax(logits)[target]`` of (U, D) states and (U,) words, in nats.

        The logits are never held as a whole, unless the words are tuned.
        """
        weight, bias = self._in_compute_type()
        if weight.requires_grad:
            return F.cross_entropy(self(states), targets)
        return word_nll(states, weight, bias, targets, self.soft_cap)

    def _in_compute_type(self) -> tuple[Tensor, Tensor | None]:
        dtype = self._backbone[0].compute_dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        return self.weight.to(dtype), bias

    def hub_tensors(self) -> dict[str, Tensor]:
        """What it adds to a hub checkpoint of the backbone's body, by the names there."""
        named = {"lm_head.weight": None if self.is_tied else self.weight, "lm_head.bias": self.bias}
        return {name: tensor.detach() for name, tensor in named.items() if tensor is not None}


LANGUAGE = "language"
"""The name of `LanguageHead` in ``model.json``: it is loaded with its backbone, never made anew."""

HEADS: dict[str, Callable[[int, int, float], nn.Module]] = {
    "linear": LinearHead,
    "threshold": ThresholdHead,
    "joint": JointHead,
    "number": NumberHead,
    "embedding": EmbeddingHead,
    "masked": MaskedHead,
}
"""(width, outputs, dropout) → a head, by the name in ``model.json``; plug-ins add theirs."""
