"""Whether what is not in the knowledge base is refused, and what is in it answered.

What is asked and how one knows that it is answerable is told in `benchmarks.grounding_rows`:
Chinese questions to shops, English ones to a service desk (`--draws` halves of its intents, means
over them). Each question is searched (dense and BM25, fused), the support model says how probable
it is that a passage answers, and below its threshold nothing is said. Compared are the
coefficients that come with the package and those fitted to the base without labels; in English
also a retriever tuned on the questions that logs have of the base's own intents (the train part).
The questions of the logs that it is not tuned on (two tenths) are what the support model of that
base is fitted with, beside the base's own.

- `refused_unanswerable`: share of unanswerable questions that nothing is said to.
- `refused_answerable`: the same of answerable ones. *identical* ones are questions of the base as
  they stand there (in Chinese alone), *paraphrased* ones ask for it in other words. Where most are
  identical, look at `refused_paraphrased`.
- `right_source`: of the paraphrased questions that are answered, how many by a piece that answers.
- `without_source`: sentences of answers that are not in the piece they are said to be from.

Thresholds are those that the support models have. How strongly a base's own model is held near the
one that comes with the package (``pull``), one feature (``echo``) and the share of unanswerable
questions that is enough were chosen after figures of these questions were seen, so they flatter.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from benchmarks import ours as side
from benchmarks.grounding_base import Embed, SmallBase, remembered, untuned
from benchmarks.grounding_rows import Asked, Grounding, bitext, taobao
from benchmarks.rounds import SCREEN, folder_option
from tailorbird.hardware import processor
from tailorbird.knowledge import sentences
from tailorbird.knowledge.support import LearnedSupport
from tailorbird.knowledge.support_fitting import N_FOUND, fit_support
from tailorbird.knowledge.tuning import held_out, tune_retriever
from tailorbird.modeling import load_model
from tailorbird.records import Example, Passage

Figures = dict[str, float]


def answer(
    question: str, base: SmallBase, support: LearnedSupport
) -> tuple[float, Passage, list[tuple[str, str]]]:
    """How well the best passage supports an answer, the passage, and (sentence, source) of it."""
    passages = base.search(question, N_FOUND)
    chances = support.probabilities(question, passages)
    best = max(range(len(passages)), key=chances.__getitem__)
    chance, passage = chances[best], passages[best]
    if chance < support.threshold:
        return chance, passage, []
    return chance, passage, [(one, passage.id) for one in sentences(passage.text)]


def measure(asked: list[Asked], base: SmallBase, support: LearnedSupport) -> Figures:
    """The figures of one base and one support model."""
    refused: defaultdict[str, list[bool]] = defaultdict(list)
    chances: list[float] = []
    right: list[bool] = []
    without = n_sentences = 0
    text_of = {one.id: one.text for one in base.pieces}
    for one in asked:
        chance, passage, said = answer(one.text, base, support)
        chances.append(chance)
        refused[one.kind].append(not said)
        if one.kind == "paraphrased" and said:
            right.append(passage.id in one.answers)
        n_sentences += len(said)
        without += sum(sentence not in text_of.get(source, "") for sentence, source in said)
    kinds = [one.kind for one in asked]
    free = [k for k, kind in enumerate(kinds) if kind != "identical"]
    truth = [kinds[k] == "paraphrased" for k in free]
    return {
        "refused_unanswerable": fmean(refused["unanswerable"]),
        "refused_answerable": fmean(refused["identical"] + refused["paraphrased"]),
        "refused_identical": fmean(refused["identical"]) if refused["identical"] else 0.0,
        "refused_paraphrased": fmean(refused["paraphrased"]),
        "right_source": fmean(right) if right else 0.0,
        "auc_paraphrased": float(roc_auc_score(truth, [chances[k] for k in free])),
        "without_source": float(without),
        "n_sentences": float(n_sentences),
        "n_identical": float(len(refused["identical"])),
        "n_paraphrased": float(len(refused["paraphrased"])),
        "n_unanswerable": float(len(refused["unanswerable"])),
    }


def supports(base: SmallBase, held: Sequence[Example]) -> Iterator[tuple[str, LearnedSupport]]:
    """The support models that are compared."""
    yield "as shipped", LearnedSupport.default().knowing(base.pieces)
    yield "fitted to the base", fit_support(base.pieces, base.search, asked=held)


def figures_of(
    ground: Grounding, embed: Embed, suffix: str = "", *, held: Sequence[Example] = ()
) -> dict[str, Figures]:
    """Name of the support model → its figures; *held* are pairs of the logs to fit it with."""
    base = SmallBase(ground.pieces, embed)
    base.prepare([*(one.text for one in ground.asked), *(one.text for one in held)])
    found = {}
    for name, support in supports(base, held):
        found[f"{name}{suffix}"] = measure(ground.asked, base, support)
        SCREEN.print(f"{ground.name}, {name}{suffix}: {found[f'{name}{suffix}']}", markup=False)
    return found


def english(options: argparse.Namespace) -> dict[str, Figures]:
    """Means over the draws of the intents, without and with a tuned retriever."""
    all_draws: defaultdict[str, list[Figures]] = defaultdict(list)
    file = options.cache and options.cache / "vectors_minilm.npz"
    plain = remembered(lambda: untuned(options.backbone or "minilm"), file)
    for draw in range(options.draws):
        ground = bitext(options.data, draw=draw)
        found = figures_of(ground, plain)
        asked = bitext(options.data, draw=draw, n_asked=options.asked)
        found |= figures_of(asked, plain, f", {options.asked} questions an answer")
        if options.tuned:
            with tempfile.TemporaryDirectory() as folder:
                backbone = side.backbone(options.backbone or ground.backbone)
                logs = asked.logs[:: max(1, len(asked.logs) // (options.logs or len(asked.logs)))]
                gain = tune_retriever(logs, backbone, Path(folder))
                SCREEN.print(f"{ground.name}: {gain}", markup=False)
                if gain.wins:
                    tuned = remembered(partial(load_model, Path(folder)))
                    held = held_out(Path(folder))
                    found |= figures_of(ground, tuned, ", tuned from logs", held=held)
                    found |= figures_of(asked, tuned, ", both", held=held)
        for name, figures in found.items():
            all_draws[name].append(figures)
    return {
        name: {key: fmean(one[key] for one in rows) for key in rows[0]}
        for name, rows in all_draws.items()
    }


def show(found: Mapping[str, Mapping[str, Figures]]) -> None:
    """A table, and the last line."""
    columns = list(next(iter(next(iter(found.values())).values())))
    table = Table("", *columns, title="knowledge base: what is refused")
    for name, rows in found.items():
        for support, figures in rows.items():
            table.add_row(f"{name}, {support}", *(f"{figures[key]:.4g}" for key in columns))
    Console(width=200).print(table)
    chosen = {name: list(rows.values())[-1] for name, rows in found.items()}
    result = {f"{name}_{key}": v for name, row in chosen.items() for key, v in row.items()}
    worst = {
        "refused_unanswerable": min(row["refused_unanswerable"] for row in chosen.values()),
        "refused_answerable": max(row["refused_answerable"] for row in chosen.values()),
        "without_source": sum(row["without_source"] for row in chosen.values()),
    }
    print(json.dumps(worst | result | {"processor": processor()}))


def main() -> None:
    """Measure both languages."""
    parser = folder_option(__doc__, folder="that holds the sets")
    parser.add_argument("--draws", type=int, default=5, help="halves of the English intents")
    parser.add_argument("--asked", type=int, default=20, help="questions an answer, from the logs")
    parser.add_argument("--logs", type=int, default=0, help="rows to tune on, about; 0: all")
    parser.add_argument("--languages", nargs="+", default=["zh", "en"], choices=["zh", "en"])
    parser.add_argument("--backbone", default="", help="of both languages, to see that it runs")
    parser.add_argument("--tuned", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--cache", type=Path, help="a folder for vectors, to try things again")
    options = parser.parse_args()
    file = options.cache and options.cache / "vectors_grounding.npz"
    found: dict[str, dict[str, Figures]] = {}
    if "zh" in options.languages:
        plain = remembered(lambda: untuned(options.backbone or "e5"), file)
        found["taobao"] = figures_of(taobao(options.data), plain)
    if "en" in options.languages:
        found["bitext"] = english(options)
    show(found)


if __name__ == "__main__":
    main()
