"""Nothing that a list is made of knows what happened later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.assistants.recommend import tea_shop
from tests.assistants.recommend.tea_shop import START

from tailorbird.assistants.recommend.catalogue.log import Places, build_log
from tailorbird.assistants.recommend.catalogue.moments import moments_of
from tailorbird.assistants.recommend.catalogue.records import Event
from tailorbird.assistants.recommend.ranking.content import fit_content
from tailorbird.assistants.recommend.ranking.fitting import Cut, cut_of, features_at, ranker_rows
from tailorbird.assistants.recommend.ranking.model import encode_items
from tailorbird.assistants.recommend.ranking.parts import catalogue_of, fit_parts
from tailorbird.assistants.recommend.ranking.popularity import trend_of
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings

SETTINGS = RecommendSettings(
    width=8, n_epochs=2, n_factors=4, n_candidates=20, n_threads=1, n_matches=2
)
CUT = START + timedelta(days=35)
NOW = CUT + timedelta(days=3, minutes=30)
"""Within what the fourth user after the cut does."""


def features_of(events: list[Event]) -> tuple[np.ndarray, np.ndarray]:
    """Candidates and their features at `NOW`, of the user who is amid something then."""
    items = tea_shop.items()
    places = Places(item.id for item in items)
    vectors = encode_items(tea_shop.WordEncoder(), items)
    catalogue = catalogue_of(fit_content(items, vectors), items, vectors)
    before = [event for event in events if event.time < CUT]
    early = build_log(before, places)
    whole = build_log(events, places, scale=early.scale)
    parts = fit_parts(early, catalogue, SETTINGS)
    user = next(k for k, name in enumerate(whole.users) if name == "u38")
    found = moments_of(whole, NOW.timestamp(), NOW.timestamp() + 1e9, shares=(0.0,))
    (moment,) = [moment for moment in found if moment.user == user]
    return features_at(parts, replace(moment, now_s=NOW.timestamp()), SETTINGS)


def later(event: Event) -> bool:
    return event.time >= NOW


CHANGES: dict[str, Callable[[Event], list[Event]]] = {
    "shifted by a year": lambda e: [replace(e, time=e.time + timedelta(days=365))],
    "rated otherwise": lambda e: [replace(e, value=100.0)],
    "of other items, many times": lambda e: [replace(e, item="bike3")] * 40 + [e],
    "by new users": lambda e: [e, *(replace(e, user=f"late{k}") for k in range(20))],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_feature_changes_when_later_events_do(change: Callable[[Event], list[Event]]) -> None:
    events = tea_shop.events()
    changed = [new for e in events for new in (change(e) if later(e) else [e])]
    assert len([e for e in events if later(e)]) > 50
    assert changed != events
    candidates, features = features_of(events)
    again, same = features_of(changed)
    np.testing.assert_array_equal(candidates, again)
    np.testing.assert_array_equal(features, same)


def test_features_do_change_when_earlier_events_do() -> None:
    events = tea_shop.events()
    changed = [replace(e, item="bike3") if e.user == "u38" and not later(e) else e for e in events]
    _, features = features_of(events)
    _, other = features_of(changed)
    assert features.shape != other.shape or not np.allclose(features, other, equal_nan=True)


def test_the_ranker_learns_from_moments_after_what_its_features_know() -> None:
    events = tea_shop.events()
    items = tea_shop.items()
    places = Places(item.id for item in items)
    cut: Cut = cut_of(events, build_log(events, places), places, 0.25)
    assert cut.early.past.time.max() < cut.time_s
    assert cut.early.scale == cut.whole.scale
    changed = [replace(e, value=1.0) if e.time.timestamp() >= cut.time_s else e for e in events]
    other = cut_of(changed, build_log(changed, places), places, 0.25)
    assert other.early.scale == cut.early.scale
    np.testing.assert_array_equal(other.early.past.relative, cut.early.past.relative)
    vectors = encode_items(tea_shop.WordEncoder(), items)
    catalogue = catalogue_of(fit_content(items, vectors), items, vectors)
    rows = ranker_rows(fit_parts(cut.early, catalogue, SETTINGS), cut, SETTINGS)
    assert len(rows.sizes) >= 11
    assert sum(rows.sizes) == len(rows.label) == len(rows.features)


def test_popularity_while_tuning_is_that_of_before() -> None:
    events = tea_shop.events()
    places = Places(item.id for item in tea_shop.items())
    log = build_log(events, places)
    trend = trend_of(log, half_life_days=1e9)
    assert np.ptp(trend.logs[0]) == 0
    step = int(trend.step_of(np.array([NOW.timestamp()]))[0])
    before = log.before(float(trend.starts[step])).past
    counts = np.bincount(before.item, before.strength * before.is_liked, minlength=len(places))
    np.testing.assert_allclose(trend.logs[step], np.log(counts + 0.5), rtol=1e-5)
    assert trend.starts[step] <= NOW.timestamp()
