"""What a fit may be told; defaults were chosen on data earlier than any test."""

from __future__ import annotations

from dataclasses import dataclass

from tailorbird.overriding import setting


@dataclass(frozen=True, slots=True)
class RecommendSettings:
    """How a recommender is fitted."""

    backbone: str = setting("auto", "What reads the words of items: auto, minilm, e5, a folder.")
    width: int = setting(64, "Numbers in the vector of an item and of a user.")
    n_epochs: int = setting(8, "Passes of the interest match over all users.")
    n_matches: int = setting(
        4, "Interest matches, each with a seed of its own; their mean counts. 0: for comparison."
    )
    n_negatives: int = setting(
        4096, "Items that each next event is told from; drawn by popularity."
    )
    ahead: int = setting(10, "The next event is drawn from so many that came next.")
    n_factors: int = setting(32, "Factors of ALS.")
    n_candidates: int = setting(150, "Candidates that each source names.")
    ranker_fraction: float = setting(
        0.15, "Latest share of the events: the ranker learns from it, with features from before."
    )
    half_life_days: float = setting(365.0, "After so long an event counts half as popularity.")
    n_threads: int = setting(2, "Threads of ALS and of the ranker, at most 2.")
    seed: int = setting(0, "Of every draw.")
