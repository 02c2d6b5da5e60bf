"""Tuning the search from logs: questions, and the answers that were accepted for them.

A tuned model is kept only where it finds held-out answers better than the untuned one does, by
more than chance; questions of the held-out rows were never seen, the answers may have been, as in
a base.

    gain = tune_retriever(pairs, backbone, folder)     # pairs: Example(question, second=answer)
    if gain.wins:
        load_model(folder)                             # a model of the task `retrieval`
        held_out(folder)                               # pairs that it was not tuned on
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tailorbird.config import Settings
from tailorbird.data import mask_pii
from tailorbird.errors import DataError, KnowledgeError
from tailorbird.evaluation.gains import Gain, paired_gain
from tailorbird.knowledge.hard_negatives import with_hard_negatives
from tailorbird.modeling import TextModel, build_model, save_model
from tailorbird.records import Example, Interaction
from tailorbird.store.files import write_atomically
from tailorbird.tuning import TuningRun, plan_tuning, tasks, tune
from tailorbird.weights import BackboneFolder

Say = Callable[[str], None]
Ranks = NDArray[np.int64]

HELD_OUT = "held_out.jsonl"
"""In the folder of a tuned model: what its gain was told by, and its base is judged by."""
MIN_PAIRS = 40
"""Fewer leave nothing to tell a gain from chance with."""


@dataclass(frozen=True, slots=True)
class SearchGain:
    """The tuned model against the one before it, on the same held-out questions."""

    n_train: int
    n_held: int
    recall_at_1: Gain
    mrr: Gain

    @property
    def wins(self) -> bool:
        """Whether the mean of 1 / rank is higher by more than chance."""
        return self.mrr.wins

    def __str__(self) -> str:
        verdict = "kept" if self.wins else "not kept: no better than chance"
        return (
            f"{self.n_train:,} pairs, {self.n_held:,} held out: recall@1 {self.recall_at_1}, "
            f"MRR {self.mrr}; {verdict}"
        )


def accepted(interactions: Iterable[Interaction]) -> list[Example]:
    """Questions with the answers they got, but for those that people thought bad; PII masked.

    >>> logs = [Interaction("1", "how much?", "5 euros", feedback=1.0),
    ...         Interaction("2", "hello", "What?", feedback=-1.0), Interaction("3", "bye")]
    >>> [(pair.text, pair.second) for pair in accepted(logs)]
    [('how much?', '5 euros')]
    """
    return [
        Example(
            mask_pii(one.text), interaction_id=one.id, user=one.user, second=mask_pii(one.reply)
        )
        for one in interactions
        if one.reply and (one.feedback is None or one.feedback >= 0)
    ]


@dataclass(frozen=True, slots=True)
class Divided:
    """Pairs, divided by their questions, and all answers."""

    train: list[Example]
    validation: list[Example]
    held: list[Example]
    answers: list[str]
    """Each once; what is searched."""


def divide(pairs: Sequence[Example], *, seed: int = 0) -> Divided:
    """Eight tenths of the questions to train, one to validate, one held out.

    Raises DataError where there are too few pairs.
    """
    whole = (pair for pair in pairs if pair.text.strip() and pair.second.strip())
    kept = list({(pair.text, pair.second): pair for pair in whole}.values())
    questions = list(dict.fromkeys(pair.text for pair in kept))
    if len(questions) < MIN_PAIRS:
        raise DataError(
            f"{len(questions)} questions with an accepted answer are too few to tune a search on",
            cure=f"wait for {MIN_PAIRS}, or leave the search as it is",
        )
    random.Random(seed).shuffle(questions)
    n = max(1, len(questions) // 10)
    validation, held = set(questions[:n]), set(questions[n : 2 * n])
    return Divided(
        [p for p in kept if p.text not in validation and p.text not in held],
        [p for p in kept if p.text in validation],
        [p for p in kept if p.text in held],
        list(dict.fromkeys(pair.second for pair in kept)),
    )


def tune_retriever(
    pairs: Sequence[Example],
    backbone: BackboneFolder,
    folder: Path,
    *,
    settings: Settings | None = None,
    n_hard: int = 1,
    say: Say = lambda _: None,
) -> SearchGain:
    """Bring questions near their answers; the model is in *folder* afterwards where it wins.

    Args:
        pairs: ``Example(question, second=answer)``.
        backbone: the pretrained encoder to start from.
        folder: written by `save_model` where the gain is more than chance, else left alone; with
            the pairs that it was not tuned on (`held_out`).
        settings: sections model, method, tuning, optimizer and loss are read.
        n_hard: answers a question that BM25 takes for right and that are not, as negatives beside
            those of the batch (Karpukhin et al. 2020, section 3.2); 0 needs no bm25s.
        say: is told what was decided.

    Raises DataError where there are too few pairs.
    """
    settings = settings or Settings()
    parts = divide(pairs, seed=settings.split.seed)
    task = tasks.find_task("retrieval")
    torch.manual_seed(settings.tuning.seed)
    model = build_model(backbone, [], settings=settings.model, spec=task.spec)
    before = ranks(model, parts)
    train = with_hard_negatives(parts.train, parts.answers, n=n_hard)
    fit_model(model, train, parts.validation, settings, say=say)
    gain = gain_of(before, ranks(model, parts), n_train=len(train))
    say(str(gain))
    if gain.wins:
        save_model(model, folder, backbone=backbone.path)
        keep_held_out([*parts.validation, *parts.held], folder / HELD_OUT)
    return gain


def keep_held_out(pairs: Iterable[Example], file: Path) -> None:
    """Write them as rows of a run are, so that forgetting a user finds theirs."""
    rows = ({"user": one.user, "text": one.text, "second": one.second} for one in pairs)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(file, lines.encode())


def held_out(folder: Path) -> list[Example]:
    """The pairs that the model in *folder* was not tuned on; none where it was tuned elsewhere.

    Raises KnowledgeError where the file was damaged.
    """
    file = folder / HELD_OUT
    if not file.is_file():
        return []
    try:
        with file.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        return [Example(str(row["text"]), second=str(row["second"])) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise KnowledgeError(
            f"has no questions with their answers ({error})",
            where=str(file),
            cure="remove the file, or tune the search again",
        ) from error


def fit_model(
    model: TextModel,
    train: Sequence[Example],
    validation: Sequence[Example],
    settings: Settings,
    *,
    say: Say = lambda _: None,
) -> TuningRun:
    """Tune *model* on the rows of its task, by the plan for them."""
    plan, decisions = plan_tuning(model, len(train), settings)
    for decision in decisions:
        say(decision)
    run = TuningRun(model, plan)
    rows, held = (tasks.encode_examples(model, part) for part in (train, validation))
    for report in tune(run, rows, held):
        if report.event == "validation":
            say(f"epoch {report.epoch:.1f}: " + _shown(report.metrics))
    model.eval()
    return run


def _shown(metrics: object) -> str:
    assert isinstance(metrics, dict)
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def embed(model: TextModel, texts: Sequence[str], *, is_query: bool) -> NDArray[np.float32]:
    """(N, D) vectors of length 1 from a model of the task `retrieval`."""
    if not texts:
        return np.zeros((0, 0), dtype=np.float32)
    tokens = model.tokenizer.searched(texts, texts)
    tokens = tokens.subset(list(range(0 if is_query else 1, 2 * len(texts), 2)))
    return np.asarray(model.logits(tokens).numpy(), dtype=np.float32)


def ranks(model: TextModel, parts: Divided) -> Ranks:
    """(N,) the place of the accepted answer of each held-out pair among all answers, from 1."""
    questions = embed(model, [pair.text for pair in parts.held], is_query=True)
    cosines = questions @ embed(model, parts.answers, is_query=False).T  # (N, M)
    return ranks_from(cosines, parts.held, parts.answers)


def ranks_from(
    scores: NDArray[np.float32], held: Sequence[Example], answers: Sequence[str]
) -> Ranks:
    """(N,) places from scores (N, M); what is as good as the right answer stands before it.

    Another answer that the same question got is neither.
    """
    place = {answer: k for k, answer in enumerate(answers)}
    right: dict[str, list[int]] = {}
    for pair in held:
        right.setdefault(pair.text, []).append(place[pair.second])
    found = []
    for row, pair in zip(scores, held, strict=True):
        own = row[place[pair.second]]
        is_other = np.ones(len(row), dtype=bool)
        is_other[right[pair.text]] = False
        found.append(1 + int(((row >= own) & is_other).sum()))
    return np.array(found)


def gain_of(before: Ranks, after: Ranks, *, n_train: int) -> SearchGain:
    """What better places are worth.

    >>> gain = gain_of(np.full(100, 4), np.full(100, 1), n_train=800)
    >>> gain.mrr.gain.value, gain.recall_at_1.candidate, gain.wins
    (0.75, 1.0, True)
    """
    return SearchGain(
        n_train,
        len(after),
        paired_gain(after <= 1, before <= 1),
        paired_gain(1 / after, 1 / before),
    )
