"""How good lists are: every way of making them, at the same moments, over all unseen items.

A list is made at moments after a cut in time; models are fitted to what was before it and to
nothing else. Of the user's own past each moment knows all before itself, as a service does that
takes events while it runs. What the user liked afterwards is to be found; every item that they
have not touched is ranked, no negatives are sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.log import Log, Places, build_log, scale_of
from tailorbird.assistants.recommend.catalogue.moments import Moment, moments_of
from tailorbird.assistants.recommend.catalogue.records import Event
from tailorbird.assistants.recommend.ranking.candidates import find_candidates
from tailorbird.assistants.recommend.ranking.features import compute_features
from tailorbird.assistants.recommend.ranking.model import RecommendModel
from tailorbird.errors import DataError

SHARES = (0.0, 0.25, 0.5, 0.75)
"""Of what a user does after the cut, how much is done at each moment."""
MIN_PAST = 10
"""Items before a moment that make a user known."""
K = 10

Order = Callable[[Moment], NDArray[np.int64]]
"""The best places for a moment, best first, none of them seen; `K` where there are."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is fitted to and what is judged, on one side of a cut each."""

    places: Places
    fitted: list[Event]
    """Events before the cut."""
    log: Log
    """The same."""
    moments: list[Moment]
    """After it."""


def window_of(
    ids: Collection[str],
    events: Sequence[Event],
    *,
    since: float = 0.8,
    until: float = 1.0,
) -> Window:
    """A cut after the share *since* of all events, by time; what is after *until* is not looked at.

    Raises DataError where nothing lies before the cut or nobody likes anything after it.
    """
    times = np.array([event.time.timestamp() for event in events])
    if not len(times):
        raise DataError("there are no events", cure="give a file with a row an event")
    begin, end = float(np.quantile(times, since)), float(np.quantile(times, until))
    end += 1.0 if until == 1.0 else 0.0  # the last event, too
    fitted = [event for event, time in zip(events, times, strict=True) if time < begin]
    seen = [event for event, time in zip(events, times, strict=True) if time < end]
    places = Places(ids)
    scale = scale_of(event for event in fitted if event.item in places.of)
    whole = build_log(seen, places, scale=scale)
    moments = moments_of(whole, begin, end, shares=SHARES)
    if not fitted or not moments:
        raise DataError(
            "nothing lies before the cut in time, or nothing is liked after it",
            cure="check the times, or give more events",
        )
    return Window(places, fitted, whole.before(begin), moments)


def known(moments: Sequence[Moment]) -> list[Moment]:
    """Those of users with enough of a past."""
    return [moment for moment in moments if len(moment.seen) >= MIN_PAST]


def with_few(moments: Sequence[Moment], n: int) -> list[Moment]:
    """The same moments, but only the last *n* events are known; 0 makes everybody new."""
    return [replace(moment, past=moment.past.latest(n)) for moment in moments]


def ndcg_of(order: NDArray[np.int64], targets: NDArray[np.int64], k: int = K) -> float:
    """NDCG@k of one list, relevance 0 or 1.

    >>> round(ndcg_of(np.array([4, 7, 9]), np.array([7, 8])), 4)
    0.3869
    """
    hits = np.isin(order[:k], targets)
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = discount[: min(k, len(targets))].sum()
    return float((hits * discount[: len(hits)]).sum() / best)


def by_user(order: Order, moments: Sequence[Moment]) -> dict[int, float]:
    """User → mean NDCG over their moments."""
    found: dict[int, list[float]] = {}
    for moment in moments:
        found.setdefault(moment.user, []).append(ndcg_of(order(moment), moment.targets))
    return {user: float(np.mean(values)) for user, values in found.items()}


def mean(values: Mapping[int, float]) -> float:
    """Over users, each counting once."""
    return float(np.mean(list(values.values())))


def top(scores: NDArray[np.floating], moment: Moment, k: int = K) -> NDArray[np.int64]:
    """The *k* best unseen places by (M,) scores."""
    left = np.array(scores, dtype=np.float64)
    left[moment.seen] = -np.inf
    k = min(k, len(left))
    best = np.argpartition(-left, k - 1)[:k]
    best = best[np.argsort(-left[best], kind="stable")]
    return best[np.isfinite(left[best])]


def ranked_by(model: RecommendModel, among: NDArray[np.bool_] | None = None) -> Order:
    """The order of a model, as `RecommendModel.scores` makes it; *among* (M,) restricts it."""

    def order(moment: Moment) -> NDArray[np.int64]:
        parts = model.parts
        n_items = len(parts.catalogue)
        is_excluded = np.zeros(n_items, dtype=bool) if among is None else ~among
        is_excluded = is_excluded.copy()
        is_excluded[moment.seen] = True
        found = find_candidates(
            parts, moment.past, n=model.settings.n_candidates, is_excluded=is_excluded
        )
        if not len(moment.past):
            scores = found.scores["recent"][found.item].astype(np.float64)
        else:
            features = compute_features(parts, moment.past, found, now_s=moment.now_s)
            scores = model.ranker.scores(features)
        return found.item[np.argsort(-scores, kind="stable")[:K]]

    return order


def ways_of(model: RecommendModel) -> dict[str, Order]:
    """The sources of a model, each alone: popularity, ALS, neighbours and match."""
    parts = model.parts
    ways: dict[str, Order] = {
        "popularity": lambda moment: top(parts.popularity.recent, moment),
        "als": lambda moment: top(parts.als.scores(moment.past), moment),
        "neighbours": lambda moment: top(parts.knn.scores(moment.past), moment),
    }
    if parts.interest is not None:
        ways["match"] = lambda moment: _by_match(model, moment)
    return ways


def _by_match(model: RecommendModel, moment: Moment) -> NDArray[np.int64]:
    scores = model.parts.match(moment.past)
    return top(model.parts.popularity.recent if scores is None else scores, moment)
