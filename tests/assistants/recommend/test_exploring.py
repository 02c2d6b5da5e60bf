"""Exploring draws as Thompson sampling does, and says exactly how likely each draw was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from tests.assistants.recommend.live_fakes import NOON, posted, recommender_in

from tailorbird.assistants.recommend.answers import Answers
from tailorbird.assistants.recommend.exploring import (
    Counts,
    Explorer,
    positions,
    propensities,
)
from tailorbird.assistants.recommend.live import Wish
from tailorbird.assistants.recommend.seam import NOWHERE, Reason, Scored
from tailorbird.store.tables import ImpressionRow

NOTHING = Counts({}, {})


def scored(*names: str) -> list[Scored]:
    return [Scored(name, 1.0, (), {}, NOWHERE, Reason("popular")) for name in names]


@pytest.mark.parametrize(
    ("successes", "failures"),
    [
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
        ([3.0, 30.0, 1.0, 1.0], [27.0, 170.0, 9.0, 99.0]),
        ([400.0, 420.0], [3600.0, 3580.0]),
    ],
)
def test_propensities_are_those_of_thompson_sampling(
    successes: list[float], failures: list[float]
) -> None:
    a, b = np.array(successes), np.array(failures)
    found = propensities(a, b)
    draws = np.random.default_rng(0).beta(a, b, size=(200_000, len(a))).argmax(axis=1)
    drawn = np.bincount(draws, minlength=len(a)) / len(draws)
    assert found.sum() == pytest.approx(1.0)
    assert np.abs(found - drawn).max() < 0.005


def test_the_floor_leaves_nobody_without_a_chance() -> None:
    found = propensities(np.array([900.0, 1.0]), np.array([100.0, 999.0]), floor=0.1)
    assert found[1] == pytest.approx(0.05, abs=1e-6)


def test_what_is_drawn_is_as_frequent_as_its_propensity_says() -> None:
    counts = Counts({"c": 100, "x": 100}, {"c": 10, "x": 40}, 200, 50)
    explorer = Explorer(n_positions=1, n_pool=3, seed=1)
    drawn: dict[str, int] = {}
    told: dict[str, float] = {}
    for _ in range(4_000):
        choice = explorer.explore(scored("a", "b", "c"), scored("x", "y", "z"), counts)[2]
        drawn[choice.scored.item] = drawn.get(choice.scored.item, 0) + 1
        told = dict(choice.pool)
        assert choice.propensity == told[choice.scored.item]
    assert list(told) == ["c", "x", "y"]
    for item, share in told.items():
        assert drawn[item] / 4_000 == pytest.approx(share, abs=0.025)


def test_pools_share_nothing_and_the_rest_of_the_list_stays() -> None:
    explorer = Explorer(n_positions=2, n_pool=3, seed=0)
    ranked, rest = scored(*"abcdefghij"), scored(*"uvwxyz")
    for _ in range(50):
        found = explorer.explore(ranked, rest, NOTHING)
        pools = [one.pool for one in found if one.is_explored]
        assert [[item for item, _ in pool] for pool in pools] == [["e", "u", "w"], ["h", "v", "x"]]
        kept = [one.scored.item for place, one in enumerate(found) if place not in (4, 7)]
        assert kept == list("abcdfgij")
        assert len({one.scored.item for one in found}) == 10
        assert all(one.propensity == 1 for one in found if not one.is_explored)


def test_the_first_place_is_never_drawn_and_short_lists_are_left_alone() -> None:
    assert all(0 not in positions(n, k) for n in range(20) for k in range(5))
    assert [one.is_explored for one in Explorer().explore(scored("a"), scored("b"), NOTHING)] == [
        False
    ]
    assert [one.is_explored for one in Explorer().explore(scored("a", "b"), [], NOTHING)] == [
        False,
        False,
    ]


def test_what_is_answered_is_drawn_more_often(tmp_path: Path) -> None:
    with recommender_in(tmp_path, explore_positions=1, explore_pool=3) as recommender:
        wish = Wish(user="ada", n=3)
        for _ in range(60):
            listing = recommender.recommend(wish)
            (drawn,) = [one.scored.item for one in listing.choices if one.is_explored]
            if drawn == "tea-4":  # the only one of the pool that she ever takes
                recommender.take(
                    [
                        posted(
                            "ada", drawn, id=str(listing.impression), impression=listing.impression
                        )
                    ]
                )
        pool = dict(next(one.pool for one in listing.choices if one.is_explored))
        assert pool["tea-4"] > 0.6
        counted = recommender.answers.counts
        recommender.close()
        again = Answers()
        again.load(recommender.workspace, since=NOON)
        assert again.counts == counted  # what a restart reads is what was known
        with recommender.workspace.sessions() as session:
            rows = session.scalars(select(ImpressionRow)).all()
        assert len(rows) == 60
        assert sum(one["explored"] for row in rows for one in row.items) == 60


def test_only_answers_to_ones_own_drawn_items_teach_and_each_once() -> None:
    answers = Answers()
    answers.note_shown("list", ["x", "y"], user="ada")
    answers.note_answered(
        [
            ("list", "x", "ada"),
            ("list", "x", "ada"),
            ("list", "not shown", "ada"),
            ("list", "y", "somebody else"),
            ("no such list", "y", "ada"),
        ]
    )
    assert answers.counts == Counts({"x": 1, "y": 1}, {"x": 1}, 2, 1)


def test_only_so_many_lists_are_remembered() -> None:
    answers = Answers(max_remembered=2)
    for n in range(5):
        answers.note_shown(f"list-{n}", ["x"])
    answers.note_answered([("list-0", "x", "ada"), ("list-4", "x", "ada")])
    assert answers.counts == Counts({"x": 5}, {"x": 1}, 5, 1)
