"""A list that is good and varied, and no more of a kind than allowed."""

from __future__ import annotations

import numpy as np
import pytest

from tailorbird.assistants.recommend.ranking.diversity import diversify, mmr
from tailorbird.assistants.recommend.ranking.scored import Reason, Scored
from tailorbird.errors import ConfigError


def candidate(item: str, score: float, vector: tuple[float, ...], tag: str = "") -> Scored:
    tags = (tag,) if tag else ()
    where = np.array(vector, dtype=np.float32)
    return Scored(item, score, ("match",), {}, where, Reason("popular"), tags)


TWINS = [
    candidate("a", 1.0, (1, 0), "tea"),
    candidate("a2", 0.9, (1, 0.01), "tea"),
    candidate("b", 0.5, (0, 1), "lamp"),
    candidate("c", 0.0, (0.7, 0.7), "tea"),
]


@pytest.mark.parametrize("pick", [diversify, mmr])
def test_without_diversity_the_order_is_that_of_the_scores(pick) -> None:  # type: ignore[no-untyped-def]
    assert [one.item for one in pick(TWINS[::-1], n=3, dial=0.0)] == ["a", "a2", "b"]


@pytest.mark.parametrize("pick", [diversify, mmr])
def test_the_dial_puts_another_thing_before_a_twin(pick) -> None:  # type: ignore[no-untyped-def]
    assert [one.item for one in pick(TWINS, n=2, dial=0.6)] == ["a", "b"]


@pytest.mark.parametrize("pick", [diversify, mmr])
def test_caps_hold_whatever_the_scores_say(pick) -> None:  # type: ignore[no-untyped-def]
    assert [one.item for one in pick(TWINS, n=4, dial=0.0, caps={"tea": 1})] == ["a", "b"]
    assert [one.item for one in pick(TWINS, n=4, dial=0.0, caps={"*": 1, "tea": 2})] == [
        "a",
        "a2",
        "b",
    ]


def test_the_greedy_list_has_the_determinant_that_its_formula_wants() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 6))
    pairs = zip(rng.random(9), vectors, strict=True)
    scored = [candidate(str(k), score, tuple(v)) for k, (score, v) in enumerate(pairs)]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.array([one.score for one in scored])
    quality = 0.5 * (scores - scores.min()) / np.ptp(scores)
    chosen: list[int] = []
    while len(chosen) < 4:  # step by step, with whole determinants
        rest = [k for k in range(9) if k not in chosen]

        def gain(k: int, chosen: list[int] = chosen) -> float:
            part = unit[[*chosen, k]]
            return quality[k] + 0.5 * float(np.linalg.slogdet(part @ part.T)[1])

        chosen.append(max(rest, key=gain))
    assert [one.item for one in diversify(scored, n=4, dial=0.5)] == [str(k) for k in chosen]


def test_a_list_is_full_where_there_is_enough_though_all_are_twins() -> None:
    twins = [candidate(str(k), 1.0, (1, 0)) for k in range(5)]
    assert len(diversify(twins, n=4, dial=1.0)) == 4
    assert diversify([], n=4) == []


def test_a_wrong_dial_and_a_wrong_cap_are_refused() -> None:
    with pytest.raises(ConfigError, match="0 is none, 1 is nothing but diversity"):
        diversify(TWINS, n=2, dial=1.5)
    with pytest.raises(ConfigError, match="the cap of 'tea' is -1"):
        diversify(TWINS, n=2, caps={"tea": -1})
