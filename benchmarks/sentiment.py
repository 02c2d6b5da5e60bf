"""Sentiment in English and Chinese: news sentences, investors' posts, company news, hotel reviews.

- **phrasebank**: Financial PhraseBank, sentences on which at least half of the annotators agree,
  three classes, no split of its own. Five folds; sentences that are (nearly) the same are in one
  fold. A tenth of each fold's training rows, grouped in the same way, is validation. E5, which was
  better on it than MiniLM (`--backbone minilm`).
- **finfe**: Chinese investors' posts, three classes; train → dev (the published test has no
  labels), a tenth of train is validation. E5.
- **company_news**: Chinese headlines about listed companies, good or bad news, by time: the first
  seven tenths to tune, then one to choose, the last two to measure. Headlines that came before are
  left out of what is measured. E5.
- **hotel**: Chinese hotel reviews, good or bad: an eighth to measure, grouped as above. E5.

Each by ours, by Trainer with the same backbone, and by TF-IDF with logistic regression; see
`benchmarks.opinion_sides`. FinFE by ours is the mean of three models with four layers frozen.
``…_pretrained`` is ours from a backbone that first read unlabelled texts of the trade with hidden
words: English business headlines for PhraseBank; Chinese company headlines, news flashes and the
posts of the training part for FinFE. Nothing that is measured on is among them.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import ours
from benchmarks.building import SCREEN, arguments, data_folder, settings_for
from benchmarks.opinion_sides import (
    Divided,
    by_trainer,
    by_words,
    peer_options,
    pretrained,
    score,
    souped,
)
from benchmarks.sets import held_out, read_pairs, shuffled
from tailorbird.config import SplitSettings
from tailorbird.data.tasks.folds import assign_folds
from tailorbird.hardware import processor
from tailorbird.records import Example

N_FOLDS = 5
NAMES = {"0": "negative", "1": "neutral", "2": "positive"}
"""Of FinFE's classes; its publishers do not say, the texts do."""


def main() -> None:
    """Measure what --only names, or all; print."""
    options = _options()
    found: dict[str, float] = {}
    table = Table("", "ours", "Trainer", "TF-IDF", "ours, pretrained", title=processor()["name"])
    for name in options.only:
        usual, read = SETS[name]
        backbone = options.backbone or usual
        figures = measure(name, list(read(options)), backbone, options)
        found |= figures
        cells = [f"{name}_accuracy{end}" for end in ("", "_trainer", "_tfidf", "_pretrained")]
        table.add_row(name, *(f"{figures[c]:.4f}" if c in figures else "" for c in cells))
    Console(width=100).print(table)
    print(json.dumps(found | {"processor": processor()}, ensure_ascii=False))


def _options() -> argparse.Namespace:
    parser = peer_options(arguments(__doc__ or "", folder="that holds the sets"))
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS), help="some sets")
    parser.add_argument("--backbone", default="", help="of every set; empty: as said above")
    parser.add_argument("--folds", type=int, default=N_FOLDS, help="of PhraseBank that are run")
    parser.add_argument("--no-pretraining", action="store_true", help="leave that row out")
    return parser.parse_args()


def measure(
    name: str, parts: Sequence[Divided], backbone: str, options: argparse.Namespace
) -> dict[str, float]:
    """The mean accuracy of every side over the *parts* of a set."""
    SCREEN.rule(name)
    parts = [part.first(options.rows) for part in parts]
    settings = settings_for(options, **CHOSEN.get(name, {}))
    folder = ours.backbone(backbone)

    def by_ours(part: Divided, folder: object = folder) -> float:
        model = souped(part, folder, settings)  # type: ignore[arg-type]
        return score(model, part.test, "accuracy")

    sides: dict[str, Callable[[Divided], float]] = {"": by_ours, "_tfidf": by_words}
    if not options.no_peer:
        sides["_trainer"] = lambda part: by_trainer(part, folder, options)
    with tempfile.TemporaryDirectory() as place:
        if name in TEXTS and not options.no_pretraining:
            texts = TEXTS[name](options, parts)
            if options.rows:
                texts = texts[: options.rows]
            SCREEN.print(f"{len(texts):,} texts without labels")
            better = pretrained(texts, folder, settings, Path(place) / "backbone")
            sides["_pretrained"] = partial(by_ours, folder=better)
        found = {}
        for end, side in sides.items():
            each = [side(part) for part in parts]
            found[f"{name}_accuracy{end}"] = statistics.mean(each)
            shown = ", ".join(f"{one:.4f}" for one in each)
            SCREEN.print(f"{name}{end}: {shown}")
    return found


def phrasebank(options: argparse.Namespace) -> Iterator[Divided]:
    """One division a fold."""
    path = data_folder(options.data, "financial_phrasebank") / "Sentences_50Agree.txt.gz"
    rows = read_phrasebank(path)
    folds = folds_of(rows, N_FOLDS, options.seed)
    for number in range(min(N_FOLDS, options.folds)):
        test = [row for row, fold in zip(rows, folds, strict=True) if fold == number]
        rest = [row for row, fold in zip(rows, folds, strict=True) if fold != number]
        yield Divided(*_chosen_by(rest, options.seed), test)


def read_phrasebank(path: Path) -> list[Example]:
    """Sentences with their sentiment: ``sentence@label`` a line, in Latin-1."""
    with gzip.open(path, "rt", encoding="latin-1") as file:
        cut = [line.strip().rpartition("@") for line in file if line.strip()]
    return [Example(sentence.strip(), label) for sentence, _, label in cut]


def folds_of(rows: Sequence[Example], n: int, seed: int) -> list[int]:
    """The fold of each row, near duplicates together."""
    return assign_folds(rows, n, "single_label", settings=SplitSettings(seed=seed))


def _chosen_by(rows: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """(To tune on, to choose by), a tenth of *rows*, both in a shuffled order."""
    folds = folds_of(rows, 10, seed)
    order = shuffled(len(rows), seed=seed)
    train = [rows[k] for k in order if folds[k]]
    return train, [rows[k] for k in order if not folds[k]]


def finfe(options: argparse.Namespace) -> Iterator[Divided]:
    """The published division, with a tenth of train to choose by."""
    folder = data_folder(options.data, "fincuge_finfe")
    train, held = held_out(read_pairs(folder / "train.json.gz"), seed=options.seed)
    test = read_pairs(folder / "dev.json.gz")
    parts = (
        [Example(text, NAMES[label]) for text, label in zip(rows.texts, rows.targets, strict=True)]
        for rows in (train, held, test)
    )
    yield Divided(*parts)


def company_news(options: argparse.Namespace) -> Iterator[Divided]:
    """By time; of headlines that came before none is measured on."""
    folder = data_folder(options.data, "zh_company_news_dated")
    yield by_time(read_company_news(folder / "news_seed_without_test.csv.gz"), options.seed)


def read_company_news(path: Path) -> list[tuple[tuple[int, ...], Example]]:
    """(Year, month, day) and the headline with ``positive`` or ``negative``."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (
            tuple(map(int, re.findall(r"\d+", row["日期"]))),
            Example(row["标题"], "positive" if row["正负面"] == "1" else "negative"),
        )
        for row in rows
        if row["标题"].strip()
    ]


def by_time(dated: Sequence[tuple[tuple[int, ...], Example]], seed: int) -> Divided:
    """The first seven tenths, then one, then the last two without texts that came before."""
    rows = [row for _, row in sorted(dated, key=lambda one: one[0])]
    first, second = int(0.7 * len(rows)), int(0.8 * len(rows))
    before = {row.text for row in rows[:second]}
    train = [rows[k] for k in shuffled(first, seed=seed)]
    return Divided(
        train, rows[first:second], [row for row in rows[second:] if row.text not in before]
    )


def hotel(options: argparse.Namespace) -> Iterator[Divided]:
    """An eighth to measure."""
    folder = data_folder(options.data, "chnsenticorp_htl")
    with gzip.open(folder / "ChnSentiCorp_htl_all.csv.gz", "rt", encoding="utf-8") as file:
        rows = [
            Example(row["review"], "positive" if row["label"] == "1" else "negative")
            for row in csv.DictReader(file)
            if row["review"].strip()
        ]
    folds = folds_of(rows, 8, options.seed)
    rest = [row for row, fold in zip(rows, folds, strict=True) if fold]
    test = [row for row, fold in zip(rows, folds, strict=True) if not fold]
    yield Divided(*_chosen_by(rest, options.seed), test)


def english_texts(options: argparse.Namespace, parts: Sequence[Divided]) -> list[str]:
    """Business headlines of two papers."""
    folder = data_folder(options.data, "finance_headlines_timed")
    found = []
    for path in sorted(folder.glob("*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found += [row.get("Headlines") or "", row.get("Description") or ""]
    return _mixed([text for text in found if text.strip()], options.seed)


def chinese_texts(options: argparse.Namespace, parts: Sequence[Divided]) -> list[str]:
    """Company headlines, news flashes, and the posts that are tuned on."""
    news = data_folder(options.data, "zh_company_news_dated") / "news_seed_without_test.csv.gz"
    flashes = read_pairs(data_folder(options.data, "fincuge_finnl") / "train.json.gz").texts
    found = [row.text for _, row in read_company_news(news)] + flashes
    return _mixed(found + [row.text for part in parts for row in part.train], options.seed)


def _mixed(texts: Sequence[str], seed: int) -> list[str]:
    return [texts[k] for k in shuffled(len(texts), seed=seed)]


Read = Callable[[argparse.Namespace], Iterator[Divided]]
SETS: dict[str, tuple[str, Read]] = {
    "phrasebank": ("e5", phrasebank),
    "finfe": ("e5", finfe),
    "company_news": ("e5", company_news),
    "hotel": ("e5", hotel),
}
CHOSEN: dict[str, dict[str, Any]] = {"finfe": {"model_freeze_layers": 4, "optimizer_soup": 3}}
"""Where ours is tuned otherwise than planned: it was better on validation (docs/ideas/watching.md).

``--set`` has the last word, on these too.
"""
TEXTS = {"phrasebank": english_texts, "finfe": chinese_texts}
"""What a backbone reads before it is tuned, for the row of continued pretraining."""


if __name__ == "__main__":
    main()
