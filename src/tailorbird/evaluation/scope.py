"""Fitting the scope score on validation rows, and saying what it would do.

Texts out of scope are what nobody has logged. So a validation row is shown twice: as it is, and as
if its intent were not known, its class hidden from the logits and the rows of its class from the
neighbours. A logistic regression tells the two apart; what it turns away is a text whose intent is
missing. Where the logs have rows that are labelled as out of scope, those of validation are the
second kind, and those of train are neighbours of their own.

Shape letters: N rows, C classes, D width, S signals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailorbird.config import EvaluationSettings
from tailorbird.evaluation.calibration import choose_threshold, confidences
from tailorbird.records import Example
from tailorbird.scope import SIGNALS, Floats, Neighbours, ScopeScorer, energy, nearness, unit

MIN_OUTSIDE = 10
"""Rows out of scope in validation from which they teach the score, and hidden intents do not."""
N_POINTS = 41
"""Of the curve."""


class Seen(NamedTuple):
    """What the network makes of rows, in one pass."""

    logits: Floats  # (N, C)
    states: Floats  # (N, D)


@dataclass(frozen=True, slots=True)
class ScopePoint:
    """What a threshold would do."""

    threshold: float
    false_alarms: float
    """Share of the validation rows, all in scope, that it turns away."""
    caught: float
    """Share turned away of what taught the score; of the curve of confidence, of the same."""


@dataclass(frozen=True, slots=True)
class ScopeReport:
    """The ``scope`` section of a report."""

    threshold: float
    false_alarm_rate: float
    """Share of the validation rows that is turned away."""
    caught: float
    caught_by_confidence: float
    """Share that the confidence alone would turn away, at the same false alarms."""
    taught_by: str
    """``hidden``: validation rows, as if their intents were not known; or ``rows``, labelled."""
    n_rows: int
    """Training rows that texts are compared with."""
    n_outside: Mapping[str, int]
    """Rows labelled as out of scope, by split."""
    weights: Mapping[str, float]
    """Of each signal, in its standard deviations."""
    curve: tuple[ScopePoint, ...]
    test: Mapping[str, float]
    """On the test rows: ``false_alarm_rate`` and, where there are rows out of scope, ``caught``."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)

    def __str__(self) -> str:
        how = {"hidden": "texts whose intent it does not know", "rows": "rows labelled so"}
        return (
            f"out of scope: catches {self.caught:.0%} of {how[self.taught_by]} (the confidence "
            f"alone {self.caught_by_confidence:.0%}), at {self.false_alarm_rate:.1%} false alarms "
            "on validation"
        )


@dataclass(frozen=True, slots=True, eq=False)
class ScopeRows:
    """All that a fit looks at."""

    states: Floats  # (R, D) of the training rows that are kept
    classes: NDArray[np.int64]  # (R,)
    validation: Seen
    targets: NDArray[np.int64]  # (N,)
    outside: Mapping[str, Seen]
    """By split, those that there are; train gives neighbours, validation teaches, test does not."""


def fit_scope(
    rows: ScopeRows, settings: EvaluationSettings | None = None
) -> tuple[ScopeScorer, ScopeReport]:
    """The scorer whose threshold turns away at most the allowed share of the validation rows.

    The test rows are measured by `LearnedScope.confirmed`, afterwards.
    """
    settings = settings or EvaluationSettings()
    n_outside = {name: len(seen.states) for name, seen in rows.outside.items()}
    is_taught = n_outside.get("validation", 0) >= MIN_OUTSIDE
    is_known = is_taught and "train" in rows.outside
    foreign = rows.outside["train"].states if is_known else rows.states[:0]
    neighbours = Neighbours(_stored(rows.states), _stored(foreign))
    inside = neighbours.signals(*rows.validation)  # (N, S)
    if is_taught:
        logits, states = rows.outside["validation"]
        out = neighbours.signals(logits, states)
    else:
        logits = hide_class(rows.validation.logits, rows.targets)
        out = _hidden_signals(neighbours, rows, rows.classes, logits)
    scorer = _fitted(neighbours, inside, out)
    sure, doubtful = scorer.of_signals(inside), scorer.of_signals(out)
    scorer = replace(scorer, threshold=choose_threshold(sure, settings.false_alarm_rate))
    confident = confidences(rows.validation.logits)[0]
    line = choose_threshold(confident, settings.false_alarm_rate)
    report = ScopeReport(
        threshold=scorer.threshold,
        false_alarm_rate=float(np.mean(sure < scorer.threshold)),
        caught=float(np.mean(doubtful < scorer.threshold)),
        caught_by_confidence=float(np.mean(confidences(logits)[0] < line)),
        taught_by="rows" if is_taught else "hidden",
        n_rows=len(rows.states),
        n_outside=n_outside,
        weights=dict(zip(SIGNALS, map(float, scorer.weight), strict=False)),
        curve=_curve(sure, doubtful),
        test={},
    )
    return scorer, report


@dataclass(frozen=True, slots=True, eq=False)
class LearnedScope:
    """A scorer, what is known of it, and the rows out of scope that no fit has seen."""

    scorer: ScopeScorer
    report: ScopeReport
    outside_test: Seen | None = None

    def confirmed(self, test: Seen) -> ScopeReport:
        """The report with what the threshold does to the test rows."""
        found = {"false_alarm_rate": _share_out(self.scorer, test)}
        if self.outside_test is not None:
            found["caught"] = _share_out(self.scorer, self.outside_test)
        return replace(self.report, test=found)


def learn_scope(
    model: Any,
    train: Sequence[Example],
    validation: tuple[Seen, NDArray[np.int64]],
    *,
    outside: Mapping[str, Sequence[Example]],
    settings: EvaluationSettings,
) -> LearnedScope | None:
    """The score of a tuned *model*; None where the settings want the confidence alone.

    Args:
        model: a TextModel; the training rows that are kept go through it once more.
        train: the rows it was tuned on.
        validation: what it makes of the validation rows, and their classes (N,).
        outside: rows labelled as out of scope, by split.
        settings: how many false alarms are allowed, and how many rows are kept.
    """
    if settings.scope == "confidence":
        return None
    index = {label: k for k, label in enumerate(model.labels)}
    targets = np.array([index[example.label] for example in train])
    kept = sampled(targets, settings.scope_rows, seed=settings.seed)
    strange = {
        name: look(model, [example.text for example in rows])
        for name, rows in outside.items()
        if rows
    }
    rows = ScopeRows(
        look(model, [train[row].text for row in kept]).states, targets[kept], *validation, strange
    )
    return LearnedScope(*fit_scope(rows, settings), strange.get("test"))


def look(model: Any, texts: Any) -> Seen:
    """What a TextModel makes of *texts*, tokenised or not."""
    logits, states = model.outputs(texts)
    return Seen(np.asarray(logits, dtype=np.float32), np.asarray(states, dtype=np.float32))


def sampled(targets: NDArray[np.int64], n_most: int, *, seed: int = 0) -> NDArray[np.int64]:
    """At most *n_most* of N rows, in order; every class keeps its share of them.

    >>> sampled(np.array([0] * 90 + [1] * 10), 10).searchsorted(90).item()
    9
    """
    if len(targets) <= n_most:
        return np.arange(len(targets))
    drawn = np.random.default_rng(seed).permutation(len(targets))
    by_class = drawn[np.argsort(targets[drawn], kind="stable")]  # shuffled within each class
    places = np.linspace(0, len(targets) - 1, n_most).round().astype(np.int64)
    return np.sort(by_class[places])


def hide_class(logits: Floats, targets: NDArray[np.int64]) -> Floats:
    """(N, C) logits as if each row's own class were none of the model's.

    >>> hide_class(np.array([[3.0, 1.0]], np.float32), np.array([0])).tolist()
    [[-inf, 1.0]]
    """
    hidden = np.array(logits, dtype=np.float32)
    hidden[np.arange(len(hidden)), targets] = -np.inf
    return hidden


def _hidden_signals(
    neighbours: Neighbours, rows: ScopeRows, classes: NDArray[np.int64], logits: Floats
) -> Floats:
    """(N, S) of the validation rows without the rows of their own class; foreign ones have none."""
    near = nearness(
        rows.validation.states,
        neighbours.rows,
        n_nearest=neighbours.n_nearest,
        hidden=(rows.targets, classes),
    )
    return np.stack([energy(logits), near], 1)


def _fitted(neighbours: Neighbours, inside: Floats, out: Floats) -> ScopeScorer:
    """Logistic regression, both kinds weighing the same; its threshold is still to be chosen."""
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([inside, out])
    centre, spread = both.mean(axis=0), np.maximum(both.std(axis=0), 1e-6)
    truth = np.repeat([1, 0], [len(inside), len(out)])
    fit = LogisticRegression(class_weight="balanced").fit((both - centre) / spread, truth)
    weight = np.asarray(fit.coef_[0], dtype=np.float32)
    return ScopeScorer(neighbours, centre, spread, weight, float(fit.intercept_[0]), 0.5)


def _curve(sure: NDArray[np.float64], doubtful: NDArray[np.float64]) -> tuple[ScopePoint, ...]:
    return tuple(
        ScopePoint(float(at), float(np.mean(sure < at)), float(np.mean(doubtful < at)))
        for at in np.linspace(0.0, 1.0, N_POINTS)
    )


def _share_out(scorer: ScopeScorer, seen: Seen) -> float:
    return float(np.mean(scorer.probabilities(*seen) < scorer.threshold))


def _stored(states: Floats) -> Floats:
    """Rows of length 1 as coarse as a bundle keeps them: what is fitted is what is served."""
    return unit(states).astype(np.float16).astype(np.float32)
