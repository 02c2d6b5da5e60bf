"""What a fitted recommender does for known users, new users, new items, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.assistants.recommend import tea_shop
from tests.assistants.recommend.tea_shop import START, WordEncoder, past_of_kind

from tailorbird.assistants.recommend.catalogue.log import past_of
from tailorbird.assistants.recommend.catalogue.records import Event, Item
from tailorbird.assistants.recommend.ranking.fitting import fit_recommender
from tailorbird.assistants.recommend.ranking.match import InterestEnsemble
from tailorbird.assistants.recommend.ranking.model import RecommendModel
from tailorbird.assistants.recommend.ranking.parts import vectors_of
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings
from tailorbird.errors import CorruptBundleError, DataError

SETTINGS = RecommendSettings(
    width=16,
    n_epochs=30,
    n_factors=8,
    n_candidates=20,
    ranker_fraction=0.4,
    n_threads=1,
    n_matches=2,
)
NOW = START + timedelta(days=200)


def fitted(
    items: list[Item], events: list[Event], cache: Path, *, said: list[str] | None = None
) -> RecommendModel:
    say = (said if said is not None else []).append
    return fit_recommender(items, events, SETTINGS, cache=cache, encoder=WordEncoder(), say=say)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RecommendModel:
    cache = tmp_path_factory.mktemp("cache")
    return fitted(tea_shop.items(), tea_shop.events(), cache)


def best(model: RecommendModel, history: list[Event], n: int = 5) -> list[str]:
    seen = {event.item for event in history}
    return [one.item for one in model.scores("u", history, now=NOW, exclude=seen, n=n)]


@pytest.mark.parametrize("kind", tea_shop.KINDS)
def test_whoever_loves_a_kind_is_shown_more_of_it(model: RecommendModel, kind: str) -> None:
    shown = best(model, past_of_kind(kind))
    assert sum(item.startswith(kind) for item in shown) >= 4


def test_one_click_is_enough_to_turn_the_list(model: RecommendModel) -> None:
    for kind in tea_shop.KINDS:
        shown = best(model, past_of_kind(kind, 1))
        assert sum(item.startswith(kind) for item in shown) >= 3


def test_the_order_in_time_counts_and_that_of_the_argument_does_not(model: RecommendModel) -> None:
    lamps, teas = past_of_kind("lamp", 4), past_of_kind("tea", 4)
    day = timedelta(days=1)
    mixed = lamps + [replace(event, time=event.time + day) for event in teas]
    swapped = teas + [replace(event, time=event.time + day) for event in lamps]
    assert best(model, mixed) == best(model, mixed[::-1])
    users = [
        model.parts.user(past_of(events, model.places.of, model.scale))
        for events in (mixed, mixed[::-1], swapped)
    ]
    np.testing.assert_array_equal(users[0], users[1])
    assert not np.allclose(users[0], users[2], atol=1e-3)


def test_matches_together_score_as_they_do_in_the_mean(model: RecommendModel) -> None:
    parts, interest = model.parts, model.parts.interest
    assert interest is not None
    past = past_of(past_of_kind("lamp", 4), model.places.of, model.scale)
    alone = []
    for member in interest.members:
        one = InterestEnsemble([member])
        recent = parts.popularity.recent
        vectors = vectors_of(one, parts.catalogue.features, recent, own=True)
        alone.append(vectors[:, :-1] @ replace(parts, interest=one, vectors=vectors).user(past))
    assert len(alone) == SETTINGS.n_matches
    assert np.abs(alone[0] - alone[1]).max() > 0.1  # each has a seed of its own
    together = parts.vectors[:, :-1] @ parts.user(past)
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-5)


def test_whoever_is_new_sees_what_is_popular(model: RecommendModel) -> None:
    listed = model.scores(None, [], now=NOW, n=6)
    assert len(listed) == 6
    assert {one.reason.kind for one in listed} == {"popular"}
    recent = model.parts.popularity.recent
    places = [model.places.of[one.item] for one in listed]
    assert recent[places].min() >= np.sort(recent)[-6] - 1e-6


def test_reasons_name_a_liked_item_and_what_lifted_the_item(model: RecommendModel) -> None:
    history = past_of_kind("tea")
    listed = model.scores("u", history, now=NOW, exclude={e.item for e in history})
    (first,) = model.explain(history, listed[:1], now=NOW)
    assert first.reason.kind == "liked"
    assert first.reason.item in {event.item for event in history}
    assert first.reason.feature in model.feature_names
    assert first.reason.feature not in ("past_events", "past_mainstream", "idle_days")
    together = model.explain(history, listed, now=NOW)
    assert together[0].reason == first.reason
    assert [(one.item, one.score) for one in together] == [(one.item, one.score) for one in listed]
    assert model.explain([], listed[:2], now=NOW) == listed[:2]


def test_a_new_item_is_recommended_by_its_words_at_once(tmp_path: Path) -> None:
    known = [item for item in tea_shop.items() if item.id not in ("tea3", "bike3")]
    model = fitted(known, tea_shop.events(), tmp_path)
    fresh = [item for item in tea_shop.items() if item.id in ("tea3", "bike3")]
    everything = {item.id for item in known}
    history = past_of_kind("tea", 3)
    assert model.scores("u", history, now=NOW, exclude=everything) == []
    model.add_items(fresh)
    model.add_items(fresh)
    listed = model.scores("u", history, now=NOW, exclude=everything)
    assert [one.item for one in listed] == ["tea3", "bike3"]
    assert "match" in listed[0].sources


def test_excluded_items_and_later_events_are_not_looked_at(model: RecommendModel) -> None:
    history = past_of_kind("tea")
    later = [replace(e, time=NOW + timedelta(days=1)) for e in past_of_kind("bike", 9)]
    one = model.scores("u", history, now=NOW)
    other = model.scores("u", history + later, now=NOW)
    assert [s.item for s in one] == [s.item for s in other]
    assert not {"tea7", "gone"} & {
        s.item for s in model.scores("u", history, now=NOW, exclude={"tea7", "gone"})
    }


def test_a_saved_model_gives_the_same_lists(model: RecommendModel, tmp_path: Path) -> None:
    identity = model.save(tmp_path / "model")
    again = RecommendModel.load(tmp_path / "model", encoder=WordEncoder())
    assert again.id == identity == model.id
    history = past_of_kind("lamp")
    one, other = (
        m.explain(history, m.scores("u", history, now=NOW, n=10), now=NOW) for m in (model, again)
    )
    assert [(s.item, s.score, s.reason) for s in one] == [
        (s.item, s.score, s.reason) for s in other
    ]
    again.add_items([Item("lamp99", "lamp number99", tags=("lamp",))])
    assert again.save(tmp_path / "model") != identity
    assert "lamp99" in RecommendModel.load(tmp_path / "model", encoder=WordEncoder()).places.of


@pytest.mark.parametrize("name", ["model.json", "arrays.safetensors", "ranker.txt"])
def test_an_altered_file_is_refused(model: RecommendModel, tmp_path: Path, name: str) -> None:
    model.save(tmp_path / "model")
    file = tmp_path / "model" / name
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(CorruptBundleError, match=name):
        RecommendModel.load(tmp_path / "model", encoder=WordEncoder())


def test_a_file_too_much_is_refused(model: RecommendModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    (tmp_path / "model" / "own.pkl").write_bytes(b"")
    with pytest.raises(CorruptBundleError, match=r"own\.pkl"):
        RecommendModel.load(tmp_path / "model", encoder=WordEncoder())


def test_nothing_that_is_saved_is_a_pickle(model: RecommendModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {
        "manifest.json",
        "model.json",
        "arrays.safetensors",
        "match.safetensors",
        "ranker.txt",
    }
    json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))


def test_items_without_words_are_said_and_still_recommended(tmp_path: Path) -> None:
    bare = [replace(item, title="", tags=()) for item in tea_shop.items()]
    said: list[str] = []
    model = fitted(bare, tea_shop.events(), tmp_path, said=said)
    assert any("36 of 36 have no words" in sentence for sentence in said)
    shown = best(model, past_of_kind("tea"))
    assert sum(item.startswith("tea") for item in shown) >= 3


def test_equal_ratings_and_a_busy_user_and_unknown_items_are_said(tmp_path: Path) -> None:
    events = [replace(event, value=3.0) for event in tea_shop.events()]
    first = events[0]
    events += [
        replace(first, user="busy", item=f"tea{k % 12}", time=START + timedelta(seconds=k))
        for k in range(10_000)
    ]
    events.append(replace(first, item="gone"))
    said: list[str] = []
    model = fitted(tea_shop.items(), events, tmp_path, said=said)
    text = "\n".join(said)
    assert "none is above another" in text
    assert "1 users have more than 5,000" in text
    assert "1 are of 1 items that are not in the catalogue" in text
    assert tuple(said) >= model.decisions[:1]
    assert sum(item.startswith("lamp") for item in best(model, past_of_kind("lamp"))) >= 3


def test_too_little_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="5 events of known items are too few"):
        fitted(tea_shop.items(), tea_shop.events()[:5], tmp_path)
    with pytest.raises(DataError, match="there are no items"):
        fitted([], tea_shop.events(), tmp_path)
    at_once = [replace(event, time=START) for event in tea_shop.events()]
    with pytest.raises(DataError, match="all events happened at one time"):
        fitted(tea_shop.items(), at_once, tmp_path)


def test_without_the_match_the_model_still_ranks(tmp_path: Path) -> None:
    settings = replace(SETTINGS, n_matches=0)
    model = fit_recommender(
        tea_shop.items(), tea_shop.events(), settings, cache=tmp_path, encoder=WordEncoder()
    )
    listed = model.scores("u", past_of_kind("tea"), now=NOW)
    assert all("match" not in one.features for one in listed)
    model.save(tmp_path / "model")
    again = RecommendModel.load(tmp_path / "model", encoder=WordEncoder())
    assert best(again, past_of_kind("tea")) == best(model, past_of_kind("tea"))
