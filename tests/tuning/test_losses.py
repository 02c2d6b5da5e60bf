"""Each loss against its formula, written out in plain loops, and its parts against the whole."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.tuning import losses
from tailorbird.tuning.objective import Objective, balanced_weights
from tailorbird.tuning.tasks import Truth
from tailorbird.tuning.tasks.classes import SINGLE_LABEL

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0], [1.0, 1.0, -2.0], [0.3, 0.1, 0.2]])
OTHER = torch.tensor([[1.0, 0.0, 0.5], [0.5, 1.0, 2.0], [1.5, 0.5, -1.0], [0.0, 0.4, 0.2]])
TARGETS = torch.tensor([0, 2, 1, 0])
WEIGHTS = torch.tensor([0.5, 1.0, 2.0])


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(x) for x in row)
    return [math.exp(x) / total for x in row]


PROBS = [softmax(row) for row in LOGITS.tolist()]


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def test_cross_entropy_with_smoothing_and_weights() -> None:
    rows, mass = [], 0.0
    for p, t in zip(PROBS, TARGETS.tolist(), strict=True):
        wanted = [0.1 / 3 + (0.9 if c == t else 0.0) for c in range(3)]
        rows.append(-sum(WEIGHTS[c].item() * q * math.log(p[c]) for c, q in enumerate(wanted)))
        mass += WEIGHTS[t].item()
    found = losses.cross_entropy(LOGITS, TARGETS, label_smoothing=0.1, class_weights=WEIGHTS)
    assert found.item() == pytest.approx(sum(rows) / mass, rel=1e-5)


def test_focal_turns_down_rows_that_are_right() -> None:
    of_target = [p[t] for p, t in zip(PROBS, TARGETS.tolist(), strict=True)]
    wanted = sum(-((1 - p) ** 2) * math.log(p) for p in of_target) / 4
    assert losses.focal(LOGITS, TARGETS).item() == pytest.approx(wanted, rel=1e-5)
    plain = losses.cross_entropy(LOGITS, TARGETS, class_weights=WEIGHTS)
    same = losses.focal(LOGITS, TARGETS, gamma=0.0, class_weights=WEIGHTS)
    torch.testing.assert_close(same, plain)


def test_binary_cross_entropy_takes_each_label_alone() -> None:
    targets = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]])
    rows = []
    for x, t in zip(LOGITS.flatten().tolist(), targets.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        rows.append(-t * math.log(p) - (1 - t) * math.log(1 - p))
    found = losses.binary_cross_entropy(LOGITS, targets)
    assert found.item() == pytest.approx(sum(rows) / 12, rel=1e-5)


def test_mean_squared_error_of_ratings() -> None:
    found = losses.mean_squared_error(torch.tensor([1.5, 4.0]), torch.tensor([2, 1]))
    assert found.item() == pytest.approx((0.25 + 9) / 2)


def test_supervised_contrastive_averages_over_anchors_with_a_partner() -> None:
    z, targets = LOGITS.tolist(), TARGETS.tolist()
    rows = []
    for i in range(4):
        partners = [p for p in range(4) if p != i and targets[p] == targets[i]]
        scores = {a: math.exp(cosine(z[i], z[a]) / 0.5) for a in range(4) if a != i}
        if partners:
            logs = [math.log(scores[p] / sum(scores.values())) for p in partners]
            rows.append(-sum(logs) / len(partners))
    assert len(rows) == 2
    found = losses.supervised_contrastive(LOGITS, TARGETS, temperature=0.5)
    assert found.item() == pytest.approx(sum(rows) / 2, rel=1e-5)


def test_supervised_contrastive_without_partners_is_zero_with_a_zero_gradient() -> None:
    features = LOGITS.clone().requires_grad_()
    loss = losses.supervised_contrastive(features, torch.tensor([0, 1, 2, 3]))
    loss.backward()
    assert loss.item() == 0.0
    assert features.grad is not None
    assert not features.grad.any()


def test_symmetric_divergence_is_the_mean_of_both_directions() -> None:
    wanted = 0.0
    for p, q in zip(PROBS, [softmax(row) for row in OTHER.tolist()], strict=True):
        wanted += sum(a * math.log(a / b) + b * math.log(b / a) for a, b in zip(p, q, strict=True))
    found = losses.symmetric_divergence(LOGITS, OTHER).item()
    assert found == pytest.approx(wanted / 2 / 4, rel=1e-4)


def test_margin_ranking_asks_for_no_more_than_the_margin() -> None:
    better, worse = torch.tensor([3.0, 1.0, 0.0]), torch.tensor([1.0, 0.8, 0.5])
    found = losses.margin_ranking(better, worse, margin=0.5)
    assert found.item() == pytest.approx((0 + 0.3 + 1.0) / 3)


def test_multiple_negatives_picks_the_own_answer_among_all() -> None:
    wanted = 0.0
    for i, query in enumerate(LOGITS.tolist()):
        p = softmax([10 * cosine(query, answer) for answer in OTHER.tolist()])
        wanted -= math.log(p[i]) / 4
    found = losses.multiple_negatives(LOGITS, OTHER, scale=10.0)
    assert found.item() == pytest.approx(wanted, rel=1e-4)


def test_multiple_negatives_leaves_out_what_is_right_too_and_looks_both_ways() -> None:
    is_same = torch.zeros(4, 4, dtype=torch.bool)
    is_same[0, 2] = is_same[2, 0] = is_same[1, 1] = True
    forth = back = 0.0
    for i in range(4):
        seen = [j for j in range(4) if j == i or not is_same[i, j]]
        p = softmax([10 * cosine(LOGITS[i].tolist(), OTHER[j].tolist()) for j in seen])
        forth -= math.log(p[seen.index(i)]) / 4
        p = softmax([10 * cosine(LOGITS[j].tolist(), OTHER[i].tolist()) for j in seen])
        back -= math.log(p[seen.index(i)]) / 4
    found = losses.multiple_negatives(LOGITS, OTHER, scale=10.0, is_same=is_same)
    assert found.item() == pytest.approx(forth, rel=1e-4)
    both = losses.multiple_negatives(LOGITS, OTHER, scale=10.0, is_same=is_same, symmetric=True)
    assert both.item() == pytest.approx((forth + back) / 2, rel=1e-4)


def test_cosine_distance_of_similarities() -> None:
    targets = [1.0, 0.5, 0.0, -1.0]
    rows = zip(LOGITS.tolist(), OTHER.tolist(), targets, strict=True)
    wanted = sum((cosine(a, b) - t) ** 2 for a, b, t in rows) / 4
    found = losses.cosine_distance(LOGITS, OTHER, torch.tensor(targets))
    assert found.item() == pytest.approx(wanted, rel=1e-4)


THERE = torch.tensor([[True] * 3, [True, True, False], [True] * 3, [True, False, False]])
RELEVANCE = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 9.0], [1.0, 1.0, 1.0], [3.0, 9.0, 9.0]])


def test_listwise_compares_who_comes_first() -> None:
    wanted = 0.0
    for scores, relevance, there in zip(LOGITS, RELEVANCE, THERE, strict=True):
        p, q = softmax(scores[there].tolist()), softmax(relevance[there].tolist())
        wanted -= sum(b * math.log(a) for a, b in zip(p, q, strict=True)) / 4
    guesses = LOGITS.clone().requires_grad_()
    found = losses.listwise(guesses, RELEVANCE, THERE)
    assert found.item() == pytest.approx(wanted, rel=1e-5)
    found.backward()
    assert guesses.grad is not None
    assert guesses.grad.isfinite().all()
    assert not guesses.grad[~THERE].any()


@pytest.mark.parametrize("margin", [None, 0.5])
def test_pairwise_is_a_mean_over_the_pairs_of_each_query(margin: float | None) -> None:
    wanted = 0.0
    for scores, relevance, there in zip(LOGITS, RELEVANCE, THERE, strict=True):
        s, r = scores[there].tolist(), relevance[there].tolist()
        leads = [s[i] - s[j] for i in range(len(s)) for j in range(len(s)) if r[i] > r[j]]
        costs = [
            math.log(1 + math.exp(-lead)) if margin is None else max(0.0, margin - lead)
            for lead in leads
        ]
        wanted += sum(costs) / max(1, len(costs)) / 4
    found = losses.pairwise(LOGITS, RELEVANCE, THERE, margin=margin)
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_balanced_weights_give_every_class_the_same_say() -> None:
    targets = torch.tensor([0] * 6 + [1] * 3 + [3])
    weights = balanced_weights(targets, 4)
    mass = torch.zeros(4).index_add(0, targets, weights[targets])
    assert mass.tolist() == pytest.approx([10 / 3, 10 / 3, 0.0, 10 / 3])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    "settings",
    [
        LossSettings(),
        LossSettings(label_smoothing=0.2),
        LossSettings(name="focal"),
        LossSettings(r_drop=3.0),
    ],
)
def test_unequal_parts_add_up_to_the_whole(settings: LossSettings, weights: Tensor | None) -> None:
    objective = Objective(settings, SINGLE_LABEL, weights)
    passes = [LOGITS, OTHER][: objective.n_passes]

    def of(rows: list[int]) -> Tensor:
        parts, whole = (Truth(t, torch.arange(len(t)), len(t)) for t in (TARGETS[rows], TARGETS))
        return objective(lambda z: z, [one[rows] for one in passes], parts, whole)

    whole = of([0, 1, 2, 3])
    torch.testing.assert_close(of([0]) + of([1, 2, 3]), whole, rtol=0, atol=1e-6)
