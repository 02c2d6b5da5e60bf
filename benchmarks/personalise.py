"""Personalisation against what one would do without it: MovieLens, or Amazon's gift cards.

A rating is predicted from a text: "title (year) | genres" of a film, the words of a review. Of each
user's rows the first half trains, later ones validate and the latest fifth is the test. One shared
assistant is tuned on the training rows of all users and knows nothing of who wrote them; then every
user gets nothing, their own nearest rows, a head of their own, or both, as their validation rows
say. Baselines see what ours sees: training and validation rows, before the test.

Figures are means over seeds; each seed has a line of its own above them.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import ours
from benchmarks.building import data_folder
from tailorbird import personalising
from tailorbird.cli.display import Display
from tailorbird.config import Settings, override_settings
from tailorbird.hardware import processor
from tailorbird.modeling import build_model
from tailorbird.personalise import UserRows
from tailorbird.personalise.proving import Outcome
from tailorbird.personalise.view import View, view_rows
from tailorbird.records import Example
from tailorbird.runs import load_examples
from tailorbird.store import Workspace
from tailorbird.tuning.tasks import find_task

KNN = (1, 2, 3, 5, 10, 20, 50)
SHRINKAGES = (0.0, 1.0, 3.0, 10.0, 30.0)


def read_movielens(folder: Path) -> list[Example]:
    """Ratings from 0.5 to 5 with the film's title, year and genres. The files have no header."""
    with gzip.open(folder / "movies.csv.gz", "rt", encoding="utf-8", newline="") as file:
        films = {row[0]: f"{row[1]} | {row[2].replace('|', ', ')}" for row in csv.reader(file)}
    with gzip.open(folder / "ratings.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [
            Example(films[film], user=user.zfill(3), value=float(rating), time=iso(int(time_s)))
            for user, film, rating, time_s in csv.reader(file)
        ]


def read_gift_cards(folder: Path) -> list[Example]:
    """Ratings from 1 to 5 with the words of the review.

    Headlines are left out: more than half of them are the rating itself ("Five Stars"). So is
    every repetition: a quarter of the rows are one review of a user put on several cards, and the
    test would hold what was trained on.
    """
    with gzip.open(folder / "reviews.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return without_repetitions(
        [
            Example(row["text"] or "", user=row["user"], value=row["rating"], time=iso(row["time"]))
            for row in rows
        ]
    )


def without_repetitions(examples: Sequence[Example]) -> list[Example]:
    """The first of each user's rows with the same text.

    >>> rows = [Example("good", user=user, value=5.0) for user in "aba"]
    >>> [row.user for row in without_repetitions(rows)]
    ['a', 'b']
    """
    seen: set[tuple[str | None, str]] = set()
    kept = []
    for example in examples:
        key = (example.user, example.text.strip().casefold())
        if key not in seen:
            seen.add(key)
            kept.append(example)
    return kept


def iso(time_s: int) -> str:
    """Seconds since 1970 as ISO 8601."""
    return datetime.fromtimestamp(time_s, UTC).isoformat()


SETS: Mapping[str, tuple[Callable[[Path], list[Example]], int]] = {
    "ml_latest_small": (read_movielens, 1),
    "amazon_gift_cards": (read_gift_cards, 5),
}
"""How each is read, and how many seeds it takes: of gift cards 404 rows of a test, nearly all with
five stars, tell two ways apart by a handful of stars, and another seed turns them round.
"""


def baselines(
    view: View, users: Sequence[UserRows], pretrained: View | None = None
) -> dict[str, float]:
    """MAE on test of what needs no model: the user's mean, plain and shrunk, and nearest rows.

    The numbers of neighbours and of pseudo-rows are the best on validation. Neighbours are found by
    the features of the shared assistant, or by those of its *pretrained* backbone: what is better
    on validation counts as ``mae_knn``.
    """
    truth = view.truth.numpy()
    able = [user for user in users if user.test]
    level = float(truth[[row for user in users for row in user.train]].mean())

    def shrunk_mean(known: Sequence[int], asked: Sequence[int], weight: float) -> Any:
        own = truth[list(known)]
        return np.full(len(asked), (own.sum() + weight * level) / (len(own) + weight))

    def nearest_by(seen: View) -> Callable[[Sequence[int], Sequence[int], float], Any]:
        def nearest(known: Sequence[int], asked: Sequence[int], k: float) -> Any:
            near = (seen.features_of(asked) @ seen.features_of(known).T).numpy()
            at = np.argsort(-near, axis=1, kind="stable")[:, : int(k)]
            return truth[list(known)][at].mean(1)

        return nearest

    def mae(predict: Callable[..., Any], number: float, *, on_test: bool) -> float:
        wrong: list[float] = []
        for user in able:
            known, asked = (user.known, user.test) if on_test else (user.train, user.validation)
            wrong += np.abs(predict(known, asked, number) - truth[list(asked)]).tolist()
        return float(np.mean(wrong))

    def best(predict: Callable[..., Any], numbers: Sequence[float]) -> float:
        return min(numbers, key=lambda number: mae(predict, number, on_test=False))

    ways = {"mae_knn_tuned": nearest_by(view)}
    if pretrained is not None:
        ways["mae_knn_pretrained"] = nearest_by(pretrained)
    k_of = {name: best(way, KNN) for name, way in ways.items()}
    of_validation = {name: mae(way, k_of[name], on_test=False) for name, way in ways.items()}
    found = {name: mae(way, k_of[name], on_test=True) for name, way in ways.items()}
    return {
        "mae_user_mean": mae(shrunk_mean, 0.0, on_test=True),
        "mae_user_mean_shrunk": mae(shrunk_mean, best(shrunk_mean, SHRINKAGES), on_test=True),
        "mae_knn": found[min(of_validation, key=of_validation.__getitem__)],
        **found,
    }


def pretrained_view(examples: Sequence[Example], settings: Settings) -> View:
    """The rows as the backbone sees them before it is tuned; answers are those of a new head."""
    task = find_task("regression")
    model = build_model(
        ours.backbone(settings.model.backbone), [], settings=settings.model, spec=task.spec
    )
    return view_rows(model, examples)


def figures(outcome: Outcome, of_baselines: Mapping[str, float]) -> dict[str, float]:
    """The keys of the last line."""
    return {
        "mae": outcome.losses["gated"],
        "mae_population": outcome.losses["none"],
        **of_baselines,
        "mae_adapter_for_all": outcome.losses["adapter"],
        "mae_retrieval_for_all": outcome.losses["retrieval"],
        "mae_both_for_all": outcome.losses["both"],
        "worse_users_fraction": outcome.worse_fraction,
        "gain": outcome.gain.value,
        "gain_low": outcome.gain.low,
        "gain_high": outcome.gain.high,
        "confidence": outcome.confidence,
        **{f"n_{name}": n for name, n in outcome.chosen.items()},
        "n_users": len(outcome.users),
        "n_test": sum(user.n_test for user in outcome.users),
    }


def main() -> None:
    """Tune the shared assistant, give every user what wins, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help=f"folder of {' or '.join(SETS)}")
    parser.add_argument("--users", type=int, default=0, help="only so many users; 0: all")
    parser.add_argument("--backbone", default="minilm", help="an embedded model, or a folder")
    parser.add_argument("--seed", type=int, default=0, help="the first of shuffles and new weights")
    parser.add_argument("--seeds", type=int, default=0, help="so many; 0: 1, of gift cards 5")
    parser.add_argument("--keep", type=Path, help="workspace to leave the report in")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="a setting")
    options = parser.parse_args()
    name = next((name for name in SETS if name in options.data.parts), "")
    if not name:
        parser.error(f"--data is none of the folders {', '.join(SETS)}")
    read, n_seeds = SETS[name]
    n_seeds = options.seeds or n_seeds
    examples = read(data_folder(options.data, name))
    if options.users:
        some = sorted({example.user for example in examples if example.user})
        kept = set(some[:: max(1, len(some) // options.users)][: options.users])
        examples = [example for example in examples if example.user in kept]
    started_s = time.perf_counter()
    seeds = range(options.seed, options.seed + n_seeds)
    of_seeds = [one_seed(examples, name, seed, options) for seed in seeds]
    result: dict[str, Any] = {"set": name, "n_seeds": n_seeds} | averaged(of_seeds)
    result["total_s"] = time.perf_counter() - started_s
    show(result)


def one_seed(
    examples: Sequence[Example], name: str, seed: int, options: argparse.Namespace
) -> dict[str, float]:
    """The figures of one shared assistant and what its users get."""
    settings = override_settings(
        Settings(),
        [
            "task.name=regression",
            f"model.backbone={options.backbone}",
            f"tuning.seed={seed}",
            *options.overrides,
        ],
    )
    with (
        tempfile.TemporaryDirectory(prefix="tailorbird-") as folder,
        Workspace.open(options.keep or folder) as workspace,
    ):
        run = personalising.start(examples, name, workspace, settings)
        display = Display()
        done = personalising.go_on(run, workspace, settings, listener=display)
        display.close()
        assert done is not None  # nobody asked it to stop
        rows = [row for part in load_examples(run).values() for row in part]  # as it was seen
        seen = pretrained_view(rows, settings)
        found = figures(done.outcome, baselines(done.view, done.users, seen))
    print(json.dumps({"seed": seed, **found}))
    return found


def averaged(of_seeds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure, and the spread of ours and of the nearest rows over seeds.

    >>> averaged([{"mae": 0.5, "mae_knn": 0.75}, {"mae": 0.25, "mae_knn": 0.75}])
    {'mae': 0.375, 'mae_knn': 0.75, 'mae_sd': 0.125, 'mae_knn_sd': 0.0}
    """
    every = {key: [one[key] for one in of_seeds] for key in of_seeds[0]}
    spread = {f"{key}_sd": float(np.std(every[key])) for key in ("mae", "mae_knn")}
    return {key: float(np.mean(values)) for key, values in every.items()} | spread


def show(result: Mapping[str, Any]) -> None:
    """A table, the processor's flags, and *result* as the last line."""
    machine = processor()
    table = Table("", "MAE", title=f"{result['set']}, {result['n_users']:.0f} users, test")
    for key, value in result.items():
        if key.startswith("mae") and not key.endswith("_sd"):
            table.add_row(key.removeprefix("mae_") if key != "mae" else "ours", f"{value:.4f}")
    Console(width=120).print(table)
    print(f"flags: {' '.join(machine['flags'])}")
    print(json.dumps({**result, "processor": machine}))


if __name__ == "__main__":
    main()
