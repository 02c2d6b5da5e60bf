"""Fitting the support model: to labelled searches, or to a base that nobody has labelled.

A base labels itself: a piece answers its own question however that is worded, and where the piece
is taken away nothing answers it. So each of its questions, reworded, is searched once; with its
own piece among the results it is answerable, without it and its twins it is not. What is fitted
stays near the coefficients that come with the package, whose questions were reworded by people.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.chunking import sentences
from tailorbird.knowledge.evidence import FEATURES, Floats, Words, evidence
from tailorbird.knowledge.rewording import reword
from tailorbird.knowledge.support import LearnedSupport, sigmoid
from tailorbird.records import Passage

Search = Callable[[str, int], Sequence[Passage]]
"""Question and how many passages → the best of them, as `KnowledgeBase.search` gives them."""

N_FOUND = 5
"""Passages of a search that are looked at."""
MIN_PIECES = 8
"""In fewer, taking one away leaves nothing to compare with."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a threshold is to refuse."""

    answerable: float = 0.07
    """At most this share of the questions that can be answered, in [0, 1)."""
    unanswerable: float = 0.92
    """Where more of those that cannot would be refused, the threshold is lower."""


DEFAULT_GOAL = Goal()


@dataclass(frozen=True, slots=True)
class Searched:
    """One question with what a search found, and which of it answers."""

    question: str
    passages: Sequence[Passage]
    answers: Sequence[bool]
    """One a passage; none of them: the question cannot be answered."""
    words: Words
    """Of the base that was searched."""


def fit_support(
    pieces: Sequence[Passage],
    search: Search,
    *,
    start: LearnedSupport | None = None,
    n_questions: int = 300,
    goal: Goal = DEFAULT_GOAL,
    pull: float = 300.0,
    seed: int = 0,
) -> LearnedSupport:
    """The support model of a base, fitted without labels.

    Args:
        pieces: all pieces of the base.
        search: of the base; a few hundred searches are made.
        start: where the fit starts, and is held near; None: what comes with the package.
        n_questions: pieces whose questions are taken, drawn by *seed*.
        goal: what the threshold is to refuse.
        pull: how many searches the coefficients of *start* count as.
        seed: of the drawing and of the rewording.

    Raises KnowledgeError where there are fewer than `MIN_PIECES` pieces.
    """
    if len(pieces) < MIN_PIECES:
        raise KnowledgeError(
            f"{len(pieces)} pieces are too few to learn what an answer looks like",
            where="knowledge",
            cure=f"add documents until there are {MIN_PIECES}; until then the default is used",
        )
    start = start or LearnedSupport.default()
    words = Words.of(f"{one.question} {one.heading} {one.text}" for one in pieces)
    searched = own_searches(pieces, search, words, n_questions=n_questions, seed=seed)
    fitted = _near(start, *rows_of(searched, sure=True), pull=pull)
    fitted = replace(
        fitted,
        words=words,
        provenance=f"{len(searched)} searches for the base's own questions, reworded, with and "
        f"without the piece they belong to; held near: {start.provenance}",
    )
    return with_threshold(fitted, searched, goal)


def own_searches(
    pieces: Sequence[Passage], search: Search, words: Words, *, n_questions: int, seed: int
) -> list[Searched]:
    """Of each drawn piece one search in which it is found, where it is, and one without it.

    Where other pieces say the same for other questions, as where an answer is kept with several
    ways to ask for it, the question is asked as it stands and its own piece is taken out of what is
    found: no rewording is as good as people's.
    """
    rng = random.Random(seed)
    drawn = rng.sample(list(pieces), min(n_questions, len(pieces)))
    of_text: defaultdict[str, list[Passage]] = defaultdict(list)
    for one in pieces:
        of_text[one.text].append(one)
    found: list[Searched] = []
    for piece in drawn:
        question = own_question(piece)
        if not question:
            continue
        has_twins = bool(piece.question) and len(of_text[piece.text]) > 1
        asked = question if has_twins else reword(question, rng)
        passages = search(asked, 2 * N_FOUND + len(of_text[piece.text]))
        if has_twins:
            passages = [one for one in passages if one.question != question]
        first = list(passages[:N_FOUND])
        answers = [_is_twin(one, piece) for one in first]
        if any(answers):
            found.append(Searched(asked, first, answers, words))
        others = [one for one in passages if not _is_twin(one, piece)][:N_FOUND]
        if others:
            rest = words.without(gone for gone in of_text[piece.text] if _is_twin(gone, piece))
            found.append(Searched(asked, others, [False] * len(others), rest))
    return found


def own_question(piece: Passage) -> str:
    """What a piece answers: its question, else its last heading with its first sentence.

    >>> own_question(Passage("1", "a.md", "Returns › How long", "30 days. Then no more.", 0.0))
    'How long 30 days.'
    """
    if piece.question:
        return piece.question
    first = (sentences(piece.text) or [""])[0]
    return f"{piece.heading.split(' › ')[-1]} {first}".strip()


def _is_twin(one: Passage, piece: Passage) -> bool:
    """Whether *one* answers whatever *piece* answers, being it or saying the same."""
    is_same_question = bool(piece.question) and one.question == piece.question
    return one.id == piece.id or one.text == piece.text or is_same_question


def rows_of(searched: Sequence[Searched], *, sure: bool = False) -> tuple[Floats, Floats]:
    """(N, F) features of all passages of all searches, and (N,) whether they answer.

    *sure*: of a search that has an answer, the answers alone. What else is found for a base's own
    question may answer as well, where a base has much the same question many times.
    """
    rows: list[Floats] = []
    truth: list[float] = []
    for one in searched:
        answers = np.array(one.answers)
        kept = answers if sure and answers.any() else np.ones(len(answers), dtype=bool)
        rows.append(evidence(one.question, one.passages, one.words)[kept])
        truth += answers[kept].astype(float).tolist()
    return np.concatenate(rows), np.array(truth)


def fit_labelled(searched: Sequence[Searched], goal: Goal = DEFAULT_GOAL) -> LearnedSupport:
    """A support model from labelled searches, of one base or of several.

    How the coefficients that come with the package were made.
    """
    rows, truth = rows_of(searched)
    scale = rows.std(axis=0) + 1e-9
    model = LogisticRegression(max_iter=1000).fit(rows / scale, truth)
    weights = dict(zip((n for n, _ in FEATURES), (model.coef_[0] / scale).tolist(), strict=True))
    fitted = LearnedSupport(weights, float(model.intercept_[0]), threshold=0.5)
    return with_threshold(fitted, searched, goal)


def _near(start: LearnedSupport, rows: Floats, truth: Floats, *, pull: float) -> LearnedSupport:
    """Logistic regression with a normal prior around the coefficients of *start*.

    Minimises ``mean nll + pull / (2 N) |scaled difference|^2``; the bias is free, so that the base
    decides how sure one may be at all.
    """
    before = np.append(start.vector, start.bias)
    columns = np.column_stack([rows, np.ones(len(rows))])  # (N, F + 1)
    scale = np.append(rows.std(axis=0), 0.0)
    n_rows = len(rows)

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        logits = columns @ coefficients
        apart = (coefficients - before) * scale
        nll = np.mean(np.logaddexp(0.0, logits) - truth * logits)
        slope = columns.T @ (sigmoid(logits) - truth) / n_rows
        return nll + pull / (2 * n_rows) * apart @ apart, slope + pull / n_rows * apart * scale

    found = minimize(loss, before, jac=True, method="L-BFGS-B").x
    names = [name for name, _ in FEATURES]
    return replace(start, weights=dict(zip(names, found.tolist(), strict=False)), bias=found[-1])


def with_threshold(
    support: LearnedSupport, searched: Sequence[Searched], goal: Goal = DEFAULT_GOAL
) -> LearnedSupport:
    """The same with the threshold for *goal*.

    Raises KnowledgeError where no search has an answer.
    """
    scores = best_of(support, searched)
    is_answerable = np.array([any(one.answers) for one in searched])
    if not is_answerable.any():
        raise KnowledgeError(
            "finds none of its own questions",
            where="knowledge",
            cure="look whether the encoder fits the language of the documents",
        )
    known, unknown = scores[is_answerable], scores[~is_answerable]
    threshold = threshold_for(known, unknown, goal)
    expected = {
        "refused_answerable": float((known < threshold).mean()),
        "refused_unanswerable": float((unknown < threshold).mean()) if unknown.size else 1.0,
    }
    return replace(support, threshold=threshold, expected=expected)


def best_of(support: LearnedSupport, searched: Sequence[Searched]) -> Floats:
    """(N,) the probability of the best passage of each search."""
    found = [
        max(replace(support, words=one.words).probabilities(one.question, one.passages))
        for one in searched
    ]
    return np.array(found)


def threshold_for(known: Floats, unknown: Floats, goal: Goal) -> float:
    """The highest threshold that keeps to *goal* on the best scores of searches.

    Questions that a base rewords for itself are nearer to it than those of people, so that the
    quantile of *known* scores alone would be too high in a small base; what is already refused
    often enough needs no higher one.

    >>> known, unknown = np.array([0.1, 0.5, 0.8, 0.9]), np.array([0.05, 0.1, 0.2, 0.7])
    >>> threshold_for(known, unknown, Goal(answerable=0.25, unanswerable=1.0))
    0.5
    >>> round(threshold_for(known, unknown, Goal(answerable=0.25, unanswerable=0.75)), 4)
    0.2
    """
    ordered = np.sort(known)
    most = float(ordered[min(len(ordered) - 1, int(goal.answerable * len(ordered)))])
    others = np.sort(unknown)
    n_refused = math.ceil(goal.unanswerable * len(others))
    if not n_refused:
        return most
    return min(most, float(np.nextafter(others[n_refused - 1], np.inf)))
