"""Which known items an item reads like, and what that says of one that nobody knows."""

from __future__ import annotations

import numpy as np
import pytest

from tailorbird.assistants.recommend.ranking import near as near_module
from tailorbird.assistants.recommend.ranking.near import Near, nearest

TEXTS = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0, 0], [0.95, 0.05]], np.float32)
LENDS = np.array([True, True, True, True, True, False])


def test_what_reads_alike_says_most_and_nothing_is_near_to_itself() -> None:
    near = nearest(TEXTS, LENDS)
    known = np.array([10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
    found = near.mean(known, np.arange(6))
    assert found[0] == pytest.approx(20, abs=0.5)
    assert found[2] == pytest.approx(40, abs=0.5)
    assert found[5] == pytest.approx(15, abs=1.0)  # between the first two; it lends nothing
    for row, (places, weights) in enumerate(zip(near.item, near.weight, strict=True)):
        assert row not in places[weights > 0]
        assert 5 not in places[weights > 0]
    np.testing.assert_allclose(near.cosine[:2], 0.9 / np.hypot(0.9, 0.1), rtol=1e-5)


def test_an_item_without_words_is_near_to_nothing() -> None:
    near = nearest(TEXTS, LENDS)
    assert near.weight[4].sum() == 0
    assert near.mean(np.ones(6), np.array([4])).tolist() == [0.0]
    nobody = nearest(TEXTS, np.zeros(6, dtype=bool))
    assert nobody.weight.sum() == nobody.cosine.sum() == 0


def test_items_that_come_later_are_placed_as_if_they_had_been_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_module, "N_TOGETHER", 2)  # in several products
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(40, 8)).astype(np.float32)
    lends = np.arange(40) < 30
    whole = nearest(texts, lends)
    later = nearest(texts[:35], lends[:35]).with_items(nearest(texts, lends, since=35))
    values = rng.normal(size=40)
    everything = np.arange(40)
    np.testing.assert_allclose(
        whole.mean(values, everything), later.mean(values, everything), rtol=1e-5
    )
    assert isinstance(later, Near)
    np.testing.assert_allclose(whole.weight.sum(axis=1), 1.0, rtol=1e-5)
