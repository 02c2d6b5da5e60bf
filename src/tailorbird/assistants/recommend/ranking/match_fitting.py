"""Tuning the interest match: which of many items comes next?

The loss is a softmax over the right item and negatives that are drawn by popularity, each logit
less the logarithm of how often it is drawn, so that popular items are not pushed down for being
drawn often (Bengio and Senécal 2008; Yi et al. 2019, "Sampling-Bias-Corrected Neural Modeling",
section 3). Where the catalogue is no larger than the number of negatives, all of it is taken.

Shape letters: B windows, T events of a window, P targets of a batch, S negatives, M items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tailorbird.assistants.recommend.catalogue.log import Log, Say
from tailorbird.assistants.recommend.ranking.match import MAX_EVENTS, InterestModel, degrees_of
from tailorbird.assistants.recommend.ranking.popularity import Trend
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings

BATCH_WINDOWS = 8
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
OWN_LEFT_OUT = 0.3
"""Share of items whose own part is left out in a step."""
OWN_DECAY = 0.1
DISLIKED = 0.25
"""Weight of a next event that was rated below the user's mean: it was chosen all the same."""


@dataclass(frozen=True, slots=True)
class _Windows:
    """(B, T) windows of users' events; item -1 where padded, target -1 where none."""

    item: Tensor
    degree: Tensor
    target: Tensor
    weight: Tensor
    step: Tensor
    """The step of the trend that each event is in."""


def fit_match(
    log: Log,
    features: NDArray[np.float32],
    settings: RecommendSettings,
    *,
    factors: NDArray[np.float32],
    trend: Trend,
    say: Say = lambda _: None,
) -> InterestModel:
    """A match, by ``settings.seed``.

    Args:
        log: the events to learn from, and none later.
        features: (M, F) content of all items; those without an event in *log* keep no own part.
        settings: width, n_epochs, n_negatives, ahead and seed are read.
        factors: (M, K) of ALS, where the own parts of items begin.
        trend: how popular items were at moments of *log*.
        say: is told the loss after each epoch.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = InterestModel(features.shape[1], log.n_items, width=settings.width)
        content = torch.from_numpy(features)
        counts = np.bincount(log.past.item, minlength=log.n_items)
        model.start_from(torch.from_numpy(factors), torch.from_numpy(counts).float())
        logs = torch.from_numpy(trend.logs)
        rng = np.random.default_rng(settings.seed)
        groups = _parameter_groups(model)
        optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda epoch: 0.5 + 0.5 * np.cos(np.pi * epoch / settings.n_epochs)
        )
        model.train()
        for epoch in range(1, settings.n_epochs + 1):
            total = n = 0.0
            for windows in _batches(log, trend, settings.ahead, rng):
                drawn = _negatives(counts, settings.n_negatives, rng)
                loss = _loss(model, content, windows, logs, drawn)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                total, n = total + loss.item(), n + 1
            schedule.step()
            say(f"match: epoch {epoch} of {settings.n_epochs}, loss {total / n:.3f}")
        with torch.no_grad():  # an item nobody touched has content alone
            is_new = torch.from_numpy(counts == 0)
            model.own[is_new], model.own_bias[is_new] = 0.0, 0.0
    return model.eval()


def _parameter_groups(model: InterestModel) -> list[dict[str, object]]:
    others = [p for name, p in model.named_parameters() if not name.startswith("own")]
    return [
        {"params": others, "weight_decay": WEIGHT_DECAY, "lr": LEARNING_RATE},
        {"params": [model.own], "weight_decay": OWN_DECAY, "lr": LEARNING_RATE},
        {"params": [model.own_bias], "weight_decay": 0.0, "lr": LEARNING_RATE},
    ]


def _loss(
    model: InterestModel,
    content: Tensor,
    windows: _Windows,
    logs: Tensor,
    negatives: tuple[Tensor, Tensor],
) -> Tensor:
    drawn, log_q = negatives  # (S,)
    is_target = windows.target >= 0  # (B, T)
    targets = windows.target[is_target]  # (P,)
    needed, where = torch.unique(
        torch.cat([windows.item.clamp(min=0).flatten(), targets, drawn]), return_inverse=True
    )
    n_events, n_targets = windows.item.numel(), len(targets)
    keeps = (torch.rand(len(needed), 1) >= OWN_LEFT_OUT).float()
    vectors = model.items(
        content[needed], keeps * model.own[needed], keeps[:, 0] * model.own_bias[needed]
    )  # (needed, D + 1)
    of_events = vectors[where[:n_events], :-1].view(*windows.item.shape, -1)
    users = model.users(of_events, windows.degree, windows.item >= 0)[is_target]  # (P, D)
    of_targets = vectors[where[n_events : n_events + n_targets]]
    others = vectors[where[n_events + n_targets :]]  # (S, D + 1)
    step = windows.step[is_target]  # (P,)
    right = (users * of_targets[:, :-1]).sum(1) + of_targets[:, -1]  # (P,)
    right = right + logs[step, targets]
    popular = logs[:, drawn]  # (steps, S)
    wrong = users @ others[:, :-1].T + (others[:, -1] - log_q) + popular[step]  # (P, S)
    wrong = wrong.masked_fill(targets[:, None] == drawn, -1e9)
    # The right item is no draw: with all items as negatives this is the plain softmax.
    logits = torch.cat([right[:, None], wrong], dim=1)
    losses = functional.cross_entropy(logits, torch.zeros(n_targets).long(), reduction="none")
    weight = windows.weight[is_target]
    return (losses * weight).sum() / weight.sum()


def _negatives(
    counts: NDArray[np.int64], n: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """(S,) items, and the logarithm of how often each is expected among the S."""
    if len(counts) <= n:
        return torch.arange(len(counts)), torch.zeros(len(counts))
    chances = (counts + 1.0) ** 0.75
    chances /= chances.sum()
    drawn = rng.choice(len(counts), n, p=chances)
    return torch.from_numpy(drawn), torch.from_numpy(np.log(n * chances[drawn])).float()


def _batches(log: Log, trend: Trend, ahead: int, rng: np.random.Generator) -> Iterator[_Windows]:
    """All windows once, in a new order; each event is a place to predict from exactly once.

    Windows begin elsewhere each time: what is early in one, with little before it, is late in
    another, and the model learns to do with little.
    """
    bounds = log.bounds
    spans: list[tuple[int, int, int]] = []
    for user in range(len(log.users)):
        first, last = int(bounds[user]), int(bounds[user + 1])
        for start in range(first - int(rng.integers(MAX_EVENTS)), last - 1, MAX_EVENTS):
            begin, end = max(start, first), min(start + MAX_EVENTS, last)
            if end > begin:
                spans.append((begin, end, last))
    spans.sort(key=lambda span: span[1] - span[0])  # windows of one length waste no padding
    groups = [spans[k : k + BATCH_WINDOWS] for k in range(0, len(spans), BATCH_WINDOWS)]
    for k in rng.permutation(len(groups)):
        yield _windows(log, trend, groups[k], ahead, rng)


def _windows(
    log: Log,
    trend: Trend,
    spans: list[tuple[int, int, int]],
    ahead: int,
    rng: np.random.Generator,
) -> _Windows:
    n = max(end - begin for begin, end, _ in spans)
    item = np.full((len(spans), n), -1)
    relative = np.zeros((len(spans), n))
    target, weight = item.copy(), np.zeros((len(spans), n))
    step = np.zeros((len(spans), n), dtype=np.int64)
    p = log.past
    for row, (begin, end, last) in enumerate(spans):
        item[row, : end - begin] = p.item[begin:end]
        relative[row, : end - begin] = p.relative[begin:end]
        step[row, : end - begin] = trend.step_of(p.time[begin:end])
        places = np.arange(begin, min(end, last - 1))
        chosen = rng.integers(places + 1, np.minimum(places + ahead, last - 1) + 1)
        target[row, places - begin] = p.item[chosen]
        liked = np.where(p.is_liked[chosen], 1.0, DISLIKED)
        weight[row, places - begin] = liked * np.minimum(p.strength[chosen], 1.0).clip(0.25)
    degree = degrees_of(torch.from_numpy(relative).float())
    return _Windows(
        torch.from_numpy(item),
        degree,
        torch.from_numpy(target),
        torch.from_numpy(weight).float(),
        torch.from_numpy(step),
    )
