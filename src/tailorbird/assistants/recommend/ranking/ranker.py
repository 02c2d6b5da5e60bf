"""The ranker: LightGBM's lambdarank over the features of candidates (Burges 2010).

Trees do not begin with nothing: a score starts from one feature, and they learn what that leaves.
Few lists teach little, and what is popular is a better order than what trees make of few lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.assistants.recommend.ranking.settings import RecommendSettings
from tailorbird.errors import TuningError, missing_extra

Floats = NDArray[np.float32]

N_TREES = 150
START_WITH_MATCH, START_WITHOUT = "match", "popularity_recent"
_PARAMETERS: dict[str, Any] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 20,
    "learning_rate": 0.03,
    "num_leaves": 7,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True, slots=True)
class RankerRows:
    """Candidates of L lists, one list after another."""

    features: Floats
    """(N, J)"""
    label: NDArray[np.int64]
    """(N,) 1 where the candidate was liked afterwards."""
    sizes: Sequence[int]
    """(L,) candidates of each list."""


@dataclass(frozen=True, slots=True)
class Start:
    """The feature that scores begin with."""

    feature: str
    usual: float
    """Its mean over what the ranker learned from."""


class Ranker:
    """Trees that order candidates; kept as LightGBM's own text."""

    def __init__(self, text: str, names: Sequence[str], start: Start) -> None:
        lightgbm = _lightgbm()
        self.text = text
        self.names = list(names)
        self.start = start
        self._column = self.names.index(start.feature)
        self._trees = lightgbm.Booster(model_str=text)

    def scores(self, features: Floats) -> NDArray[np.float64]:
        """(C,) from (C, J), higher is better."""
        found: NDArray[np.float64] = self._trees.predict(features, num_threads=1)
        return found + _begun(features, self._column)

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        """(C, J) what each feature adds to the score (Lundberg et al. 2020, TreeSHAP)."""
        found = self._trees.predict(features, pred_contrib=True, num_threads=1)
        found = np.array(found)[:, :-1]  # the last is what all have in common
        found[:, self._column] += _begun(features, self._column) - self.start.usual
        return found


def fit_ranker(rows: RankerRows, names: Sequence[str], settings: RecommendSettings) -> Ranker:
    """Trees that put what was liked before the rest.

    Raises TuningError where no list has a candidate that was liked.
    """
    lightgbm = _lightgbm()
    if not rows.label.any():
        raise TuningError(
            "no candidate was liked afterwards, so there is no order to learn",
            cure="give more events, or a larger recommend.ranker_fraction",
        )
    feature = START_WITH_MATCH if settings.n_matches else START_WITHOUT
    begun = _begun(rows.features, list(names).index(feature))
    # Names stay with us: LightGBM refuses some signs that columns of a shop have.
    data = lightgbm.Dataset(rows.features, rows.label, group=list(rows.sizes), init_score=begun)
    own = {"seed": settings.seed, "num_threads": settings.n_threads}
    trees = lightgbm.train(_PARAMETERS | own, data, num_boost_round=N_TREES)
    return Ranker(trees.model_to_string(), names, Start(feature, float(begun.mean())))


def _begun(features: Floats, column: int) -> NDArray[np.float64]:
    """(C,) where scores begin; a candidate of which that is not known begins at 0."""
    return np.nan_to_num(features[:, column].astype(np.float64), nan=0.0)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise missing_extra("lightgbm", extra="recommend") from error
    return lightgbm
