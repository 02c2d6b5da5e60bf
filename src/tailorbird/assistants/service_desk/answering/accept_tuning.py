"""Tuning what chooses among variants: on the replies that people accepted, and those they did not.

It is kept only where it foretells held-out votes better than the votes alone do, by more than
chance: the score of a vote is the log-likelihood that it was given before it was seen.
"""

from __future__ import annotations

import math
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tailorbird.assistants.service_desk.answering.acceptance import (
    FACTS,
    MODEL,
    Acceptance,
    Weights,
    logit,
)
from tailorbird.assistants.service_desk.answering.judged import Judged
from tailorbird.assistants.service_desk.answering.variants import Votes, rates
from tailorbird.config import Settings
from tailorbird.errors import DataError
from tailorbird.evaluation.gains import Gain, paired_gain
from tailorbird.knowledge.tuning import Say, fit_model
from tailorbird.modeling import TextModel, build_model, save_model
from tailorbird.records import Example
from tailorbird.store.files import to_json_bytes, write_atomically
from tailorbird.tuning import tasks
from tailorbird.weights import BackboneFolder

MIN_VOTES = 200
"""Votes on templates below which nothing is tuned."""
MIN_OF_EACH = 30
"""So many of them have to be thumbs up, and so many down."""
MIN_OF_INTENT = 20
"""Votes of an intent from which the model chooses among its variants."""
HELD = 5
"""One fifth of the questions is held out, one validates."""
LABELS = ("accepted", "disliked")


@dataclass(frozen=True, slots=True)
class AcceptGain:
    """The model with the votes against the votes alone, on the same held-out votes."""

    n_train: int
    n_votes: int
    """On templates, in all."""
    n_held: int
    intents: tuple[str, ...]
    """With votes enough for the model to choose."""
    likelihood: Gain
    """Mean log-likelihood of a vote, in nats; less negative is better."""
    right: Gain
    """Share of the votes that were foretold."""

    @property
    def wins(self) -> bool:
        """Whether votes are foretold better by more than chance."""
        return self.likelihood.wins and bool(self.intents)

    def __str__(self) -> str:
        lost = "not kept: no intent has votes enough" if self.likelihood.wins else ""
        verdict = "kept" if self.wins else lost or "not kept: no better than the votes alone"
        return (
            f"{self.n_train:,} judged replies, {self.n_held:,} votes held out: log-likelihood "
            f"{self.likelihood}, foretold {self.right}; {verdict}"
        )


@dataclass(frozen=True, slots=True)
class Parted:
    """Judged replies, divided by their questions."""

    train: list[Judged]
    validation: list[Judged]
    held: list[Judged]
    """Votes on templates alone, as are those that validate."""


def part(rows: Sequence[Judged], *, seed: int = 0) -> Parted:
    """Three fifths of the questions to train, one to validate, one held out.

    Raises DataError where there are too few votes on templates.
    """
    votes = [row for row in rows if row.variant]
    n_up = sum(row.is_accepted for row in votes)
    if len(votes) < MIN_VOTES or min(n_up, len(votes) - n_up) < MIN_OF_EACH:
        raise DataError(
            f"{len(votes):,} votes on templates, {n_up:,} of them up, are too few to learn from",
            cure=f"wait for {MIN_VOTES}, at least {MIN_OF_EACH} up and as many down; until then "
            "the votes themselves choose",
        )
    questions = list(dict.fromkeys(row.question for row in votes))
    random.Random(seed).shuffle(questions)
    n = max(1, len(questions) // HELD)
    validation, held = set(questions[:n]), set(questions[n : 2 * n])
    return Parted(
        [row for row in rows if row.question not in validation | held],
        [row for row in votes if row.question in validation],
        [row for row in votes if row.question in held],
    )


def tune_acceptance(
    rows: Sequence[Judged],
    backbone: BackboneFolder,
    folder: Path,
    *,
    settings: Settings | None = None,
    say: Say = lambda _: None,
) -> AcceptGain:
    """Learn which replies people accept; the model is in *folder* where it wins.

    Args:
        rows: as `judged_replies` reads them.
        backbone: the pretrained encoder to start from.
        folder: written where the gain is more than chance, else left alone.
        settings: sections model, method, tuning, optimizer and loss are read.
        say: is told what was decided.

    Raises DataError where there are too few votes.
    """
    settings = settings or Settings()
    parts = part(rows, seed=settings.split.seed)
    torch.manual_seed(settings.tuning.seed)
    spec = tasks.find_task("binary").spec
    model = build_model(backbone, LABELS, settings=settings.model, spec=spec)
    train, validation = (examples_of(some) for some in (parts.train, parts.validation))
    fit_model(model, train, validation, settings, say=say)
    votes = votes_of(parts.train)
    intents = tuple(sorted(_frequent(rows)))
    acceptance = Acceptance(model, _weights(model, parts.validation, votes), intents)
    gain = _gain(acceptance, parts, votes, n_votes=sum(bool(row.variant) for row in rows))
    say(str(gain))
    if gain.wins:
        _save(acceptance, folder, backbone.path)
    return gain


def examples_of(rows: Sequence[Judged]) -> list[Example]:
    """Pairs of question and reply with their label."""
    return [
        Example(row.question, label=LABELS[not row.is_accepted], second=row.reply) for row in rows
    ]


def votes_of(rows: Sequence[Judged]) -> dict[str, dict[str, tuple[int, int]]]:
    """Intent → variant → how many accepted it, and how many did not."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for row in rows:
        if row.variant:
            of_intent = found.setdefault(row.intent, {})
            up, down = of_intent.get(row.variant, (0, 0))
            of_intent[row.variant] = (up + row.is_accepted, down + (not row.is_accepted))
    return found


def rate_of(row: Judged, votes: dict[str, dict[str, tuple[int, int]]]) -> float:
    """The smoothed acceptance of the row's variant, as it is chosen by today.

    >>> from datetime import datetime
    >>> row = Judged("?", "Yes.", True, datetime.min, "refund", "a")
    >>> rate_of(row, {"refund": {"a": (6, 0), "b": (0, 6)}})
    0.75
    """
    of_intent: Votes = votes.get(row.intent, {})
    return rates([*of_intent, row.variant], of_intent)[row.variant]


def _weights(
    model: TextModel, rows: Sequence[Judged], votes: dict[str, dict[str, tuple[int, int]]]
) -> Weights:
    """The logistic regression of votes that the model was not tuned on."""
    from sklearn.linear_model import LogisticRegression

    alone = Acceptance(model, Weights(0.0, 0.0, 1.0))
    truth = [row.is_accepted for row in rows]
    if len(set(truth)) < 2:
        return alone.weights
    readings = alone.readings([row.question for row in rows], [row.reply for row in rows])
    features = [[logit(rate_of(row, votes)), z] for row, z in zip(rows, readings, strict=True)]
    fitted = LogisticRegression(C=1.0).fit(features, truth)
    by_votes, by_reading = map(float, fitted.coef_[0])
    return Weights(float(fitted.intercept_[0]), by_votes, by_reading)


def _gain(
    acceptance: Acceptance,
    parts: Parted,
    votes: dict[str, dict[str, tuple[int, int]]],
    *,
    n_votes: int,
) -> AcceptGain:
    held = parts.held
    readings = acceptance.readings([row.question for row in held], [row.reply for row in held])
    before = [rate_of(row, votes) for row in held]
    after = [
        acceptance.weights.probability(rate, z) for rate, z in zip(before, readings, strict=True)
    ]
    truth = [row.is_accepted for row in held]
    scores = [[_likelihood(p, t) for p, t in zip(ps, truth, strict=True)] for ps in (after, before)]
    right = [[(p >= 0.5) == t for p, t in zip(ps, truth, strict=True)] for ps in (after, before)]
    return AcceptGain(
        len(parts.train),
        n_votes,
        len(held),
        tuple(sorted(acceptance.intents)),
        paired_gain(*scores),
        paired_gain(*right),
    )


def _likelihood(p: float, is_accepted: bool) -> float:
    p = max(1e-6, min(1 - 1e-6, p))
    return math.log(p if is_accepted else 1.0 - p)


def _frequent(rows: Sequence[Judged]) -> set[str]:
    counts = Counter(row.intent for row in rows if row.variant)
    return {intent for intent, n in counts.items() if n >= MIN_OF_INTENT and intent}


def _save(acceptance: Acceptance, folder: Path, backbone: Path) -> None:
    """The model first: who follows the facts finds it whole."""
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    save_model(acceptance.model, folder / MODEL, backbone=backbone)
    content = to_json_bytes(acceptance.facts(), where=str(folder / FACTS))
    write_atomically(folder / FACTS, content)
