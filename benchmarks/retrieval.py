"""Finding the right reply and the same question: a tuned retriever beside BM25, E5 and its peer.

The rows are told in `benchmarks.retrieval_rows`. Sides, each in a process of its own:

- *BM25* on pairs of Chinese characters and Latin words, and *E5*, multilingual-e5-small as it was
  pretrained, with its prefixes.
- *ours*: E5 tuned on the training pairs by the task `retrieval` (in-batch negatives, every weight
  but the word table), as planned, `--epochs` epochs of batches of 64. As `knowledge tune` does, it
  keeps the untuned model where pairs that were held out are found no better by more than chance;
  figures with ``_tuned`` are those of the tuned one all the same.
- *ours, hard*: the same with a hard negative a query, found by BM25; the replies of taobao alone.
- *sentence-transformers*: its MultipleNegativesRankingLoss on the same rows in batches as large, as
  many epochs, at the same rate, at its best: bf16, no dropout, the word table frozen, too (a dense
  update of its 250,000 rows takes longer than all layers), the faster attention (`--attention`).
- *ours, pairs*: the task `pairs`, which reads both sentences together; matching alone.

The clock runs from the first tokenisation to the last update, on both tuned sides, which are run
with each of `--seeds` orders of the rows: their figures are means, with their standard errors.

``recall_at_1`` and ``mrr``: of taobao among ten candidates; of the matching sets each first
sentence of a test pair that is the same looks for its second among all second sentences of the
test part.
``accuracy`` and ``f1`` (of *same*) with the threshold that is best on validation.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import ours as side
from benchmarks.grounding_base import untuned
from benchmarks.retrieval_rows import Matching, Selection, atec, bustm, taobao
from benchmarks.rounds import Side, compare, folder_option, peak_gib, show
from tailorbird.config import ModelSettings, Settings, TuningSettings
from tailorbird.knowledge.hard_negatives import WordIndex, with_hard_negatives
from tailorbird.knowledge.tuning import Divided, embed, gain_of, ranks
from tailorbird.metrics.classification import accuracy
from tailorbird.modeling import TextModel, build_model
from tailorbird.records import Example
from tailorbird.tuning import TuningRun, plan_tuning, tune
from tailorbird.tuning.tasks import encode_examples, find_task

MAX_TOKENS = 96
SETS = ("taobao", "atec", "bustm")
Floats = NDArray[np.float64]
Score = Callable[[Sequence[str], Sequence[str]], Floats]
"""(queries (N,), passages (M,)) → (N, M)."""
Match = Callable[[Sequence[tuple[str, str, bool]]], Floats]
"""Pairs → how much they are the same, (N,)."""


def places(scores: Floats, own: Sequence[int]) -> NDArray[np.int64]:
    """(N,) of the right one of each row, from 1; what is as good stands before it."""
    right = scores[np.arange(len(own)), list(own)]
    return np.asarray((scores >= right[:, None]).sum(axis=1))


def selection(rows: Selection, score: Score) -> dict[str, float]:
    """The figures of taobao."""
    replies = list(dict.fromkeys(text for _, some in rows.test for text in some))
    place = {text: k for k, text in enumerate(replies)}
    scores = score([query for query, _ in rows.test], replies)  # (N, M)
    chosen = np.array([[place[text] for text in some] for _, some in rows.test])  # (N, 10)
    ranks = places(np.take_along_axis(scores, chosen, axis=1), [0] * len(chosen))
    return {"recall_at_1": float((ranks == 1).mean()), "mrr": float((1 / ranks).mean())}


def search(rows: Matching, score: Score) -> dict[str, float]:
    """How well the same question is found among all second sentences of the test part."""
    seconds = list(dict.fromkeys(b for _, b, _ in rows.test))
    same = [(a, b) for a, b, is_same in rows.test if is_same and a != b]
    place = {text: k for k, text in enumerate(seconds)}
    scores = score([a for a, _ in same], seconds)
    for row, (first, _) in zip(scores, same, strict=True):
        if first in place:
            row[place[first]] = -np.inf  # the sentence itself is no find
    ranks = places(scores, [place[b] for _, b in same])
    return {"recall_at_1": float((ranks == 1).mean()), "mrr": float((1 / ranks).mean())}


def matching(rows: Matching, match: Match) -> dict[str, float]:
    """Accuracy and F1 of *same*, each at the threshold that is best on validation for it."""
    held, found = match(rows.validation), match(rows.test)
    truth, test = (np.array([p[2] for p in part]) for part in (rows.validation, rows.test))
    cuts = np.unique(held)
    by_accuracy = max(cuts, key=lambda cut: accuracy(truth, held >= cut))
    by_f1 = max(cuts, key=lambda cut: f1(truth, held >= cut))
    return {
        "accuracy": accuracy(test, found >= by_accuracy),
        "f1": f1(test, found >= by_f1),
    }


def f1(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> float:
    """Of the class *same*."""
    hits = float((truth & guess).sum())
    return float(2 * hits / (truth.sum() + guess.sum())) if hits else 0.0


def by_words(queries: Sequence[str], passages: Sequence[str]) -> Floats:
    """BM25."""
    index = WordIndex(list(passages))
    return np.stack([index.scores(query) for query in queries]).astype(np.float64)


def words_match(pairs: Sequence[tuple[str, str, bool]]) -> Floats:
    """BM25 of the first sentence for the second over its score for itself."""
    index = WordIndex([text for a, b, _ in pairs for text in (b, a)])
    scores = (index.scores(a)[2 * k : 2 * k + 2] for k, (a, _, _) in enumerate(pairs))
    return np.array([float(of_b / of_a) if of_a > 0 else 0.0 for of_b, of_a in scores])


Vectors = Callable[[Sequence[str], bool], NDArray[np.float32]]


def figures(
    name: str, rows: Selection | Matching, vectors: Vectors, *, alike: bool = False
) -> dict[str, float]:
    """All figures of one set from vectors of texts; *alike*: second sentences are queries, too."""
    second_is_query = alike and isinstance(rows, Matching)

    def score(queries: Sequence[str], passages: Sequence[str]) -> Floats:
        return (vectors(queries, True) @ vectors(passages, second_is_query).T).astype(np.float64)

    def match(pairs: Sequence[tuple[str, str, bool]]) -> Floats:
        one = vectors([a for a, _, _ in pairs], True)
        other = vectors([b for _, b, _ in pairs], second_is_query)
        return np.asarray((one * other).sum(axis=1), dtype=np.float64)

    if isinstance(rows, Selection):
        found = selection(rows, score)
    else:
        found = search(rows, score) | matching(rows, match)
    return {f"{name}_{key}": value for key, value in found.items()}


def sets(options: argparse.Namespace) -> dict[str, Selection | Matching]:
    """The rows by the name of their set, of those that are asked for."""
    found: dict[str, Callable[[], Selection | Matching]] = {
        "taobao": lambda: taobao(options.data, n_train=options.rows),
        "atec": lambda: atec(options.data, n_train=options.rows),
        "bustm": lambda: bustm(options.data),
    }
    return {name: found[name]() for name in options.only}


def bm25(options: argparse.Namespace) -> dict[str, float]:
    """Words alone."""
    found: dict[str, float] = {}
    for name, rows in sets(options).items():
        if isinstance(rows, Selection):
            of_set = selection(rows, by_words)
        else:
            of_set = search(rows, by_words) | matching(rows, words_match)
        found |= {f"{name}_{key}": value for key, value in of_set.items()}
    return found


def e5(options: argparse.Namespace) -> dict[str, float]:
    """As pretrained, and as its authors advise: both sentences of a pair are queries."""
    model = untuned(options.backbone)
    found: dict[str, float] = {}
    for name, rows in sets(options).items():
        found |= figures(name, rows, partial(_vectors, model), alike=True)
    return found


def pairs_of(rows: Selection | Matching) -> list[Example]:
    """What retrievers are tuned on."""
    return rows.train if isinstance(rows, Selection) else rows.same


def n_epochs(options: argparse.Namespace, n_rows: int) -> int:
    """More of them where there are few rows."""
    return int(options.epochs) if n_rows >= 1000 else 4 * int(options.epochs)


def settings_for(options: argparse.Namespace, n_rows: int) -> Settings:
    """Ours: as planned, but for the epochs and the size of batches."""
    epochs = n_epochs(options, n_rows)
    tuning = TuningSettings(n_epochs=epochs, batch_size=64, patience=0, seed=options.seed)
    return Settings(tuning=tuning)


def planned_rate(options: argparse.Namespace, n_rows: int) -> float:
    """The rate that our plan takes for so many pairs."""
    plan, _ = plan_tuning(untuned(options.backbone), n_rows, settings_for(options, n_rows))
    return plan.learning_rate


def tuned(options: argparse.Namespace, task: str, rows: list[Example]) -> tuple[TextModel, float]:
    """E5 tuned by *task* on *rows*, and the seconds that took."""
    settings = settings_for(options, len(rows))
    torch.manual_seed(options.seed)
    labels = find_task(task).labels(rows)
    model = build_model(
        side.backbone(options.backbone),
        labels,
        settings=ModelSettings(),
        spec=find_task(task).spec,
        max_tokens=MAX_TOKENS,
    )
    run = TuningRun(model, plan_tuning(model, len(rows), settings)[0])
    start = time.perf_counter()
    for _ in tune(run, encode_examples(model, rows), None):
        pass
    return model.eval(), time.perf_counter() - start


def ours(options: argparse.Namespace) -> dict[str, float]:
    """In-batch negatives."""
    found: dict[str, float] = {}
    seconds = 0.0
    before = untuned(options.backbone)
    for name, rows in sets(options).items():
        model, taken = tuned(options, "retrieval", pairs_of(rows))
        seconds += taken
        by_tuned = figures(name, rows, partial(_vectors, model))
        found |= {f"{key}_tuned": value for key, value in by_tuned.items()}
        is_kept = is_better(model, before, rows.held)
        found |= by_tuned if is_kept else figures(name, rows, partial(_vectors, before))
        found[f"{name}_is_kept"] = float(is_kept)
    return found | {"train_s": seconds, "peak_gib": peak_gib()}


def _vectors(model: TextModel, texts: Sequence[str], is_query: bool) -> NDArray[np.float32]:
    return embed(model, texts, is_query=is_query)


def is_better(model: TextModel, before: TextModel, held: list[Example]) -> bool:
    """Whether *model* finds the passages of *held* better than *before*, by more than chance."""
    parts = Divided([], [], held, list(dict.fromkeys(pair.second for pair in held)))
    return gain_of(ranks(before, parts), ranks(model, parts), n_train=0).wins


def ours_hard(options: argparse.Namespace) -> dict[str, float]:
    """With a hard negative a query."""
    rows = sets(options).get("taobao")
    if not isinstance(rows, Selection):
        return {}
    replies = list(dict.fromkeys(pair.second for pair in rows.train))
    model, _ = tuned(options, "retrieval", with_hard_negatives(rows.train, replies, n=1))
    return figures("taobao", rows, partial(_vectors, model))


def ours_pairs(options: argparse.Namespace) -> dict[str, float]:
    """Both sentences read together."""
    found: dict[str, float] = {}
    for name, rows in sets(options).items():
        if isinstance(rows, Selection):
            continue
        train = [Example(a, "same" if s else "other", second=b) for a, b, s in rows.train]
        model, _ = tuned(options, "pairs", train)

        def match(pairs: Sequence[tuple[str, str, bool]], m: TextModel = model) -> Floats:
            tokens = m.tokenizer.pairs([p[0] for p in pairs], [p[1] for p in pairs])
            chances = m.logits(tokens).softmax(-1)[:, m.labels.index("same")]
            return np.asarray(chances.double().numpy())

        found |= {f"{name}_{key}": value for key, value in matching(rows, match).items()}
    return found


def sentence_transformers(options: argparse.Namespace) -> dict[str, float]:
    """The peer, on the same rows."""
    from benchmarks import mnrl_peer

    found: dict[str, float] = {}
    seconds = 0.0
    folder = side.backbone(options.backbone)
    for name, rows in sets(options).items():
        pairs = pairs_of(rows)
        with tempfile.TemporaryDirectory() as place:
            rate = options.peer_rate or planned_rate(options, len(pairs))
            epochs = n_epochs(options, len(pairs))
            how = mnrl_peer.How(epochs, rate, options.attention, MAX_TOKENS, options.seed)
            vectors, taken = mnrl_peer.tuned(folder, pairs, how, place)
        seconds += taken
        found |= figures(name, rows, vectors)
    return found | {"train_s": seconds, "peak_gib": peak_gib()}


def of_seeds(side: Side) -> Side:
    """The means of *side*'s figures over the seeds; ``…_error`` is the standard error of a mean."""

    def means(options: argparse.Namespace) -> dict[str, float]:
        seeds = range(options.seed, options.seed + options.seeds)
        rows = [side(argparse.Namespace(**vars(options) | {"seed": seed})) for seed in seeds]
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        found = {key: statistics.fmean(values) for key, values in columns.items()}
        if len(rows) == 1:
            return found
        root = len(rows) ** 0.5
        return found | {f"{k}_error": statistics.stdev(v) / root for k, v in columns.items()}

    return means


SIDES = {
    "BM25": bm25,
    "E5": e5,
    "ours": of_seeds(ours),
    "ours, hard": ours_hard,
    "ours, pairs": ours_pairs,
    "sentence-transformers": of_seeds(sentence_transformers),
}


def result_of(medians: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The figures of the last line; gaps in points, positive where the peer is ahead.

    ``worst_gap_error``: the standard error of that gap over the seeds, where there are several.
    """
    mine, peer = medians["ours"], medians["sentence-transformers"]
    keys = [key for key in peer if key.startswith(SETS) and not key.endswith("_error")]
    found: dict[str, float] = {"ratio_vs_sentence_transformers": peer["train_s"] / mine["train_s"]}
    for suffix in ("", "_tuned"):
        gaps = {key: 100 * (peer[key] - mine[key + suffix]) for key in keys}
        worst = max(gaps, key=gaps.__getitem__)
        found[f"worst_gap_points{suffix}"] = gaps[worst]
        found[f"mean_gap_points{suffix}"] = statistics.fmean(gaps.values())
        if f"{worst}_error" in peer:
            errors = peer[f"{worst}_error"], mine[f"{worst}{suffix}_error"]
            found[f"worst_gap_error{suffix}"] = 100 * math.hypot(*errors)
    for name, row in medians.items():
        short = name.replace(", ", "_").replace(" ", "_").replace("-", "_").lower()
        found |= {f"{short}_{key}": value for key, value in row.items()}
    return found


def main() -> None:
    """Run the sides in turn and print them."""
    parser = folder_option(__doc__, folder="that holds the sets")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the training pairs")
    parser.add_argument("--rows", type=int, default=3000, help="training pairs of a set, at most")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS, help="some of the sets")
    parser.add_argument("--seed", type=int, default=0, help="of the order of rows, on both sides")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from that one on")
    parser.add_argument("--backbone", default="e5", help="e5, or a folder in hub form")
    parser.add_argument("--peer-rate", type=float, default=0.0, help="the peer's; 0: as ours plans")
    parser.add_argument(
        "--attention", choices=("eager", "sdpa"), default="eager", help="the peer's"
    )
    medians = compare(parser, SIDES, "benchmarks.retrieval", n_rounds=1)
    if medians is not None:
        show(medians, result_of(medians))


if __name__ == "__main__":
    main()
