"""What the build benchmarks share: a build of a public set, its figures, a table, a JSON line."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tailorbird import api
from tailorbird.cli.display import Display
from tailorbird.config import Settings, override_settings
from tailorbird.errors import TailorbirdError
from tailorbird.hardware import processor

SCREEN = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one build came to."""

    name: str
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    baseline_accuracy: float | None
    """TF-IDF + logistic regression on the same rows."""
    n_train: int
    n_validation: int
    n_test: int
    train_s: float
    """Updates of the weights alone."""
    total_s: float
    """From the file to the live bundle: reading, cleaning, loading, validating, testing too."""
    tokens_per_s: float
    """Real tokens (never padding) of the updates, per second of *train_s*."""


def arguments(about: str, *, folder: str) -> argparse.ArgumentParser:
    """The options that every build benchmark takes."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help=f"the folder {folder}, or the one that holds it"
    )
    parser.add_argument("--seed", type=int, default=0, help="of splits, shuffles and new weights")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="a setting, as tuning.n_epochs=1; repeat for more",
    )
    return parser


def data_folder(given: Path, name: str) -> Path:
    """The set's folder: *given* itself, or its child *name*; ends the program where neither is."""
    for folder in (given / name, given):
        if folder.is_dir() and (folder.name == name or (folder / "SOURCE.md").is_file()):
            return folder
    sys.exit(
        f"{given}: there is no folder {name} here; benchmarks/README.md says where the world "
        "gets it, then: --data PATH"
    )


def settings_for(
    options: argparse.Namespace, base: Settings | None = None, **shortcuts: Any
) -> Settings:
    """*base* with the seed, the *shortcuts* (``reading_text="review"``) and what --set says."""
    seeds = [f"split.seed={options.seed}", f"tuning.seed={options.seed}"]
    named = [f"{key.replace('_', '.', 1)}={json.dumps(value)}" for key, value in shortcuts.items()]
    return override_settings(base or Settings(), [*seeds, *named, *options.overrides])


def measure(name: str, source: Path, settings: Settings) -> Figures:
    """Build *source* in a workspace of its own, as ``tailorbird build`` does, and time it."""
    SCREEN.rule(name)
    display = Display()
    with tempfile.TemporaryDirectory(prefix="tailorbird-") as folder:
        start_s = time.perf_counter()
        with api.open_workspace(folder) as workspace:
            try:
                bundle = api.build(str(source), workspace, settings, listener=display)
            except TailorbirdError as error:
                sys.exit(f"error: {error}")
            finally:
                display.close()
        total_s = time.perf_counter() - start_s
        assert bundle is not None  # nobody asked it to stop
        report = bundle.report
    test, n_rows = report["test"], report["data"]["split"]["n_rows"]
    return Figures(
        name=name,
        accuracy=test["accuracy"]["value"],
        accuracy_low=test["accuracy"]["low"],
        accuracy_high=test["accuracy"]["high"],
        macro_f1=test["macro_f1"]["value"],
        baseline_accuracy=test["baselines"].get("tfidf_logreg", {}).get("accuracy"),
        n_train=n_rows["train"],
        n_validation=n_rows["validation"],
        n_test=n_rows["test"],
        train_s=report["tuning"]["train_s"],
        total_s=total_s,
        tokens_per_s=report["tuning"]["tokens_per_s"],
    )


def show(rows: Sequence[Figures], **more: Any) -> None:
    """The table for people, then one JSON object: the last row's figures, and *more*."""
    machine = processor()
    table = Table(title=f"{machine['name']}, {machine['n_threads']} threads, {machine['dtype']}")
    for column in (
        "",
        "train / val / test",
        "accuracy",
        "macro-F1",
        "TF-IDF",
        "train",
        "total",
        "tokens/s",
    ):
        table.add_column(column, justify="left" if not column else "right")
    for row in rows:
        baseline = "" if row.baseline_accuracy is None else f"{row.baseline_accuracy:.4f}"
        table.add_row(
            row.name,
            f"{row.n_train:,} / {row.n_validation:,} / {row.n_test:,}",
            f"{row.accuracy:.4f} ({row.accuracy_low:.3f}–{row.accuracy_high:.3f})",
            f"{row.macro_f1:.4f}",
            baseline,
            f"{row.train_s:.0f} s",
            f"{row.total_s:.0f} s",
            f"{row.tokens_per_s:,.0f}",
        )
    Console(width=120).print(table)
    print(f"flags: {' '.join(machine['flags'])}")
    print(json.dumps(asdict(rows[-1]) | more | {"processor": machine}, ensure_ascii=False))
