"""All that is known as of one moment: what the features of a candidate are computed from.

Shape letters: M items, F content features, G tags, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from tailorbird.assistants.recommend.catalogue.log import Log, Past, Say
from tailorbird.assistants.recommend.catalogue.records import Item
from tailorbird.assistants.recommend.ranking.content import Content, number_of
from tailorbird.assistants.recommend.ranking.match import (
    MAX_EVENTS,
    InterestEnsemble,
    degrees_of,
)
from tailorbird.assistants.recommend.ranking.match_fitting import fit_match
from tailorbird.assistants.recommend.ranking.near import MIN_EVENTS, Near, nearest
from tailorbird.assistants.recommend.ranking.popularity import (
    SMOOTHING,
    Popularity,
    fit_popularity,
    trend_of,
)
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings
from tailorbird.assistants.recommend.ranking.together import (
    Als,
    AlsSettings,
    Knn,
    KnnSettings,
    fit_als,
    fit_knn,
)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Catalogue:
    """Items as arrays; it grows with new items."""

    features: Floats
    """(M, F) content."""
    tags: Floats
    """(M, G)"""
    numbers: Floats
    """(M, numbers) of `Content.knots`, in their order; NaN where one is missing."""
    n_text: int
    """W, the first numbers of *features*, which are of what items say."""

    def __len__(self) -> int:
        return len(self.features)

    @property
    def texts(self) -> Floats:
        """(M, W) vectors of what items say."""
        return self.features[:, : self.n_text]

    @cached_property
    def text_lengths(self) -> Floats:
        """(M,) of the vectors of texts."""
        return _lengths(self.texts)

    def with_items(self, content: Content, items: Sequence[Item], texts: Floats) -> Catalogue:
        """The same and *items*, at the end."""
        new = catalogue_of(content, items, texts)
        return Catalogue(
            np.concatenate([self.features, new.features]),
            np.concatenate([self.tags, new.tags]),
            np.concatenate([self.numbers, new.numbers]),
            self.n_text,
        )


@dataclass(frozen=True)
class Parts:
    """Models fitted to the events before one moment; M items, and any that were added since."""

    catalogue: Catalogue
    interest: InterestEnsemble | None
    vectors: Floats
    """(M, D + 1) of the interest match, the last number a bias; width 0 without. D are the numbers
    of all its members."""
    als: Als
    knn: Knn
    popularity: Popularity
    near: Near | None = None
    """Which known items each reads like; None without the interest match."""
    taste: float = 1.0
    """How much the user's vector counts beside popularity; chosen on later events."""

    @cached_property
    def lengths(self) -> Floats:
        """(M,) of the vectors of the match, without their biases."""
        return _lengths(self.vectors[:, :-1])

    def match(self, past: Past) -> Floats | None:
        """(M,) logarithm of the chance that each item comes next; None where nothing is known."""
        if self.interest is None or not len(past):
            return None
        user = self.user(past)
        logits = self.taste * (self.vectors[:, :-1] @ user) + self.vectors[:, -1]
        top = logits.max()
        found: Floats = logits - top - np.log(np.exp(logits - top).sum())
        return found

    def user(self, past: Past) -> Floats:
        """(D,) the vector of whoever has this past, of one event at least."""
        assert self.interest is not None
        past = past.latest(MAX_EVENTS)
        with torch.inference_mode():
            vectors = torch.from_numpy(self.vectors[past.item, :-1])[None]  # (1, n, D)
            degrees = degrees_of(torch.from_numpy(past.relative).float())[None]
            users = self.interest.users(
                vectors, degrees, torch.ones_like(degrees, dtype=torch.bool)
            )
        found: Floats = users[0, -1].numpy()
        return found

    def with_items(self, content: Content, items: Sequence[Item], texts: Floats) -> Parts:
        """The same and new *items*, which nobody did anything with: content is all they have."""
        n_old = len(self.catalogue)
        catalogue = self.catalogue.with_items(content, items, texts)
        vectors = np.zeros((len(items), self.vectors.shape[1]), np.float32)
        if self.interest is not None:
            vectors = vectors_of(
                self.interest, catalogue.features[n_old:], np.zeros(len(items)), own=False
            )
        n = len(items)
        factors = np.zeros((n, self.als.items.shape[1]), np.float32)
        neighbours = self.knn.neighbours.copy()
        neighbours.resize((n_old + n, n_old + n))
        zeros = np.zeros(n, np.float32)
        p = self.popularity
        return Parts(
            catalogue,
            self.interest,
            np.concatenate([self.vectors, vectors]),
            replace(self.als, items=np.concatenate([self.als.items, factors])),
            Knn(neighbours),
            Popularity(
                np.concatenate([p.total, zeros]),
                np.concatenate([p.recent, zeros]),
                np.concatenate([p.liking, zeros]),
                np.concatenate([p.first, np.full(n, np.nan)]),
            ),
            self._near_of_new(catalogue, n_old),
            self.taste,
        )

    def _near_of_new(self, catalogue: Catalogue, n_old: int) -> Near | None:
        if self.near is None:
            return None
        lends = np.zeros(len(catalogue), dtype=bool)
        lends[:n_old] = self.popularity.total >= MIN_EVENTS
        return self.near.with_items(nearest(catalogue.texts, lends, since=n_old))

    def as_new(self, chosen: NDArray[np.bool_]) -> Parts:
        """The same, but of the *chosen* (M,) items content is all that is known."""
        vectors, factors = self.vectors.copy(), self.als.items.copy()
        if self.interest is not None:
            bare, n = self.catalogue.features[chosen], int(chosen.sum())
            vectors[chosen] = vectors_of(self.interest, bare, np.zeros(n), own=False)
        factors[chosen] = 0.0
        left = sparse.diags_array((~chosen).astype(np.float32))
        neighbours = sparse.csr_matrix(left @ self.knn.neighbours @ left)
        p = self.popularity

        def without(values: Floats) -> Floats:
            return np.where(chosen, 0.0, values).astype(np.float32)

        bare_counts = Popularity(
            without(p.total),
            without(p.recent),
            without(p.liking),
            np.where(chosen, np.nan, p.first),
        )
        lends = bare_counts.total >= MIN_EVENTS
        return replace(
            self,
            near=None if self.near is None else nearest(self.catalogue.texts, lends),
            vectors=vectors,
            als=replace(self.als, items=factors),
            knn=Knn(neighbours),
            popularity=bare_counts,
        )


def _lengths(vectors: Floats) -> Floats:
    found: Floats = np.linalg.norm(vectors, axis=1)
    return found


def catalogue_of(content: Content, items: Sequence[Item], texts: Floats) -> Catalogue:
    """Items as arrays; *texts* (M, W) are the vectors of what they say."""
    numbers = [[number_of(item, name) for name in content.knots] for item in items]
    return Catalogue(
        content.features(items, texts),
        content.tag_matrix(items),
        np.array(numbers, dtype=np.float32).reshape(len(items), len(content.knots)),
        len(content.text_mean),
    )


def fit_parts(
    log: Log,
    catalogue: Catalogue,
    settings: RecommendSettings,
    *,
    als: AlsSettings | None = None,
    knn: KnnSettings | None = None,
    say: Say = lambda _: None,
) -> Parts:
    """Everything that is learned from the events of *log*, and from nothing later."""
    als = als or AlsSettings(n_factors=settings.n_factors)
    together = fit_als(log, als, n_threads=settings.n_threads, seed=settings.seed)
    popularity = fit_popularity(log, half_life_days=settings.half_life_days)
    interest, near, vectors = None, None, np.zeros((len(catalogue), 1), np.float32)
    if settings.n_matches:
        trend, members = trend_of(log, half_life_days=settings.half_life_days), []
        for k in range(settings.n_matches):
            say(f"match {k + 1} of {settings.n_matches}")
            seeded = replace(settings, seed=settings.seed + k)
            members.append(
                fit_match(
                    log, catalogue.features, seeded, factors=together.items, trend=trend, say=say
                )
            )
        interest = InterestEnsemble(members)
        vectors = vectors_of(interest, catalogue.features, popularity.recent, own=True)
        near = nearest(catalogue.texts, popularity.total >= MIN_EVENTS)
    return Parts(
        catalogue,
        interest,
        vectors,
        together,
        fit_knn(log, knn or KnnSettings(), n_threads=settings.n_threads),
        popularity,
        near,
    )


def vectors_of(
    interest: InterestEnsemble, features: Floats, recent: NDArray[np.floating], *, own: bool
) -> Floats:
    """(M, D + 1) of items that the model was tuned with, or of new ones.

    The bias at the end holds how popular each is lately, *recent* (M,), too.
    """
    with torch.inference_mode():
        found: Floats = interest.items(torch.from_numpy(features), own=own).numpy().copy()
        found[:, -1] += np.log(recent + SMOOTHING)
    return found
