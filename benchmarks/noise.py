"""Wrong labels on Banking77: how many are found, and how much of the lost accuracy comes back.

A fifth of the published training labels are each changed to another label, drawn evenly; the test
labels stay. Then, through the same functions as the command line's:

- `tailorbird check-labels` finds doubtful rows: heads on the pretrained features of four fifths of
  the rows judge the fifth that they were not trained on. ``precision`` and ``recall`` are those of
  what the command would doubt, which knows nothing of the changes. The table has the other ways of
  telling too; the last of them, the best cut of the ranking, does know the changes and is for
  information alone.
- `check-labels --drop` and `--relabel` write a labels file, and a model is tuned on what it leaves,
  as one was on the wrong labels, and one on the true ones: the same settings, the same rows of
  validation, whose labels are as wrong. ``recovered_fraction`` is what relabelling brings back of
  the accuracy on the test split that wrong labels cost; where they cost nothing it is null.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.building import SCREEN, arguments, data_folder, settings_for
from benchmarks.sets import read_csv, shuffled
from tailorbird import api, folding, runs
from tailorbird.cli.display import Display
from tailorbird.config import LabellingSettings, Settings
from tailorbird.evaluation.doubts import WAYS
from tailorbird.folding.labels import Judged, judge
from tailorbird.hardware import processor
from tailorbird.store import Run, Workspace

Logs = list[dict[str, str]]
PARTS = ("train", "test")
VALIDATION = 0.1
"""The share of train that chooses the best weights."""


def logs_of(folder: Path, options: argparse.Namespace) -> Logs:
    """The rows of the set as logs with ids and splits, fewer of both where asked to."""
    train, test = (
        read_csv(folder / f"{name}.csv", "text", "category") for name in ("train", "test")
    )
    labels = set(sorted(set(train.targets))[: options.labels or None])
    rows: Logs = []
    for name, part in (("train", train), ("test", test)):
        order = [i for i in shuffled(len(part), seed=options.seed) if part.targets[i] in labels]
        if name == "train":
            order = order[: options.rows or None]
        n_held = round(VALIDATION * len(order)) if name == "train" else 0
        for place, i in enumerate(order):
            split = "validation" if place < n_held else name
            rows.append(
                {
                    "id": f"{name}-{i}",
                    "text": part.texts[i],
                    "intent": part.targets[i],
                    "split": split,
                }
            )
    return rows


def flipped(rows: Logs, *, share: float, seed: int) -> Logs:
    """*share* of the rows that are not of the test split with another label, drawn evenly.

    >>> rows = [{"split": "train", "intent": "ab"[i % 2]} for i in range(10)]
    >>> changed = flipped(rows, share=0.2, seed=0)
    >>> sum(one["intent"] != other["intent"] for one, other in zip(rows, changed, strict=True))
    2
    """
    draw = random.Random(seed)
    labels = sorted({row["intent"] for row in rows})
    ours = [i for i, row in enumerate(rows) if row["split"] != "test"]
    out = [dict(row) for row in rows]
    for i in draw.sample(ours, round(share * len(ours))):
        out[i]["intent"] = draw.choice([one for one in labels if one != rows[i]["intent"]])
    return out


class Shop:
    """A workspace in which logs are split, checked and learned from."""

    def __init__(self, space: Workspace, settings: Settings, display: Display) -> None:
        self.space = space
        self.settings = settings
        self.display = display

    def divide(self, name: str, rows: Logs, labels: Path | None = None) -> tuple[Run, Settings]:
        """A run of *rows*, with a labels file where there is one, as far as its splits."""
        path = self.space.path / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        given = LabellingSettings(labels=str(labels or ""))
        settings = replace(self.settings, labelling=given)
        run = runs.start_run(str(path), self.space, settings, name)
        api.read(str(path), run, settings)
        api.clean(run, settings)
        api.split(run, settings, say=self.display.say)
        return run, settings

    def accuracy(self, name: str, run: Run, settings: Settings) -> float:
        """Accuracy on the test split after tuning."""
        SCREEN.rule(f"{name}: tuning")
        for report in api.tune(run, self.space, settings, say=self.display.say):
            self.display.step(report)
        self.display.close()
        measured = api.evaluate(run, settings, say=self.display.say)
        return float(measured["test"]["accuracy"]["value"])


def found(doubted: Sequence[bool], is_wrong: Sequence[bool]) -> dict[str, float]:
    """How many are doubted, how many of those are wrong, and how many of the wrong those are.

    >>> found([True, True, False, False], [True, False, False, True])
    {'n': 2, 'precision': 0.5, 'recall': 0.5}
    """
    hits = sum(one and other for one, other in zip(doubted, is_wrong, strict=True))
    n = sum(doubted)
    return {"n": n, "precision": hits / max(n, 1), "recall": hits / max(sum(is_wrong), 1)}


def ways_of(judged: Judged, is_wrong: Sequence[bool]) -> dict[str, dict[str, float]]:
    """What each way of telling finds, and the best cut of the ranking, which knows the truth."""
    ways = {}
    for how in WAYS:
        rows = {doubt.row for doubt in judged.doubts(how)}
        ways[how] = found([row in rows for row in range(len(is_wrong))], is_wrong)
    given = np.asarray(judged.members.given)
    order = np.argsort(judged.probs[np.arange(len(given)), given], kind="stable")
    hits = np.cumsum(np.asarray(is_wrong)[order])
    n = np.arange(1, len(order) + 1)
    precision, recall = hits / n, hits / max(sum(is_wrong), 1)
    best = int(np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-9)))
    ways["best cut"] = {
        "n": best + 1,
        "precision": float(precision[best]),
        "recall": float(recall[best]),
    }
    return ways


def recovered(fixed: float, noisy: float, clean: float) -> float | None:
    """What *fixed* brings back of what is lost from *clean* to *noisy*; None where nothing is.

    >>> recovered(0.92, 0.88, 0.93)
    0.8
    """
    return round((fixed - noisy) / (clean - noisy), 6) if clean > noisy else None


def measure(rows: Logs, shop: Shop, options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as the last line has it."""
    truth = {row["id"]: row["intent"] for row in rows}
    noisy, settings = shop.divide(
        "noisy", flipped(rows, share=options.noise, seed=options.seed + 1)
    )
    SCREEN.rule("checking labels")
    start_s = time.perf_counter()
    folds = folding.Folds(options.folds, options.seeds)
    check = folding.LabelCheck(method=options.check_method)
    judged = judge(noisy, shop.space, settings, folds, check=check, say=shop.display.say)
    assert judged is not None  # nobody asked it to stop
    is_wrong = [row.label != truth[row.interaction_id] for row in judged.members.pool]
    ways = ways_of(judged, is_wrong)
    folding.check_labels(noisy, shop.space, settings, folds, check=check, say=shop.display.say)
    check_s = time.perf_counter() - start_s
    accuracies = {"noisy": shop.accuracy("noisy", noisy, settings)}
    fixes: tuple[Literal["relabel", "drop"], ...] = ("relabel", "drop")
    for fix in fixes:
        out = shop.space.path / f"{fix}-labels.csv"
        folding.correct_labels(noisy, out, how=fix, sure=options.sure)
        run, changed = shop.divide(fix, shop_rows(noisy), out)
        accuracies[fix] = shop.accuracy(fix, run, changed)
    accuracies["clean"] = shop.accuracy("clean", *shop.divide("clean", rows))
    lost = accuracies["noisy"], accuracies["clean"]
    return {
        "recall": ways[check.how]["recall"],
        "precision": ways[check.how]["precision"],
        "recovered_fraction": recovered(accuracies["relabel"], *lost),
        "recovered_fraction_by_dropping": recovered(accuracies["drop"], *lost),
        "accuracy": accuracies,
        "ways": ways,
        "n_rows": len(is_wrong),
        "n_wrong": sum(is_wrong),
        "check_s": check_s,
    }


def shop_rows(run: Run) -> Logs:
    """The logs that a run was read from."""
    with Path(run.source).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def show(result: Mapping[str, Any]) -> None:
    """Two tables for people, then one JSON object."""
    machine = processor()
    screen = Console(width=100)
    title = f"{result['n_wrong']:,} of {result['n_rows']:,} labels are wrong"
    table = Table("way of telling", "doubted", "precision", "recall", title=title)
    for how, part in result["ways"].items():
        table.add_row(how, f"{part['n']:,}", f"{part['precision']:.3f}", f"{part['recall']:.3f}")
    screen.print(table)
    table = Table("tuned on", "test accuracy", title=f"{machine['name']}, {machine['dtype']}")
    for name in ("clean", "noisy", "relabel", "drop"):
        table.add_row(name, f"{result['accuracy'][name]:.4f}")
    screen.print(table)
    print(json.dumps(dict(result) | {"processor": machine}, ensure_ascii=False))


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "", folder="banking77")
    parser.add_argument("--rows", type=int, default=0, help="rows of train; 0: all")
    parser.add_argument("--labels", type=int, default=0, help="only so many labels; 0: all")
    parser.add_argument("--noise", type=float, default=0.2, help="share of wrong labels")
    parser.add_argument("--folds", type=int, default=5, help="parts, each left out once")
    parser.add_argument("--seeds", type=int, default=1, help="models of each part")
    parser.add_argument("--check-method", default="head", help="the way of tuning that judges")
    parser.add_argument(
        "--sure", type=float, default=0.5, help="of what is relabelled; else dropped"
    )
    parser.add_argument("--freeze", type=int, default=3, help="layers left as pretrained")
    options = parser.parse_args()
    start_s = time.perf_counter()
    rows = logs_of(data_folder(options.data, "banking77"), options)
    settings = settings_for(
        options,
        model_backbone="minilm",
        model_freeze_layers=options.freeze,
        evaluation_baselines=False,
    )
    with (
        tempfile.TemporaryDirectory(prefix="tailorbird-") as folder,
        api.open_workspace(folder) as space,
    ):
        result = measure(rows, Shop(space, settings, Display()), options)
    show(result | {"total_s": time.perf_counter() - start_s})


if __name__ == "__main__":
    main()
