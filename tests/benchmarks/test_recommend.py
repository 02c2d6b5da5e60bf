"""The benchmark of recommendation judges what it says it judges."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from benchmarks.recommend_rows import held_out, read_movielens
from tests.assistants.recommend import tea_shop

from benchmarks import recommend, recommend_peers
from tailorbird.assistants.recommend.ranking.comparing import (
    by_user,
    known,
    mean,
    ndcg_of,
    top,
    window_of,
    with_few,
)
from tailorbird.assistants.recommend.ranking.together import AlsSettings, fit_als
from tailorbird.metrics.ranking import ndcg


def test_the_ndcg_of_a_list_is_that_of_the_metrics() -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.random(40), np.array([3, 7, 8, 21, 30, 31, 32, 33, 34, 35, 36, 38])
    truth = np.isin(np.arange(40), targets).astype(int)
    wanted = ndcg([truth.tolist()], [scores.tolist()], k=10)
    assert ndcg_of(np.argsort(-scores), targets) == pytest.approx(wanted)


def test_windows_fit_before_the_cut_and_judge_after_it() -> None:
    events = tea_shop.events()
    ids = [item.id for item in tea_shop.items()]
    window = window_of(ids, events, since=0.5, until=0.8)
    times = sorted(event.time.timestamp() for event in events)
    cut, end = np.quantile(times, 0.5), np.quantile(times, 0.8)
    assert max(event.time.timestamp() for event in window.fitted) < cut
    assert window.log.past.time.max() < cut
    assert all(cut <= moment.now_s < end for moment in window.moments)
    assert all((moment.past.time < moment.now_s).all() for moment in window.moments)


def test_lists_hold_nothing_that_was_seen_and_known_users_have_a_past() -> None:
    ids = [item.id for item in tea_shop.items()]
    window = window_of(ids, tea_shop.events(), since=0.5)
    for moment in window.moments:
        assert not set(top(np.arange(36.0), moment).tolist()) & set(moment.seen.tolist())
    assert all(len(moment.seen) >= 10 for moment in known(window.moments))
    assert all(len(moment.past) <= 3 for moment in with_few(window.moments, 3))


def test_our_folding_in_is_that_of_implicit() -> None:
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse
    from threadpoolctl import threadpool_limits

    ids = [item.id for item in tea_shop.items()]
    window = window_of(ids, tea_shop.events(), since=0.5)
    settings = AlsSettings(n_factors=6, regularization=0.5, alpha=3.0)
    model = fit_als(window.log, settings, n_threads=1)
    moment = known(window.moments)[0]
    with threadpool_limits(1, user_api="blas"):
        theirs = AlternatingLeastSquares(factors=6, regularization=0.5)
    theirs.item_factors = model.items
    row = np.zeros((1, 36), np.float32)
    np.add.at(row[0], moment.past.item, np.maximum(3.0 * moment.past.strength, 1.0))
    user = theirs.recalculate_user(0, sparse.csr_matrix(row))
    np.testing.assert_allclose(model.scores(moment.past), model.items @ user, atol=1e-4)


def test_the_best_choice_is_the_one_with_the_highest_ndcg_on_validation() -> None:
    ids = [item.id for item in tea_shop.items()]
    window = window_of(ids, tea_shop.events(), since=0.5)
    choices = list(recommend_peers.popularity_choices())
    name, _, value = recommend_peers.best_of(iter(choices), window)
    all_values = {n: mean(by_user(fit(window.log), window.moments)) for n, fit in choices}
    assert value == max(all_values.values()) == all_values[name]


def test_no_rating_of_a_new_film_is_ever_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.recommend.CUTS", {"test": (0.5, 1.0)})
    items, events = tea_shop.items(), tea_shop.events()
    old, fresh, window = recommend.new_films(items, events, "test", 0)
    new = held_out(items)
    assert {item.id for item in fresh} == new
    assert len(new) == 3
    assert not {event.item for event in window.fitted} & new
    for moment in window.moments:
        assert (moment.past.item < len(old)).all()
        assert (moment.targets >= len(old)).all()


def test_movielens_is_read_without_its_missing_header(tmp_path: Path) -> None:
    films = '11,"American President, The (1995)",Comedy|Drama\n12,Nameless,(no genres listed)\n'
    with gzip.open(tmp_path / "movies.csv.gz", "wt", encoding="utf-8") as file:
        file.write(films)
    with gzip.open(tmp_path / "ratings.csv.gz", "wt", encoding="utf-8") as file:
        file.write("1,11,4.5,980730861\n")
    items, events = read_movielens(tmp_path)
    assert items[0].title == "American President, The (1995)"
    assert (items[0].tags, items[0].features) == (("Comedy", "Drama"), {"year": 1995.0})
    assert (items[1].tags, dict(items[1].features)) == ((), {})
    assert (events[0].user, events[0].value, events[0].time.year) == ("1", 4.5, 2001)
