"""A fitted recommender: whoever did whatever → candidates with scores and reasons.

model = RecommendModel.load(folder)
best = model.scores("ann", history, now=utc_now())
shown = model.explain(history, diversify(best, n=20, dial=0.2), now=utc_now())
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.catalogue.log import (
    MAX_PAST,
    Past,
    Places,
    RatingScale,
    past_of,
)
from tailorbird.assistants.recommend.catalogue.records import Event, Item
from tailorbird.assistants.recommend.ranking.candidates import (
    SOURCES,
    Candidates,
    find_candidates,
)
from tailorbird.assistants.recommend.ranking.content import Content
from tailorbird.assistants.recommend.ranking.encoding import EncodesItems, TrunkEncoder
from tailorbird.assistants.recommend.ranking.features import compute_features, feature_names
from tailorbird.assistants.recommend.ranking.parts import Parts
from tailorbird.assistants.recommend.ranking.ranker import Ranker
from tailorbird.assistants.recommend.ranking.reasons import places_in_space, reasons_of
from tailorbird.assistants.recommend.ranking.scored import (
    POPULAR,
    UNEXPLAINED,
    Reason,
    Scored,
)
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings
from tailorbird.assistants.recommend.ranking.threads import one_thread

Floats = NDArray[np.float32]

NAMED_BY = [
    tuple(name for k, name in enumerate(SOURCES) if bits >> k & 1)
    for bits in range(1 << len(SOURCES))
]
"""Who named a candidate, by the bits of `SOURCES`."""


@dataclass(slots=True)
class RecommendModel:
    """Everything that a list needs; threads may ask at once, but add items one at a time."""

    settings: RecommendSettings
    content: Content
    places: Places
    tags: list[tuple[str, ...]]
    """Of each item, its categories."""
    scale: RatingScale
    parts: Parts
    ranker: Ranker
    encoder: EncodesItems
    """Reads the words of new items; loads nothing before there are some."""
    decisions: tuple[str, ...] = ()
    """What was decided while fitting, and why."""
    id: str = field(default="", init=False)
    """16 hex digits, of the bytes of all files."""

    def __post_init__(self) -> None:
        from tailorbird.assistants.recommend.ranking.folder import id_of

        self.id = id_of(self)

    @classmethod
    def load(
        cls, folder: Path, *, encoder: EncodesItems | None = None, cache: Path | None = None
    ) -> RecommendModel:
        """The model that `save` put into *folder*, each file checked by its sha256.

        Args:
            folder: what was saved.
            encoder: reads the words of new items; else the backbone that the model was fitted with.
            cache: where that backbone is unpacked and its vectors are kept; else in *folder*'s
                parent.

        Raises CorruptBundleError where a file is missing, altered or too much.
        """
        from tailorbird.assistants.recommend.ranking.folder import read_folder

        facts, own = read_folder(folder)
        if encoder is None:
            encoder = TrunkEncoder(own, cache or folder.parent / "cache")
        return cls(**facts, encoder=encoder)

    def save(self, folder: Path) -> str:
        """Write all files to *folder*, which is made or replaced; the id of what was written."""
        from tailorbird.assistants.recommend.ranking.folder import write_folder

        self.id = write_folder(self, folder)
        return self.id

    def scores(
        self,
        user: str | None,
        history: Sequence[Event],
        *,
        now: datetime,
        exclude: Collection[str] = (),
        n: int = 200,
    ) -> list[Scored]:
        """At most *n* candidates, best first; `explain` finds the reasons of those to be shown.

        Args:
            user: nobody in particular is None; histories say all that the model wants to know.
            history: what they did, in any order; what was after *now* is not looked at. Empty:
                what is popular lately.
            now: when the list is made.
            exclude: ids of items that must not be in it.
            n: how many are wanted.
        """
        del user
        with one_thread():
            return self._best(self._past(history, now), now=now, exclude=exclude, n=n)

    def _best(self, past: Past, *, now: datetime, exclude: Collection[str], n: int) -> list[Scored]:
        is_excluded = np.zeros(len(self.places), dtype=bool)
        is_excluded[[self.places.of[one] for one in exclude if one in self.places.of]] = True
        per_source = self.settings.n_candidates if len(past) else n
        found = find_candidates(self.parts, past, n=per_source, is_excluded=is_excluded)
        if not len(found.item):
            return []
        features = compute_features(self.parts, past, found, now_s=now.timestamp())
        if not len(past):
            return self._popular(found, features, n)
        scores = self.ranker.scores(features)
        best = np.argsort(-scores, kind="stable")[:n]
        return self._scored(found, features, scores, best, UNEXPLAINED)

    def explain(
        self, history: Sequence[Event], shown: Sequence[Scored], *, now: datetime
    ) -> list[Scored]:
        """*shown*, which `scores` gave for the same *history* and moment, with their reasons."""
        past = self._past(history, now)
        if not shown or not len(past):
            return list(shown)
        names, missing = self.feature_names, float("nan")
        features = np.array(
            [[one.features.get(name, missing) for name in names] for one in shown], np.float32
        )
        places = np.array([self.places.of[one.item] for one in shown])
        with one_thread():
            contributions = self.ranker.contributions(features)
            found = reasons_of(self.parts, past, places, contributions, names, self.places.ids)
        return [replace(one, reason=why) for one, why in zip(shown, found, strict=True)]

    def _past(self, history: Sequence[Event], now: datetime) -> Past:
        before = [event for event in history if event.time <= now]
        return past_of(before, self.places.of, self.scale).latest(MAX_PAST)

    def add_items(self, items: Sequence[Item]) -> None:
        """Know *items*, too: by words, tags and numbers alone, and recommendable at once.

        Of those that are known already nothing changes.
        """
        new = list({item.id: item for item in items}.values())
        new = [item for item in new if item.id not in self.places.of]
        if not new:
            return
        texts = encode_items(self.encoder, new, width=len(self.content.text_mean))
        self.parts = self.parts.with_items(self.content, new, texts)
        self.tags = [*self.tags, *(item.tags for item in new)]
        places = Places([*self.places.ids, *(item.id for item in new)])
        self.places = places

    def _popular(self, found: Candidates, features: Floats, n: int) -> list[Scored]:
        scores = np.log(np.maximum(found.scores["recent"][found.item], 1e-9))
        best = np.argsort(-scores, kind="stable")[:n]
        return self._scored(found, features, scores, best, POPULAR)

    @property
    def feature_names(self) -> list[str]:
        """J names of what the ranker looks at."""
        return feature_names(tuple(self.content.knots))

    def _scored(
        self,
        found: Candidates,
        features: Floats,
        scores: NDArray[np.floating[Any]],
        best: NDArray[np.int64],
        reason: Reason,
    ) -> list[Scored]:
        names, vectors, ids = self.feature_names, places_in_space(self.parts), self.places.ids
        rows = features[best]
        has_gaps = np.isnan(rows.sum(axis=1)).tolist()
        bits = np.zeros(len(best), dtype=np.int64)  # (n,)
        for k in range(len(SOURCES)):
            bits |= found.named_by[best, k].astype(np.int64) << k
        listed = []
        for row, k in enumerate(best):
            place = int(found.item[k])
            values = dict(zip(names, rows[row].tolist(), strict=True))
            if has_gaps[row]:
                values = {name: value for name, value in values.items() if value == value}
            listed.append(
                Scored(
                    ids[place],
                    float(scores[k]),
                    NAMED_BY[bits[row]],
                    values,
                    vectors[place],
                    reason,
                    self.tags[place],
                )
            )
        return listed


def encode_items(encoder: EncodesItems, items: Sequence[Item], *, width: int = 0) -> Floats:
    """(M, W) vectors of what items say; zeros for those without a word."""
    said = [k for k, item in enumerate(items) if item.text]
    vectors = encoder.encode([items[k].text for k in said])
    width = vectors.shape[1] if len(said) else width
    found = np.zeros((len(items), width), np.float32)
    if said:
        found[said] = vectors
    return found
