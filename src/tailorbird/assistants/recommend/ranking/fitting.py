"""From items and events to a model; whatever is decided on the way is said.

The events are cut in time, at the last `RecommendSettings.ranker_fraction` of them. Match, ALS,
neighbours and counts are fitted to what lies before the cut; the ranker learns, at moments after
it, to order candidates by features from those. Then all parts but the ranker are fitted once more,
to all events: a feature means the same then, and knows what happened lately.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
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
N_NEW_MOMENTS = 2
"""Of each user, with lists of new items alone; as many as the others would cost known users 3 %."""
MIN_EVENTS = 20
NEW_FRACTION = 0.2
"""Items that are taken for new while the ranker learns to order new ones."""
TASTES = (0.15, 0.3, 0.5, 0.75, 1.0)


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
    early = fit_parts(cut.early.latest_of_each(MAX_LEARNED), catalogue, settings, say=say)
    early = replace(early, taste=taste_of(early, cut, say=decide))
    rows = ranker_rows(early, cut, settings)
    n_lists, n_liked = len(rows.sizes), int(rows.label.sum())
    decide(f"ranker: {n_lists:,} lists of later moments, {n_liked:,} candidates liked in them")
    names = feature_names(tuple(content.knots))
    ranker = fit_ranker(rows, names, settings)
    say("fitting: the same once more, to all events")
    learned = whole.latest_of_each(MAX_LEARNED, say=decide)
    parts = fit_parts(learned, catalogue, settings, say=say)
    parts = replace(parts, taste=early.taste)
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

    Of the user's own past each moment knows all before itself, as a service does. Some lists are
    among items that are taken for new, so that the trees learn to order those by content.
    """
    rng = np.random.default_rng(settings.seed)
    is_new = rng.random(len(parts.catalogue)) < NEW_FRACTION
    features, labels, sizes = [], [], []
    bare = parts.as_new(is_new)
    sides = ((parts, None, N_MOMENTS), (bare, is_new, N_NEW_MOMENTS))
    for known, allowed, n_moments in sides:
        for moment in _moments(cut, rng, n=n_moments):
            found, row = features_at(known, moment, settings, among=allowed)
            label = np.isin(found, moment.targets).astype(np.int64)
            if label.any():  # a list with nothing liked teaches no order
                features.append(row)
                labels.append(label)
                sizes.append(len(label))
    if not features:
        return RankerRows(np.zeros((0, 0), np.float32), np.zeros(0, np.int64), [])
    return RankerRows(np.concatenate(features), np.concatenate(labels), sizes)


def taste_of(parts: Parts, cut: Cut, *, say: Say) -> float:
    """How much taste counts beside popularity: the `TASTES` with the best lists after the cut.

    What is learned of taste is surer of itself than it should be of users it never saw.
    """
    if parts.interest is None:
        return 1.0
    rng = np.random.default_rng(0)
    moments = [moment for moment in _moments(cut, rng, n=2) if len(moment.past)]
    found = dict.fromkeys(TASTES, 0.0)
    bias = parts.vectors[:, -1]
    for moment in moments:
        liking = parts.vectors[:, :-1] @ parts.user(moment.past)
        for taste in TASTES:
            scores = taste * liking + bias
            scores[moment.seen] = -np.inf
            best = np.argpartition(-scores, min(20, len(scores) - 1))[:20]
            found[taste] += np.isin(best, moment.targets).sum() / min(20, len(moment.targets))
    best_taste = max(TASTES, key=lambda taste: found[taste])
    say(f"match: taste counts {best_taste:g} beside popularity (best on the later events)")
    return best_taste


def _moments(cut: Cut, rng: np.random.Generator, *, n: int) -> list[Moment]:
    """Of everybody who did something after the cut, *n* at random."""
    until = float(cut.whole.past.time.max()) + 1.0
    return moments_of(cut.whole, cut.time_s, until, shares=np.sort(rng.random(n)))


def features_at(
    parts: Parts,
    moment: Moment,
    settings: RecommendSettings,
    *,
    among: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(C,) candidates of a moment, of those *among* (M,), and their features (C, J)."""
    is_excluded = np.zeros(len(parts.catalogue), dtype=bool) if among is None else ~among
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
