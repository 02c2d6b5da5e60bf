"""Topics of Chinese news: several a flash (FinNL), one a title (TNEWS); and with sentiment at once.

- **finnl**: news flashes with any of 15 or so topics, train → dev (the published test has no
  labels), a tenth of train is validation; micro-F1 over all decisions.
- **tnews**: titles in 15 classes, all that FewCLUE publishes with labels: its training part, its
  development part to choose by, its public test to measure; accuracy.
- **joint**: one trunk with two heads (the task ``joint``) tuned on FinNL's topics and FinFE's
  sentiments together, no row having both; each measured on its own dev part, against the models
  that know one thing only.

E5 on all sides; beside ours Trainer with the same backbone, and TF-IDF with logistic regression,
see `benchmarks.opinion_sides`.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import ours
from benchmarks.building import SCREEN, arguments, data_folder, settings_for
from benchmarks.opinion_sides import (
    Divided,
    by_trainer,
    by_words,
    peer_options,
    score,
    several_by_words,
    tuned,
)
from benchmarks.sentiment import finfe
from benchmarks.sets import Rows, held_out, read_pairs, shuffled
from tailorbird.hardware import processor
from tailorbird.records import Example

BACKBONE = "e5"
NAMES = ("finnl", "tnews", "joint")


def main() -> None:
    """Measure what --only names, or all; print."""
    parser = peer_options(arguments(__doc__ or "", folder="that holds the sets"))
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="some sets")
    options = parser.parse_args()
    found: dict[str, float] = {}
    for name in options.only:
        SCREEN.rule(name)
        found |= {"finnl": finnl_figures, "tnews": tnews_figures, "joint": joint_figures}[name](
            options
        )
        SCREEN.print(found)
    table = Table("", "", title=processor()["name"])
    for key, value in found.items():
        table.add_row(key.replace("_", " "), f"{value:.4f}")
    Console(width=100).print(table)
    print(json.dumps(found | {"processor": processor()}, ensure_ascii=False))


def finnl_figures(options: argparse.Namespace) -> dict[str, float]:
    """Micro-F1 of every side."""
    divided, folder = finnl(options).first(options.rows), ours.backbone(BACKBONE)
    model = tuned(divided, folder, settings_for(options), task="multi_label")
    found = {
        "finnl_micro_f1": score(model, divided.test, "micro_f1"),
        "finnl_micro_f1_tfidf": several_by_words(divided),
    }
    if not options.no_peer:
        found["finnl_micro_f1_trainer"] = by_trainer(divided, folder, options, several=True)
    return found


def tnews_figures(options: argparse.Namespace) -> dict[str, float]:
    """Accuracy of every side."""
    divided, folder = tnews(options).first(options.rows), ours.backbone(BACKBONE)
    model = tuned(divided, folder, settings_for(options))
    found = {
        "tnews_accuracy": score(model, divided.test, "accuracy"),
        "tnews_accuracy_tfidf": by_words(divided),
    }
    if not options.no_peer:
        found["tnews_accuracy_trainer"] = by_trainer(divided, folder, options)
    return found


def joint_figures(options: argparse.Namespace) -> dict[str, float]:
    """What one trunk gives for both."""
    topics = finnl(options).first(options.rows)
    (sentiments,) = (part.first(options.rows) for part in finfe(options))
    mixed = joined(topics, sentiments, options.seed)
    model = tuned(mixed, ours.backbone(BACKBONE), settings_for(options), task="joint")
    return {
        "joint_finnl_micro_f1": score(model, topics.test, "micro_f1"),
        "joint_finfe_accuracy": score(model, lacking(sentiments.test), "accuracy"),
    }


def lacking(rows: Sequence[Example]) -> list[Example]:
    """The same rows, of whose topics nothing is known."""
    return [replace(row, lacks=("labels",)) for row in rows]


def joined(topics: Divided, sentiments: Divided, seed: int) -> Divided:
    """The rows of both; each of train and validation in a shuffled order."""

    def both(first: Sequence[Example], second: Sequence[Example]) -> list[Example]:
        rows = [*first, *lacking(second)]
        return [rows[k] for k in shuffled(len(rows), seed=seed)]

    return Divided(
        both(topics.train, sentiments.train),
        both(topics.validation, sentiments.validation),
        both(topics.test, sentiments.test),
    )


def finnl(options: argparse.Namespace) -> Divided:
    """The published division, with a tenth of train to choose by."""
    folder = data_folder(options.data, "fincuge_finnl")
    train, held = held_out(read_pairs(folder / "train.json.gz"), seed=options.seed)
    test = read_pairs(folder / "dev.json.gz")
    return Divided(*map(with_topics, (train, held, test)))


def with_topics(rows: Rows) -> list[Example]:
    """Texts with the labels that a space divides."""
    pairs = zip(rows.texts, rows.targets, strict=True)
    return [Example(text, labels=tuple(dict.fromkeys(names.split()))) for text, names in pairs]


def tnews(options: argparse.Namespace) -> Divided:
    """FewCLUE's parts; a title that is in a part before is left out."""
    folder = data_folder(options.data, "fewclue_tnews")
    parts, seen = [], set[str]()
    for name in ("test_public", "dev_few_all", "train_few_all"):  # the test keeps what is twice
        rows = read_titles(folder / f"{name}.json.gz")
        parts.append([row for row in rows if row.text not in seen])
        seen |= {row.text for row in rows}
    test, held, train = parts
    mixed = (
        [part[k] for k in shuffled(len(part), seed=options.seed)] for part in (train, held, test)
    )
    return Divided(*mixed)


def read_titles(path: Path) -> list[Example]:
    """Titles with the names of their classes, one object a line."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    return [Example(row["sentence"], row["label_desc"]) for row in rows]


if __name__ == "__main__":
    main()
