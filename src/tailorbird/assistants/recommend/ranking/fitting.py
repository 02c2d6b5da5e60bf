"""From items and events to a model; whatever is decided on the way is said.

The events are cut in time, at the last `RecommendSettings.ranker_fraction` of them. Match, ALS,
neighbours and counts are fitted to what lies before the cut; the ranker learns, at moments after
it, to order candidates by features from those. Then all parts but the ranker are fitted once more,
to all events: a feature means the same then, and knows what happened lately.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.log import Log, Places, build_log, scale_of
from tailorbird.assistants.recommend.catalogue.moments import Moment, moments_of
from tailorbird.assistants.recommend.catalogue.records import Event, Item
from tailorbird.assistants.recommend.ranking.candidates import find_candidates
from tailorbird.assistants.recommend.ranking.content import fit_content
from tailorbird.assistants.recommend.ranking.encoding import EncodesItems, TrunkEncoder
from tailorbird.assistants.recommend.ranking.features import compute_features, feature_names
from tailorbird.assistants.recommend.ranking.model import RecommendModel, encode_items
from tailorbird.assistants.recommend.ranking.parts import Parts, catalogue_of, fit_parts
from tailorbird.assistants.recommend.ranking.ranker import RankerRows, fit_ranker
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings
from tailorbird.errors import DataError

Say = Callable[[str], None]

MAX_LEARNED = 5_000
"""Events of one user that are learned from, the latest: nobody outweighs all others."""
N_MOMENTS = 8
"""Of each user, in what the ranker learns from."""
MIN_EVENTS = 20


@dataclass(frozen=True, slots=True)
class Cut:
    """Events before a moment as a log, and all of them by the same rating scale."""

    time_s: float
    early: Log
    whole: Log


def fit_recommender(
    items: Iterable[Item],
    events: Iterable[Event],
    settings: RecommendSettings | None = None,
    *,
    cache: Path,
    encoder: EncodesItems | None = None,
    say: Say = lambda _: None,
) -> RecommendModel:
    """Learn from *events* what to recommend of *items*.

    Args:
        items: the catalogue; of one id the last counts.
        events: in any order; those of unknown items are left out and counted.
        settings: see the class.
        cache: folder of unpacked weights and of item vectors.
        encoder: reads the words of items, in place of ``settings.backbone``.
        say: is told what is done and what was decided.

    Raises DataError where there is too little to learn from.
    """
    settings = settings or RecommendSettings()
    decisions: list[str] = []

    def decide(sentence: str) -> None:
        decisions.append(sentence)
        say(sentence)

    known = _catalogue(items, decide)
    events = list(events)
    places = Places(item.id for item in known)
    whole = build_log(events, places, say=decide)
    cut = cut_of(events, whole, places, settings.ranker_fraction)
    _describe(whole, known, cut, decide)
    texts = [item.text for item in known if item.text]
    encoder = encoder or TrunkEncoder(settings.backbone, cache, texts=texts, say=decide)
    vectors = encode_items(encoder, known, width=1)
    content = fit_content(known, vectors)
    catalogue = catalogue_of(content, known, vectors)
    say("fitting: match, ALS, neighbours and counts, to the events before the cut")
    early = fit_parts(cut.early.latest_of_each(MAX_LEARNED), catalogue, settings)
    rows = ranker_rows(early, cut, settings)
    n_lists, n_liked = len(rows.sizes), int(rows.label.sum())
    decide(f"ranker: {n_lists:,} lists of later moments, {n_liked:,} candidates liked in them")
    names = feature_names(tuple(content.knots))
    ranker = fit_ranker(rows, names, settings)
    say("fitting: the same once more, to all events")
    parts = fit_parts(whole.latest_of_each(MAX_LEARNED, say=decide), catalogue, settings)
    return RecommendModel(
        settings,
        content,
        places,
        [item.tags for item in known],
        whole.scale,
        parts,
        ranker,
        encoder,
        tuple(decisions),
    )


def cut_of(events: Sequence[Event], whole: Log, places: Places, fraction: float) -> Cut:
    """The moment after which *fraction* of the events lie.

    Nothing in ``early`` knows of what came later, the scale of ratings neither.
    """
    time_s = float(np.quantile(whole.past.time, 1 - fraction))
    before = [event for event in events if event.time.timestamp() < time_s]
    if not before:
        raise DataError(
            "all events happened at one time, so none are later than others",
            cure="check the column of times",
        )
    early_scale = scale_of(event for event in before if event.item in places.of)
    later = build_log(events, places, scale=early_scale)
    return Cut(time_s, later.before(time_s), later)


def ranker_rows(parts: Parts, cut: Cut, settings: RecommendSettings) -> RankerRows:
    """Candidates at moments after the cut, by what was known before it.

    Of the user's own past each moment knows all before itself, as a service does.
    """
    rng = np.random.default_rng(settings.seed)
    shares = np.sort(rng.random(N_MOMENTS))
    until = float(cut.whole.past.time.max()) + 1.0
    features, labels, sizes = [], [], []
    for moment in moments_of(cut.whole, cut.time_s, until, shares=shares):
        found, row = features_at(parts, moment, settings)
        label = np.isin(found, moment.targets).astype(np.int64)
        if label.any():  # a list with nothing liked teaches no order
            features.append(row)
            labels.append(label)
            sizes.append(len(label))
    if not features:
        return RankerRows(np.zeros((0, 0), np.float32), np.zeros(0, np.int64), [])
    return RankerRows(np.concatenate(features), np.concatenate(labels), sizes)


def features_at(
    parts: Parts, moment: Moment, settings: RecommendSettings
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(C,) candidates of a moment and their features (C, J)."""
    is_excluded = np.zeros(len(parts.catalogue), dtype=bool)
    is_excluded[moment.seen] = True
    found = find_candidates(parts, moment.past, n=settings.n_candidates, is_excluded=is_excluded)
    return found.item, compute_features(parts, moment.past, found, now_s=moment.now_s)


def _catalogue(items: Iterable[Item], say: Say) -> list[Item]:
    """Each id once; raises DataError where there is none."""
    listed = list(items)
    known = list({item.id: item for item in listed}.values())
    if not known:
        raise DataError("there are no items to recommend", cure="give a file with a row an item")
    if len(listed) > len(known):
        say(f"items: {len(listed) - len(known):,} ids came again; of each the last is taken")
    bare = [item.id for item in known if not item.text]
    if bare:
        say(
            f"items: {len(bare):,} of {len(known):,} have no words; they can be recommended by "
            f"what people do with them alone (first: {', '.join(map(repr, bare[:3]))})"
        )
    return known


def _describe(log: Log, items: Sequence[Item], cut: Cut, say: Say) -> None:
    n_events, n_users = len(log), len(log.users)
    if n_events < MIN_EVENTS:
        raise DataError(
            f"{n_events} events of known items are too few to learn from",
            cure=f"wait for {MIN_EVENTS}; until then what is popular needs no model",
        )
    touched = Counter(log.past.item.tolist())
    say(
        f"data: {n_events:,} events by {n_users:,} users on {len(touched):,} of {len(items):,} "
        f"items; the ranker learns from the last {len(log) - len(cut.early):,}"
    )
    if log.scale.deviation == 1.0 and not log.past.relative.any():
        say("ratings: none is above another, so a rated item counts as liked")
