"""Losses as pure functions: predictions and truth in, one number to make small out.

Shape letters: B texts, C classes, D width. Natural logarithms. A mean over the batch is meant to be
the mean over rows, so that parts of a batch add up to it by their shares of the rows (or of the
class weights, where there are any); those that compare texts with each other need the whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Mean of ``-log softmax(logits)[target]`` over the batch, in nats.

    Args:
        logits: (B, C).
        targets: (B,) class indices.
        label_smoothing: mass spread evenly over all classes (Szegedy et al. 2016, section 7).
        class_weights: (C,) how much a row of each class counts; the mean is by these weights.

    >>> round(cross_entropy(torch.zeros(1, 4), torch.tensor([2])).item(), 4)
    1.3863
    """
    return F.cross_entropy(logits, targets, class_weights, label_smoothing=label_smoothing)


def focal(
    logits: Tensor, targets: Tensor, *, gamma: float = 2.0, class_weights: Tensor | None = None
) -> Tensor:
    """Mean of ``-(1 - p)^gamma log p`` with p the probability of the target.

    Rows that are right and sure hardly count; ``gamma=0`` is cross-entropy. Source: Lin et al.
    2017, equations 4 and 5, with ``class_weights`` (C,) as their alpha.

    >>> logits = torch.tensor([[0.0, 0.0]])
    >>> round(focal(logits, torch.tensor([0])).item(), 4)  # 0.5^2 log 2
    0.1733
    """
    log_p = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]  # (B,)
    rows = -((1 - log_p.exp()) ** gamma) * log_p
    if class_weights is None:
        return rows.mean()
    weights = class_weights[targets]
    return (weights * rows).sum() / weights.sum()


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of ``-t log s(x) - (1 - t) log(1 - s(x))``, s the sigmoid: several labels a text.

    Args:
        logits: (B, C), each class on its own.
        targets: (B, C), 1 where the label holds, else 0; shares between are allowed.

    Source: Bishop 2006, equation 4.90.

    >>> round(binary_cross_entropy(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item(), 4)
    0.6931
    """
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))


def mean_squared_error(values: Tensor, targets: Tensor) -> Tensor:
    """Mean of ``(value - target)^2``, for numbers as ratings; both (B,).

    Source: Bishop 2006, section 1.1.

    >>> mean_squared_error(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])).item()
    2.0
    """
    return F.mse_loss(values, targets.to(values.dtype))


def mean_absolute_error(values: Tensor, targets: Tensor) -> Tensor:
    """Mean of ``|value - target|``; what makes it small is the median of the numbers, both (B,).

    Source: Hastie et al., Elements of Statistical Learning, section 2.4.

    >>> mean_absolute_error(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])).item()
    1.0
    """
    return F.l1_loss(values, targets.to(values.dtype))


def supervised_contrastive(
    features: Tensor, targets: Tensor, *, temperature: float = 0.1
) -> Tensor:
    """Texts of one class near each other, others apart, on the unit sphere.

    For anchor i with positives P(i), the other rows of its class::

        -1/|P(i)| Σ_{p in P(i)} log( exp(z_i·z_p / τ) / Σ_{a ≠ i} exp(z_i·z_a / τ) )

    averaged over the anchors that have a positive; 0 where none has. Source: Khosla et al. 2020,
    equation 2. `multiple_negatives` is its sibling for pairs.

    Args:
        features: (B, D), of any length.
        targets: (B,) class indices.
        temperature: τ; smaller looks at the nearest rows only.

    >>> round(supervised_contrastive(torch.ones(3, 2), torch.tensor([0, 0, 1])).item(), 4)
    0.6931
    """
    z = F.normalize(features, dim=-1)
    is_self = torch.eye(len(z), dtype=torch.bool, device=z.device)
    scores = (z @ z.T / temperature).masked_fill(is_self, float("-inf"))
    log_p = scores.log_softmax(-1).masked_fill(is_self, 0.0)  # (B, B)
    is_positive = (targets[:, None] == targets) & ~is_self
    n_positives = is_positive.sum(-1)
    rows = -(log_p * is_positive).sum(-1) / n_positives.clamp(min=1)  # (B,), 0 without positives
    return rows.sum() / (n_positives > 0).sum().clamp(min=1)


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Mean of ``(KL(p||q) + KL(q||p)) / 2`` of two predictions of the same rows.

    The added term of R-Drop: p and q come from two passes that differ in dropout alone. Source:
    Liang et al. 2021, equation 1.

    Args:
        first: (B, C) logits of one pass.
        second: (B, C) logits of the other.

    >>> symmetric_divergence(torch.ones(1, 3), torch.ones(1, 3)).item()
    0.0
    """
    log_p, log_q = first.log_softmax(-1), second.log_softmax(-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1).mean() / 2


def margin_ranking(better: Tensor, worse: Tensor, *, margin: float = 1.0) -> Tensor:
    """Mean of ``max(0, margin - (better - worse))``: scores (B,) of the preferred and the other.

    Source: Herbrich et al. 2000, section 4; as a loss of pairs, Burges et al. 2005, section 2.

    >>> margin_ranking(torch.tensor([2.0, 0.5]), torch.tensor([0.0, 0.0])).item()
    0.25
    """
    return F.relu(margin - (better - worse)).mean()


def multiple_negatives(
    queries: Tensor,
    answers: Tensor,
    *,
    scale: float = 20.0,
    is_same: Tensor | None = None,
    symmetric: bool = False,
) -> Tensor:
    """Each query must find its own answer among all answers of the batch, by cosine.

    Mean over i of ``-log softmax_j(scale cos(q_i, a_j))[i]``. Source: Henderson et al. 2017,
    section 4.4, with the cosine and scale of Reimers and Gurevych's sentence-transformers.

    Args:
        queries: (B, D).
        answers: (B + K, D), row i belongs to query i; the others are its negatives.
        scale: what cosines are multiplied by, the inverse of a temperature.
        is_same: (B, B + K) bool, where answer j is right for query i too, and so no negative of it.
        symmetric: let each answer find its query as well, and take the mean of both (the loss of
            CLIP, Radford et al. 2021, figure 3).

    >>> round(multiple_negatives(torch.ones(4, 2), torch.ones(4, 2)).item(), 4)
    1.3863
    """
    scores = scale * F.normalize(queries, dim=-1) @ F.normalize(answers, dim=-1).T  # (B, B + K)
    own = torch.arange(len(scores), device=scores.device)
    if is_same is not None:
        is_own = own[:, None] == torch.arange(scores.shape[1], device=scores.device)
        scores = scores.masked_fill(is_same & ~is_own, float("-inf"))
    loss = F.cross_entropy(scores, own)
    return (loss + F.cross_entropy(scores.T[: len(own)], own)) / 2 if symmetric else loss


def cosine_distance(firsts: Tensor, seconds: Tensor, targets: Tensor) -> Tensor:
    """Mean of ``(cos(u, v) - target)^2``, for pairs (B, D) with a similarity (B,) in [-1, 1].

    Source: Reimers and Gurevych 2019, section 3, the regression objective.

    >>> cosine_distance(torch.eye(2), torch.eye(2), torch.tensor([1.0, 0.5])).item()
    0.125
    """
    cosines = F.cosine_similarity(firsts, seconds, dim=-1)
    return F.mse_loss(cosines, targets.to(cosines.dtype))


def listwise(scores: Tensor, relevance: Tensor, is_there: Tensor) -> Tensor:
    """Mean over queries of ``-Σ_k softmax(relevance)_k log softmax(scores)_k``: who is first.

    Source: Cao et al. 2007 (ListNet), equation 3 with the top-one probabilities of section 4.2.

    Args:
        scores: (B, K) of the candidates of each query.
        relevance: (B, K), higher is better.
        is_there: (B, K) bool; queries may have fewer than K candidates.

    >>> there = torch.tensor([[True, True, False]])
    >>> round(listwise(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 9.0]]), there).item(), 4)
    0.6931
    """
    wanted = relevance.to(scores.dtype).masked_fill(~is_there, float("-inf")).softmax(-1)
    log_p = scores.masked_fill(~is_there, float("-inf")).log_softmax(-1)
    return -(wanted * log_p.masked_fill(~is_there, 0.0)).sum(-1).mean()


def pairwise(
    scores: Tensor, relevance: Tensor, is_there: Tensor, *, margin: float | None = None
) -> Tensor:
    """Mean over queries of the mean over their pairs of ``log(1 + exp(-(better - worse)))``.

    With a *margin* a pair costs ``max(0, margin - (better - worse))`` instead, as
    `margin_ranking`. A query whose candidates are all alike has no pair and costs 0. Sources:
    Burges et al. 2005 (RankNet), section 3; Herbrich et al. 2000, section 4.

    Args:
        scores: (B, K) of the candidates of each query.
        relevance: (B, K), higher is better.
        is_there: (B, K) bool; queries may have fewer than K candidates.
        margin: by how much the better one should win; None: the logistic loss.

    >>> scores, relevance = torch.tensor([[0.0, 0.0, 5.0]]), torch.tensor([[2.0, 1.0, 2.0]])
    >>> round(pairwise(scores, relevance, torch.ones(1, 3, dtype=torch.bool)).item(), 4)
    0.3499
    """
    lead = scores[:, :, None] - scores[:, None, :]  # (B, K, K)
    is_pair = relevance[:, :, None] > relevance[:, None, :]
    is_pair = is_pair & is_there[:, :, None] & is_there[:, None, :]
    pairs = F.softplus(-lead) if margin is None else F.relu(margin - lead)
    n_pairs = is_pair.sum((1, 2))
    return (pairs.masked_fill(~is_pair, 0.0).sum((1, 2)) / n_pairs.clamp(min=1)).mean()
