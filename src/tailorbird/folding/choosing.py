"""Which model the run keeps: the single best, or a soup that beats it by more than chance.

Shape letters: V validation rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import tuning
from tailorbird.config import EvaluationSettings
from tailorbird.errors import TuningError
from tailorbird.evaluation.gains import Gain, paired_gain
from tailorbird.folding.members import Members
from tailorbird.jobs import JobResult
from tailorbird.jobs.folds import LeftOut, mean_probs
from tailorbird.jobs.soups import Soup, greedy_soup
from tailorbird.jobs.wearing import Wearer
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


def choose(members: Members, results: Sequence[JobResult], said: LeftOut) -> Choice:
    """Compare ensemble and soup with the best single model on validation rows.

    When it returns, the model of *members* wears what was chosen. Raises TuningError where no job
    that leaves no fold out came to an end.
    """
    base = _best_whole(results)
    truth = np.asarray(members.given[len(members.plan.fold_of) :])
    settings = members.settings.evaluation
    ensemble = judge_ensemble(said, base.name, truth, settings)
    tokens = tuning.tasks.encode_examples(
        members.model, members.pool[len(members.plan.fold_of) :]
    ).tokens
    cache = TrunkCache(members.settings.model.trunk_cache_mb * 10**6)
    wearer = Wearer(members.model, tokens, cache=cache)
    weights = {one.name: AdapterWeights.load(one.weights) for one in results if one.weights}
    names = list(weights)
    right = {name: _right(wearer.log_probs(one), truth) for name, one in weights.items()}
    soup = greedy_soup(
        list(weights.values()),
        [float(right[name].mean()) for name in names],
        lambda one: float(_right(wearer.log_probs(one), truth).mean()),
    )
    gain = _gain(_right(wearer.log_probs(soup.weights), truth), right[base.name], settings)
    keeps_soup = gain.wins and len(soup.members) > 1
    chosen = soup.weights if keeps_soup else weights[base.name]
    wearer.put_on(chosen)
    named = [names[number] for number in soup.members]
    facts = {
        "members": {name: float(part.mean()) for name, part in right.items()},
        "ensemble": _facts(ensemble, len(said.members)),
        "soup": _facts(gain, len(named)) | {"members": named},
    }
    decisions = (
        f"single best: {base.name}, accuracy {right[base.name].mean():.4f} on {len(truth):,} "
        "validation rows",
        ensemble_in_words(ensemble, len(said.members)),
        soup_in_words(gain, soup, len(names)),
    )
    return Choice("soup" if keeps_soup else base.name, base, chosen, facts, decisions)


def judge_ensemble(
    said: LeftOut, base: str, truth: NDArray[np.int64], settings: EvaluationSettings
) -> Gain:
    """The mean of all members' probabilities against the member *base* alone."""
    together = mean_probs(list(said.members.values()))  # (V, C)
    return _gain(_right(together, truth), _right(said.members[base], truth), settings)


def ensemble_in_words(gain: Gain, n_members: int) -> str:
    """What becomes of the ensemble, and why."""
    end = (
        "it wins, but a bundle serves one model, so that it is only reported"
        if gain.wins
        else _why_not(gain)
    )
    return f"ensemble of {n_members}: accuracy {gain}; {end}"


def soup_in_words(gain: Gain, soup: Soup, n_members: int) -> str:
    """What becomes of the soup, and why."""
    if len(soup.members) == 1:
        return f"soup: no second of {n_members} members makes the best one better; there is none"
    end = "kept" if gain.wins else _why_not(gain)
    return f"soup of {len(soup.members)} of {n_members}: accuracy {gain}; {end}"


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
