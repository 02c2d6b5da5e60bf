"""Averages of tuned models: exact, and kept only as far as they help."""

from __future__ import annotations

import pytest
import torch

from tailorbird.config import MethodSettings
from tailorbird.errors import TuningError
from tailorbird.jobs.soups import average, greedy_soup
from tailorbird.modeling.adapters.weights import AdapterWeights

LORA = MethodSettings(name="lora", rank=2, alpha=6.0)


def lora_of(seed: int, settings: MethodSettings = LORA) -> AdapterWeights:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        "layers.1.query.adapter.a": torch.randn(settings.rank, 5, generator=generator),
        "layers.1.query.adapter.b": torch.randn(4, settings.rank, generator=generator),
    }
    head = {"linear.weight": torch.randn(3, 5, generator=generator)}
    return AdapterWeights(settings, 1, tensors, head, ("a", "b", "c"), "trunk")


def change(weights: AdapterWeights) -> torch.Tensor:
    """What the adapter adds to the weight of its layer."""
    factors = weights.lora()["layers.1.query"]
    return factors.scale * factors.b @ factors.a


@pytest.mark.parametrize("rslora", [False, True])
def test_soup_of_equal_weights_is_the_same_weights(rslora: bool) -> None:
    one = lora_of(0, MethodSettings(name="lora", rank=2, alpha=6.0, rslora=rslora))
    soup = average([one, one, one])
    assert torch.allclose(change(soup), change(one), atol=1e-6)
    assert torch.equal(soup.head["linear.weight"], one.head["linear.weight"])


def test_soup_of_one_is_that_one() -> None:
    one = lora_of(0)
    assert average([one]).hash == one.hash


def test_soup_adds_the_mean_of_what_its_members_add() -> None:
    first, second = lora_of(0), lora_of(1)
    soup = average([first, second])
    assert torch.allclose(change(soup), (change(first) + change(second)) / 2, atol=1e-5)
    assert soup.settings.rank == 4
    wanted = (first.head["linear.weight"] + second.head["linear.weight"]) / 2
    assert torch.allclose(soup.head["linear.weight"], wanted)


def test_whole_weights_are_averaged_one_by_one_and_counters_are_kept() -> None:
    full = MethodSettings(name="full")
    parts = [
        AdapterWeights(full, 0, {"w": torch.tensor([x]), "n": torch.tensor([7])}, {})
        for x in (1.0, 2.0, 6.0)
    ]
    soup = average(parts)
    assert soup.tensors["w"].item() == 3.0
    assert soup.tensors["n"].item() == 7


def test_members_of_other_labels_are_refused() -> None:
    one = lora_of(0)
    other = AdapterWeights(one.settings, 1, one.tensors, one.head, ("a", "b", "d"), "trunk")
    with pytest.raises(TuningError, match="differ in labels"):
        average([one, other])


def test_greedy_soup_leaves_out_the_member_that_spoils_it() -> None:
    full = MethodSettings(name="full")
    members = [AdapterWeights(full, 0, {"w": torch.tensor(x)}, {}) for x in (1.0, 5.0, 0.6, -0.8)]

    def score_of(weights: AdapterWeights) -> float:
        return -abs(float(weights.tensors["w"]))

    soup = greedy_soup(members, [score_of(member) for member in members], score_of)
    # 0.6, with -0.8: -0.1; with 1.0: 0.267, worse; with 5.0: worse.
    assert soup.members == (2, 3)
    assert score_of(soup.weights) == pytest.approx(-0.1)


def test_greedy_soup_is_never_worse_than_its_best_member() -> None:
    members = [lora_of(seed) for seed in range(4)]
    soup = greedy_soup(members, [0.1, 0.4, 0.3, 0.2], lambda _: 0.0)
    assert soup.members == (1,)
    assert soup.weights.hash == members[1].hash
