"""Fitting the scope score on validation rows, and saying what it would do.

What is out of scope nobody has logged, as a rule. Then all that is known is how the signals of
texts in scope are spread: z, standardised on validation, with correlation R. A text that is as
much below the mean in every signal tells itself apart best along ``w = R⁻¹ 1`` (Fisher's linear
discriminant; Bishop 2006, section 4.1.4), and p is what it is if such texts lie as far below the
threshold as those in scope lie above it. Teaching the weights by rows of intents that are hidden
from the score was tried: tuning has parted them so well that the logits win, and strange texts,
which it has never parted, come through.

Where enough rows of the logs are labelled as out of scope, a logistic regression learns the weights
from those of validation, and those of train are what a text is compared with.

Shape letters: N rows, C classes, K layers, D width, S signals.
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
from tailorbird.scope import LAYERS, Floats, Known, ScopeScorer, fit_distance, unit

MIN_OUTSIDE = 10
"""Rows out of scope in validation from which on they teach the score."""
MIN_ROWS = 8
"""Training rows a class from which on its mean wording says something."""
SHRINKAGE = 0.1
"""Share of the correlations that is given up: validation may have a dozen rows."""
N_POINTS = 41
"""Of the curve."""


class Seen(NamedTuple):
    """What the network makes of rows, in one pass."""

    logits: Floats  # (N, C)
    states: Floats  # (N, K, D)


@dataclass(frozen=True, slots=True)
class ScopePoint:
    """What a threshold would do."""

    threshold: float
    false_alarms: float
    """Share of the validation rows, all in scope, that it turns away."""
    caught: float | None
    """Share turned away of the rows labelled as out of scope, where these taught the score."""


@dataclass(frozen=True, slots=True)
class ScopeReport:
    """The ``scope`` section of a report."""

    threshold: float
    false_alarm_rate: float
    """Share of the validation rows that is turned away."""
    caught: float | None
    """Share that is turned away of the validation rows labelled as out of scope, if they taught."""
    caught_by_confidence: float | None
    """Share of the same that the confidence alone would turn away, at as many false alarms."""
    taught_by: str
    """``in_scope``: rows in scope alone; or ``rows`` labelled as out of scope, too."""
    n_rows: int
    """Training rows that the class means are of."""
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
        false = f"{self.false_alarm_rate:.1%} false alarms on validation"
        if self.caught is None:
            return f"out of scope: by {', '.join(self.weights)}, at {false}"
        return (
            f"out of scope: {self.caught:.0%} of the rows labelled so are caught (the confidence "
            f"alone: {self.caught_by_confidence:.0%}), at {false}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class ScopeRows:
    """All that a fit looks at."""

    states: Floats  # (R, K, D) of training rows
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
    rate = settings.false_alarm_rate
    n_outside = {name: len(seen.states) for name, seen in rows.outside.items()}
    is_taught = n_outside.get("validation", 0) >= MIN_OUTSIDE
    known = _known(rows, with_foreign=is_taught)
    inside = known.signals(*rows.validation)  # (N, S)
    out = known.signals(*rows.outside["validation"]) if is_taught else None
    scorer = _one_sided(known, inside, rate) if out is None else _two_sided(known, inside, out)
    sure = scorer.of_signals(inside)
    scorer = replace(scorer, threshold=choose_threshold(sure, rate))
    doubtful = None if out is None else scorer.of_signals(out)
    by_confidence = None
    if is_taught:
        line = choose_threshold(confidences(rows.validation.logits)[0], rate)
        by_confidence = float(np.mean(confidences(rows.outside["validation"].logits)[0] < line))
    report = ScopeReport(
        threshold=scorer.threshold,
        false_alarm_rate=float(np.mean(sure < scorer.threshold)),
        caught=None if doubtful is None else float(np.mean(doubtful < scorer.threshold)),
        caught_by_confidence=by_confidence,
        taught_by="rows" if is_taught else "in_scope",
        n_rows=len(rows.states),
        n_outside=n_outside,
        weights=dict(zip(known.names, map(float, scorer.weight), strict=True)),
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
        model: a TextModel; training rows go through it once more.
        train: the rows it was tuned on.
        validation: what it makes of the validation rows, and their classes (N,).
        outside: rows labelled as out of scope, by split.
        settings: how many false alarms are allowed, and how many training rows are looked at.
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


def _known(rows: ScopeRows, *, with_foreign: bool) -> Known:
    has_many = len(rows.classes) >= MIN_ROWS * len(set(rows.classes.tolist()))
    n_layers = min(rows.states.shape[1], len(LAYERS) if has_many else 1)
    layers = tuple(fit_distance(rows.states[:, k], rows.classes) for k in range(n_layers))
    foreign = rows.states[:0, 0]
    if with_foreign and "train" in rows.outside:
        foreign = rows.outside["train"].states[:, n_layers - 1]
    # As coarse as a bundle keeps them: what is fitted is what is served.
    return Known(layers, unit(foreign).astype(np.float16).astype(np.float32))


def _one_sided(known: Known, inside: Floats, rate: float) -> ScopeScorer:
    """Fisher's discriminant towards texts that are lower in every signal.

    With s = w·z of variance v, mean 0 and threshold t, those in scope are N(0, v) and the others
    N(2 t, v): the log odds are 2 (s - t) (-t) / v.
    """
    centre, spread = inside.mean(axis=0), np.maximum(inside.std(axis=0), 1e-6)
    z = ((inside - centre) / spread).astype(np.float64)
    correlation = z.T @ z / len(z)
    shrunk = (1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(z.shape[1])
    weight = np.maximum(np.linalg.solve(shrunk, np.ones(z.shape[1])), 0.0)
    s = z @ weight
    line = min(choose_threshold(s, rate), -1e-3)
    steepness = -2 * line / max(float(s.var()), 1e-9)
    return ScopeScorer(
        known,
        centre,
        spread,
        np.asarray(steepness * weight, dtype=np.float32),
        -steepness * line,
        0.5,
    )


def _two_sided(known: Known, inside: Floats, out: Floats) -> ScopeScorer:
    """Logistic regression, both kinds weighing the same; its threshold is still to be chosen."""
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([inside, out])
    centre, spread = both.mean(axis=0), np.maximum(both.std(axis=0), 1e-6)
    truth = np.repeat([1, 0], [len(inside), len(out)])
    fit = LogisticRegression(class_weight="balanced").fit((both - centre) / spread, truth)
    weight = np.asarray(fit.coef_[0], dtype=np.float32)
    return ScopeScorer(known, centre, spread, weight, float(fit.intercept_[0]), 0.5)


def _curve(
    sure: NDArray[np.float64], doubtful: NDArray[np.float64] | None
) -> tuple[ScopePoint, ...]:
    return tuple(
        ScopePoint(
            float(at),
            float(np.mean(sure < at)),
            None if doubtful is None else float(np.mean(doubtful < at)),
        )
        for at in np.linspace(0.0, 1.0, N_POINTS)
    )


def _share_out(scorer: ScopeScorer, seen: Seen) -> float:
    return float(np.mean(scorer.probabilities(*seen) < scorer.threshold))
