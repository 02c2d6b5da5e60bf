"""What another ranking would have been worth, told from the log of the one that was shown.

Each decision of the log has a reward, the probability with which the logging policy made it, and
the probability with which the judged policy would have. Weights are the ratio of the two.

Every estimate comes with a normal interval from its influence values; decisions of one user are
one cluster of these (Liang and Zeger 1986), since they are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import DataError

Numbers = NDArray[np.float64]

MIN_EFFECTIVE = 50
"""With fewer decisions that count no estimate is to be believed."""
MIN_COVERED = 0.95
"""So much of what the judged policy does must have been possible in the log."""
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """N logged decisions; all fields (N,). DataError where they do not fit together."""

    rewards: Numbers
    logged: Numbers
    """Probability under the logging policy of what was shown, in (0, 1]."""
    target: Numbers
    """Probability under the judged policy of what was shown, in [0, 1]."""
    predicted: Numbers
    """Reward that a model expects of what was shown; zeros where there is none."""
    expected: Numbers
    """Reward that the model expects of the judged policy: Σ_a π(a) q(a)."""
    users: Sequence[str] = ()
    """Whose they are; empty: each of somebody else."""

    def __post_init__(self) -> None:
        """Check what was given."""
        n = len(self.rewards)
        parts = (self.logged, self.target, self.predicted, self.expected)
        if not n or any(len(part) != n for part in parts) or len(self.users) not in (0, n):
            raise DataError(
                f"decisions of {n} rewards need as many of everything else, and at least one",
                where="off-policy evaluation",
            )
        if not (np.all(self.logged > 0) and np.all(self.logged <= 1)):
            raise DataError(
                "a logged propensity is not in (0, 1]",
                where="off-policy evaluation",
                cure="only what the log could have shown can be in it",
            )
        if not all(np.all(np.isfinite(part)) for part in (self.rewards, *parts)):
            raise DataError("a number is not finite", where="off-policy evaluation")

    @property
    def weights(self) -> Numbers:
        """target / logged; (N,)."""
        return self.target / self.logged


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean reward and its interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """For the last line of a command."""
        return {"value": self.value, "low": self.low, "high": self.high}


def logged_value(decisions: Decisions, *, level: float = LEVEL) -> Estimate:
    """The mean reward of the policy that made the log."""
    value = float(decisions.rewards.mean())
    return _estimate(value, decisions.rewards - value, decisions.users, level)


def ips(decisions: Decisions, *, level: float = LEVEL) -> Estimate:
    """Inverse propensity scoring: (1/N) Σ w r. Unbiased where everything has support.

    Horvitz and Thompson 1952; Bottou et al. 2013, "Counterfactual Reasoning and Learning Systems",
    section 4.

    >>> ones = np.ones(2)
    >>> two = Decisions(np.array([1.0, 0.0]), ones / 2, np.array([1.0, 0.0]), 0 * ones, 0 * ones)
    >>> ips(two).value, snips(two).value
    (1.0, 1.0)
    """
    terms = decisions.weights * decisions.rewards
    value = float(terms.mean())
    return _estimate(value, terms - value, decisions.users, level)


def snips(decisions: Decisions, *, level: float = LEVEL) -> Estimate:
    """Self-normalised: Σ w r / Σ w. Barely biased, and steadier where weights vary.

    Swaminathan and Joachims 2015, "The Self-Normalized Estimator for Counterfactual Learning",
    section 4. DataError where the judged policy would have done nothing of what was logged.
    """
    weights = decisions.weights
    total = float(weights.sum())
    if total == 0:
        raise DataError(
            "the judged policy would have shown nothing of what the log has",
            where="off-policy evaluation",
            cure="more lists with exploration are needed",
        )
    value = float((weights * decisions.rewards).sum()) / total
    influence = weights * (decisions.rewards - value) * (len(weights) / total)
    return _estimate(value, influence, decisions.users, level)


def doubly_robust(decisions: Decisions, *, level: float = LEVEL) -> Estimate:
    """(1/N) Σ [expected + w (r - predicted)]. Right where the propensities or the model are.

    Dudík, Langford and Li 2011, "Doubly Robust Policy Evaluation and Learning", section 2.
    """
    terms = _robust_terms(decisions)
    value = float(terms.mean())
    return _estimate(value, terms - value, decisions.users, level)


def gain(decisions: Decisions, *, level: float = LEVEL) -> Estimate:
    """How much more the judged policy earns than the logging one, doubly robust, decision by
    decision: what both do alike adds no noise."""
    terms = _robust_terms(decisions) - decisions.rewards
    value = float(terms.mean())
    return _estimate(value, terms - value, decisions.users, level)


def effective_n(weights: Numbers) -> float:
    """As many decisions of equal weight would tell as much: (Σ w)² / Σ w² (Kish 1965).

    >>> effective_n(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


@dataclass(frozen=True, slots=True)
class Support:
    """Whether the log can say anything about the judged policy."""

    covered: float
    """Share of what the judged policy does that the log could have shown."""
    effective_n: float
    max_weight: float
    mean_weight: float
    """1 where all has support and the propensities are right."""
    problems: tuple[str, ...]

    @property
    def is_enough(self) -> bool:
        """Whether the estimates may be believed."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """For the last line of a command."""
        numbers = ("covered", "effective_n", "max_weight", "mean_weight")
        told: dict[str, Any] = {name: getattr(self, name) for name in numbers}
        return told | {"is_enough": self.is_enough, "problems": list(self.problems)}


def check_support(decisions: Decisions, *, covered: float | None = None) -> Support:
    """What speaks against believing the estimates.

    *covered* where it is known, in [0, 1]. Where it is not the weights tell: their mean is an
    estimate of it, and must be 1 but for chance.
    """
    weights = decisions.weights
    mean = _estimate(float(weights.mean()), weights - weights.mean(), decisions.users, 0.999)
    effective = effective_n(weights)
    problems = []
    if (covered if covered is not None else mean.high) < MIN_COVERED:
        share = covered if covered is not None else mean.value
        problems.append(
            f"only {100 * share:.0f} % of what the ranking would show could have been in the log"
        )
    elif not mean.low <= 1 <= mean.high:
        problems.append(
            f"the weights have a mean of {mean.value:.2f} and not 1: the propensities are wrong"
        )
    if effective < MIN_EFFECTIVE:
        problems.append(
            f"the weights leave {effective:.0f} decisions that count, fewer than {MIN_EFFECTIVE}"
        )
    share = covered if covered is not None else min(mean.value, 1.0)
    return Support(share, effective, float(weights.max()), mean.value, tuple(problems))


def _robust_terms(decisions: Decisions) -> Numbers:
    corrections = decisions.weights * (decisions.rewards - decisions.predicted)
    terms: Numbers = decisions.expected + corrections
    return terms


def _estimate(value: float, influence: Numbers, users: Sequence[str], level: float) -> Estimate:
    """*value* with its interval; *influence* (N,) sums to 0."""
    sums = influence
    if users:
        _, places = np.unique(np.asarray(users, dtype=object).astype(str), return_inverse=True)
        sums = np.bincount(places, weights=influence).astype(np.float64)
    n_clusters = len(sums)
    if n_clusters < 2:
        return Estimate(value, float("-inf"), float("inf"))
    variance = float((sums**2).sum()) / len(influence) ** 2 * n_clusters / (n_clusters - 1)
    reach = NormalDist().inv_cdf((1 + level) / 2) * variance**0.5
    return Estimate(value, value - reach, value + reach)
