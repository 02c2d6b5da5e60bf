"""What one would do instead: popularity, ALS and BM25-kNN of `implicit`, each at its best.

Every setting is chosen on the validation window; the test window is looked at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from tailorbird.assistants.recommend.catalogue.log import Log
from tailorbird.assistants.recommend.ranking.comparing import Order, Window, by_user, mean, top
from tailorbird.assistants.recommend.ranking.popularity import fit_popularity
from tailorbird.assistants.recommend.ranking.together import (
    AlsSettings,
    KnnSettings,
    fit_als,
    fit_knn,
)

HALF_LIVES = (30.0, 90.0, 180.0, 365.0, 730.0, 1e6)
"""Days; the last is as good as for ever."""

Fit = Callable[[Log], Order]


def popularity(half_life_days: float) -> Fit:
    """Counts, each halved for every half-life."""

    def fit(log: Log) -> Order:
        recent = fit_popularity(log, half_life_days=half_life_days).recent
        return lambda moment: top(recent, moment)

    return fit


def als(settings: AlsSettings, *, by_strength: bool) -> Fit:
    """ALS; a user's factors are solved for from what they did until the moment."""

    def fit(log: Log) -> Order:
        model = fit_als(log if by_strength else unweighted(log), settings, n_threads=1)

        def order(moment):  # type: ignore[no-untyped-def]
            past = moment.past
            if not by_strength:
                past = replace(past, strength=past.strength * 0 + 1)
            return top(model.scores(past), moment)

        return order

    return fit


def knn(settings: KnnSettings, *, by_strength: bool) -> Fit:
    """Item-kNN by BM25."""

    def fit(log: Log) -> Order:
        model = fit_knn(log if by_strength else unweighted(log), settings, n_threads=1)

        def order(moment):  # type: ignore[no-untyped-def]
            past = moment.past
            if not by_strength:
                past = replace(past, strength=past.strength * 0 + 1)
            return top(model.scores(past), moment)

        return order

    return fit


def unweighted(log: Log) -> Log:
    """Each event counts 1, however it was rated."""
    return replace(log, past=replace(log.past, strength=log.past.strength * 0 + 1))


def als_choices() -> Iterator[tuple[str, Fit]]:
    """Of the grid."""
    grid = itertools.product((16, 32, 64), (1.0, 10.0), (1.0, 5.0), (True, False))
    for n_factors, regularization, alpha, by_strength in grid:
        settings = AlsSettings(n_factors, regularization, alpha)
        name = f"{n_factors} factors, regularization {regularization:g}, alpha {alpha:g}"
        yield (
            f"{name}, {'weighted' if by_strength else 'plain'}",
            als(settings, by_strength=by_strength),
        )


def knn_choices() -> Iterator[tuple[str, Fit]]:
    """Of the grid."""
    grid = itertools.product((20, 100, 300), (0.3, 1.2), (0.2, 0.6), (True, False))
    for n, k1, b, by_strength in grid:
        name = f"{n} neighbours, K1 {k1:g}, B {b:g}, {'weighted' if by_strength else 'plain'}"
        yield name, knn(KnnSettings(n, k1, b), by_strength=by_strength)


def popularity_choices() -> Iterator[tuple[str, Fit]]:
    """Of the grid."""
    for half_life in HALF_LIVES:
        yield f"half-life {half_life:g} days", popularity(half_life)


def best_of(choices: Iterator[tuple[str, Fit]], window: Window) -> tuple[str, Fit, float]:
    """The name, the way and the NDCG of the best on the known users of *window*."""
    found = [(name, fit, mean(by_user(fit(window.log), window.moments))) for name, fit in choices]
    return max(found, key=lambda one: one[2])
