"""Fitting the support model: to labelled searches, or to a base that nobody has labelled.

A base labels itself: a piece answers its own question however that is worded, and where the piece
is taken away nothing answers it. So each of its questions, reworded, is searched once; with its
own piece among the results it is answerable, without it and its twins it is not. What is fitted
stays near the coefficients that come with the package, whose questions were reworded by people.

Questions of people whose accepted answer is a piece are searched in the same two ways. Where there
are enough of them they say how much is refused of what can be answered.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from tailorbird.data import mask_pii
from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.chunking import sentences
from tailorbird.knowledge.evidence import FEATURES, Floats, Words, evidence
from tailorbird.knowledge.rewording import reword
from tailorbird.knowledge.support import LearnedSupport, sigmoid
from tailorbird.records import Example, Passage

Search = Callable[[str, int], Sequence[Passage]]
"""Question and how many passages → the best of them, as `KnowledgeBase.search` gives them."""

N_FOUND = 5
"""Passages of a search that are looked at."""
MIN_PIECES = 8
"""In fewer, taking one away leaves nothing to compare with."""
N_ASKED = 600
"""Questions of people that are searched, at the most."""
MIN_ASKED = 50
"""Fewer that are found do not tell a share of 7 %."""
PULL = 300.0
"""How many searches the coefficients that a fit starts from count as."""
PULL_OF_ASKED = 100.0
"""The same beside questions of people, which are more like those to come than reworded ones."""


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
    asked: Sequence[Example] = (),
    seed: int = 0,
) -> LearnedSupport:
    """The support model of a base, fitted without labels, or with the questions of people.

    Args:
        pieces: all pieces of the base.
        search: of the base; a few hundred searches are made.
        start: where the fit starts, and is held near; None: what comes with the package.
        n_questions: pieces whose questions are taken, drawn by *seed*.
        goal: what the threshold is to refuse; of the *asked*, where there are enough, the share of
            the answerable alone, as what else people ask is harder to tell from them.
        asked: ``Example(question, second=accepted answer)`` that the encoder of the base was not
            tuned on; those whose answer no piece has say nothing.
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
    about = (
        f"{len(searched)} searches for the base's own questions, reworded, with and without the "
        "piece they belong to"
    )
    people = asked_searches(pieces, search, words, asked, seed=seed)
    known = [one for one in people if any(one.answers)]
    if len(known) < MIN_ASKED:
        fitted = _near(start, *rows_of(searched, sure=True), pull=PULL)
        judged = searched
    else:
        fitted = _near(start, *rows_of([*searched, *people], sure=True), pull=PULL_OF_ASKED)
        judged = known
        about += f"; {len(people)} for {len(known)} questions of people"
    provenance = f"{about}; held near: {start.provenance}"
    return with_threshold(replace(fitted, words=words, provenance=provenance), judged, goal)


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
    of_text = _by_text(pieces)
    found: list[Searched] = []
    for piece in drawn:
        question = own_question(piece)
        if not question:
            continue
        same = of_text[piece.text.strip()]
        has_twins = bool(piece.question) and len(same) > 1
        asked = question if has_twins else reword(question, rng)
        passages = search(asked, 2 * N_FOUND + len(same))
        if has_twins:
            passages = [one for one in passages if one.question != question]
        right = {one.id for one in passages if _is_twin(one, piece)}
        rest = words.without(one for one in same if _is_twin(one, piece))
        found += _both(asked, passages, right, words=words, rest=rest)
    return found


def asked_searches(
    pieces: Sequence[Passage],
    search: Search,
    words: Words,
    asked: Sequence[Example],
    *,
    seed: int = 0,
) -> list[Searched]:
    """The same for at most `N_ASKED` questions of people that a piece is the accepted answer to.

    Questions that stand in the base are left out. What people said has its PII masked, so a piece
    is compared as it were masked.
    """
    of_text = {mask_pii(text): same for text, same in _by_text(pieces).items()}
    own = {piece.question for piece in pieces}
    known = [one for one in asked if one.second.strip() in of_text and one.text not in own]
    found: list[Searched] = []
    for one in random.Random(seed).sample(known, min(N_ASKED, len(known))):
        right = of_text[one.second.strip()]
        passages = search(one.text, 2 * N_FOUND + len(right))
        ids, rest = {piece.id for piece in right}, words.without(right)
        found += _both(one.text, passages, ids, words=words, rest=rest)
    return found


def _both(
    question: str, passages: Sequence[Passage], right: Set[str], *, words: Words, rest: Words
) -> list[Searched]:
    """The search as it is, if one of the *right* pieces is found, and as it were without them.

    *rest* are the words of the base then.
    """
    first = passages[:N_FOUND]
    answers = [one.id in right for one in first]
    found = [Searched(question, first, answers, words)] if any(answers) else []
    others = [one for one in passages if one.id not in right][:N_FOUND]
    if others:
        found.append(Searched(question, others, [False] * len(others), rest))
    return found


def _by_text(pieces: Sequence[Passage]) -> dict[str, list[Passage]]:
    """Text → the pieces that say it."""
    found: defaultdict[str, list[Passage]] = defaultdict(list)
    for piece in pieces:
        found[piece.text.strip()].append(piece)
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
