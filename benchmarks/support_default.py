"""The coefficients of the support model that come with the package, fitted anew.

Bases are made of public questions that people wrote in several ways, so that it is known which of
them ask the same: ATEC's pairs of customers' questions and BUSTM's of an assistant's (Chinese,
multilingual E5), the intents of CLINC150 and Banking77 (English, E5 and MiniLM). Of half of the
groups one question is in the base; other questions of all groups are asked. None of the sets that
`benchmarks.grounding` measures on is among them. Only coefficients are kept, no text.

    python -m benchmarks.support_default --data … --write src/tailorbird/knowledge/support.json
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.building import data_folder
from benchmarks.grounding_base import Embed, SmallBase, remembered, untuned
from tailorbird.knowledge.evidence import Words
from tailorbird.knowledge.rewording import estrange
from tailorbird.knowledge.support import LearnedSupport
from tailorbird.knowledge.support_fitting import (
    N_FOUND,
    Goal,
    Searched,
    best_of,
    fit_labelled,
    with_threshold,
)
from tailorbird.records import Passage

PROVENANCE = "{n:,} searches in bases made of {parts} (benchmarks/support_default.py)"
Groups = list[list[str]]
N_GROUPS, N_ASKED = 400, 3
STRIDE = 3
"""Of every third question that can be answered there is one with a strange word that cannot."""
GOAL = Goal(answerable=0.06, unanswerable=1.0)
"""A little below the goal of 0.08, as other bases differ."""


def paired(rows: Sequence[tuple[str, str, bool]]) -> Groups:
    """Sentences that are the same, directly or over others."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        while parent.setdefault(text, text) != text:
            text = parent[text]
        return text

    for one, other, is_same in rows:
        if is_same:
            parent[root(one)] = root(other)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for text in parent:
        groups[root(text)].append(text)
    return [group for group in groups.values() if len(group) > 1]


def atec(data: Path) -> Groups:
    """Groups of a consumer-finance service's questions."""
    folder = data_folder(data, "atec_similarity")
    with gzip.open(folder / "atec_nlp_sim_train.csv.gz", "rt", encoding="utf-8-sig") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return paired([(a, b, label == "1") for _, a, b, label in rows])


def bustm(data: Path) -> Groups:
    """Groups of what people say to a telephone's assistant."""
    folder = data_folder(data, "fewclue_bustm")
    with gzip.open(folder / "test_public.json.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return paired([(r["sentence1"], r["sentence2"], r["label"] == "1") for r in rows])


def clinc(data: Path) -> Groups:
    """CLINC150's intents, without what is out of scope."""
    folder = data_folder(data, "clinc150")
    return intents(list(_clinc_rows(folder)))


def banking(data: Path) -> Groups:
    """Banking77's intents."""
    with (data_folder(data, "banking77") / "test.csv").open(encoding="utf-8", newline="") as file:
        return intents([(row["text"], row["category"]) for row in csv.DictReader(file)])


def _clinc_rows(folder: Path) -> Iterator[tuple[str, str]]:
    path = next(folder.glob("data_full.json*"))
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        yield from json.load(file)["test"]


def intents(rows: Sequence[tuple[str, str]]) -> Groups:
    """Texts by their intent."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for text, intent in rows:
        groups[intent].append(text)
    return list(groups.values())


def searches(groups: Groups, embed: Embed, *, seed: int, n_phrasings: int = 1) -> list[Searched]:
    """A base of half of the *groups* and what a search finds for questions of all of them."""
    rng = random.Random(seed)
    groups = [rng.sample(group, len(group)) for group in groups]
    rng.shuffle(groups)
    groups = groups[:N_GROUPS]
    known, unknown = groups[: len(groups) // 2], groups[len(groups) // 2 :]
    pieces = [
        Passage(f"{g}.{k}", "base", "", str(g), 0.0, question=text)
        for g, group in enumerate(known)
        for k, text in enumerate(group[:n_phrasings])
    ]
    base, words = SmallBase(pieces, embed), Words.of(one.question for one in pieces)
    asked = [(str(g), t) for g, group in enumerate(known) for t in group[n_phrasings:][:N_ASKED]]
    asked += [("", text) for group in unknown for text in group[:N_ASKED]]
    odd = [("", estrange(text, base.known, rng)) for group, text in asked if group][::STRIDE]
    asked += [(group, text) for group, text in odd if text]
    base.prepare([text for _, text in asked])
    found = []
    for group, text in asked:
        passages = base.search(text, N_FOUND)
        answers = [one.id.split(".")[0] == group for one in passages]
        if group and not any(answers):
            continue  # not found: nothing a support model could say would help
        found.append(Searched(text, passages, answers, words))
    return found


SETS = {
    "atec": (atec, ("e5",)),
    "bustm": (bustm, ("e5",)),
    "clinc150": (clinc, ("e5", "minilm")),
    "banking77": (banking, ("e5", "minilm")),
}


def quality(model: LearnedSupport, searched: Sequence[Searched]) -> dict[str, float]:
    """The area under the curve, and what is refused at the model's threshold."""
    scores = best_of(model, searched)
    truth = np.array([any(one.answers) for one in searched])
    at = with_threshold(model, searched, GOAL)
    return {
        "auc": float(roc_auc_score(truth, scores)),
        "refused_answerable": float((scores[truth] < model.threshold).mean()),
        "refused_unanswerable": float((scores[~truth] < model.threshold).mean()),
        "refused_unanswerable_at_goal": at.expected["refused_unanswerable"],
    }


def main() -> None:
    """Fit, say how well it does with each set left out, and write the coefficients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--write", type=Path, help="where the coefficients go")
    parser.add_argument("--cache", type=Path, help="folder for vectors")
    parser.add_argument("--encoders", nargs="+", default=["e5", "minilm"], help="to try fewer")
    options = parser.parse_args()
    parts: dict[str, list[Searched]] = {}
    for encoder in options.encoders:
        file = options.cache and options.cache / f"vectors_{encoder}.npz"
        embed = remembered(partial(untuned, encoder), file)
        for name, (read, encoders) in SETS.items():
            if encoder in encoders:
                groups = read(options.data)
                parts[f"{name} with {encoder}"] = [
                    *searches(groups, embed, seed=0),
                    *searches(groups, embed, seed=1, n_phrasings=4),
                ]
    for left, held in parts.items():
        rest = [one for name, part in parts.items() if name != left for one in part]
        model = fit_labelled(rest, GOAL)
        print(f"{left}, fitted on the others: {quality(model, held)}")
    everything = [one for part in parts.values() for one in part]
    model = fit_labelled(everything, GOAL)
    model = replace(model, provenance=PROVENANCE.format(n=len(everything), parts="; ".join(parts)))
    print(json.dumps(model.to_json(), indent=1))
    if options.write:
        model.save(options.write)


if __name__ == "__main__":
    main()
