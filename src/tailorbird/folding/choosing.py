"""Which model the run keeps: the single best, or a soup that beats it by more than chance.

Shape letters: V validation rows, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import evaluation, tuning
from tailorbird.config import EvaluationSettings
from tailorbird.errors import TuningError
from tailorbird.evaluation.gains import Gain, paired_gain
from tailorbird.folding.members import Members
from tailorbird.jobs import JobResult
from tailorbird.jobs.folds import mean_probs
from tailorbird.jobs.soups import Soup, average, greedy_soup
from tailorbird.jobs.wearing import Wearer
from tailorbird.metrics import log_softmax
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.modeling.trunk_cache import TrunkCache


@dataclass(frozen=True)
class Choice:
    """What became of the members."""

    name: str
    """``soup``, or the job that the model is of."""
    base: JobResult
    """The best of those that leave no fold out: what would be kept without folds."""
    weights: AdapterWeights
    facts: dict[str, Any]
    """Scores and intervals of what was compared, JSON-ready."""
    decisions: tuple[str, ...]


def choose(members: Members, results: Sequence[JobResult]) -> Choice:
    """Compare ensemble and soup with single models on validation rows.

    Where no fold is left out members differ by their seeds alone. Then the soup is of all of them,
    and compared with what one of them gives on average: the best of them on these rows is best by
    luck, mostly. Else it is chosen greedily and compared with the best that leaves no fold out.
    When this returns, the model of *members* wears what was chosen.

    Raises TuningError where no job that leaves no fold out came to an end.
    """
    base = _best_whole(results)
    n_rows = len(members.plan.fold_of)
    truth = np.asarray(members.given[n_rows:])
    settings = members.settings.evaluation
    tokens = tuning.tasks.encode_examples(members.model, members.pool[n_rows:]).tokens
    cache = TrunkCache(members.settings.model.trunk_cache_mb * 10**6)
    wearer = Wearer(members.model, tokens, cache=cache)
    weights = {one.name: AdapterWeights.load(one.weights) for one in results if one.weights}
    names = list(weights)
    found = {name: wearer.log_probs(one) for name, one in weights.items()}
    right = {name: _right(one, truth) for name, one in found.items()}
    ensemble = judge_ensemble(found, base.name, truth, settings)
    if members.plan.n_folds:
        others = [found[base.name]]
        soup = greedy_soup(
            list(weights.values()),
            [float(right[name].mean()) for name in names],
            lambda one: float(_right(wearer.log_probs(one), truth).mean()),
        )
    else:
        others = list(found.values())
        soup = Soup(average(list(weights.values())), tuple(range(len(weights))))
    judged = judge_soup(wearer.log_probs(soup.weights), others, truth, settings)
    keeps_soup = len(soup.members) > 1 and judged.wins
    chosen = soup.weights if keeps_soup else weights[base.name]
    wearer.put_on(chosen)
    named = [names[number] for number in soup.members]
    facts = {
        "members": {name: float(part.mean()) for name, part in right.items()},
        "ensemble": _facts(ensemble, len(found)),
        "soup": judged.to_json() | {"n_members": len(named), "members": named},
    }
    decisions = (
        f"single best: {base.name}, accuracy {right[base.name].mean():.4f} on {len(truth):,} "
        "validation rows",
        ensemble_in_words(ensemble, len(found)),
        soup_in_words(judged, soup, len(names)),
    )
    return Choice("soup" if keeps_soup else base.name, base, chosen, facts, decisions)


@dataclass(frozen=True, slots=True)
class SoupGain:
    """A soup against single models, on the same rows."""

    accuracy: Gain
    likelihood: Gain
    """Mean log-likelihood of the true class, each model at the temperature that fits it: it tells
    more of a row than right or wrong, and being less sure is no gain."""

    @property
    def wins(self) -> bool:
        """Whether it is likelier by more than chance, and no less accurate by more than chance."""
        return self.likelihood.wins and self.accuracy.gain.high >= 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        more = {"log_likelihood": asdict(self.likelihood), "wins": self.wins}
        return asdict(self.accuracy) | more


def judge_soup(
    soup: NDArray[np.float64],
    others: Sequence[NDArray[np.float64]],
    truth: NDArray[np.int64],
    settings: EvaluationSettings,
) -> SoupGain:
    """What (V, C) log-probabilities of a soup gain over what *others* give on average."""
    right = np.mean([_right(one, truth) for one in others], axis=0)  # (V,)
    likelihood = np.mean([_likelihood(one, truth) for one in others], axis=0)
    return SoupGain(
        _gain(_right(soup, truth), right, settings),
        _gain(_likelihood(soup, truth), likelihood, settings),
    )


def judge_ensemble(
    said: Mapping[str, NDArray[np.float64]],
    base: str,
    truth: NDArray[np.int64],
    settings: EvaluationSettings,
) -> Gain:
    """The mean of all members' probabilities against the member *base* alone.

    Args:
        said: (V, C) log-probabilities by member.
        base: the best single one.
        truth: (V,) classes.
        settings: how sure a gain has to be.
    """
    together = mean_probs(list(said.values()))  # (V, C)
    return _gain(_right(together, truth), _right(said[base], truth), settings)


def ensemble_in_words(gain: Gain, n_members: int) -> str:
    """What becomes of the ensemble, and why."""
    end = (
        "it wins, but a bundle serves one model, so that it is only reported"
        if gain.wins
        else _why_not(gain)
    )
    return f"ensemble of {n_members}: accuracy {gain}; {end}"


def soup_in_words(judged: SoupGain, soup: Soup, n_members: int) -> str:
    """What becomes of the soup, and why."""
    if len(soup.members) == 1:
        return f"soup: no second of {n_members} members makes the best one better; there is none"
    worse = judged.accuracy if judged.accuracy.gain.high < 0.0 else judged.likelihood
    end = "kept" if judged.wins else _why_not(worse)
    return (
        f"soup of {len(soup.members)} of {n_members}: accuracy {judged.accuracy}; log-likelihood "
        f"{judged.likelihood}; {end}"
    )


def _why_not(gain: Gain) -> str:
    is_better = gain.gain.value > 0
    return f"not kept, since {'chance explains it' if is_better else 'it is no better'}"


def _best_whole(results: Sequence[JobResult]) -> JobResult:
    whole = [one for one in results if one.name.startswith("all-")]
    ended = [one for one in whole if one.weights is not None]
    if not ended:
        why = "; ".join(one.error for one in whole) or "none was begun"
        raise TuningError(
            f"no model of all folds came to an end: {why}",
            cure="mend what its error says, and repeat the command: the rest is kept",
        )
    return max(ended, key=lambda one: (next(iter(one.scores.values())), -one.loss))


def _right(log_probs: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """(V,) 1 where the likeliest class is the true one."""
    return np.asarray(log_probs.argmax(axis=1) == truth, dtype=np.float64)


def _likelihood(log_probs: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """(V,) of the true class, at the temperature that fits best."""
    scaled = log_softmax(log_probs / evaluation.fit_temperature(log_probs, truth))
    return np.asarray(scaled[np.arange(len(truth)), truth])


def _gain(
    candidate: NDArray[np.float64], base: NDArray[np.float64], settings: EvaluationSettings
) -> Gain:
    return paired_gain(
        candidate,
        base,
        n_resamples=settings.n_bootstrap or 1000,
        confidence=settings.confidence,
        seed=settings.seed,
    )


def _facts(gain: Gain, n_members: int) -> dict[str, Any]:
    return asdict(gain) | {"wins": gain.wins, "n_members": n_members}
