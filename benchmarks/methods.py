"""Every way of tuning on three sets: quality, trainable parameters, time, memory; ours and PEFT's.

Banking77 (MiniLM, accuracy on its test split), FinFE (Chinese, E5, accuracy on its dev split) and
CLUENER (Chinese, E5, entity F1 on its dev split). PEFT is measured where it has the method: LoRA,
AdaLoRA, prefix-tuning, prompt-tuning; Trainer alone is the peer of full tuning.

Both sides get the same rows, epochs, batches, schedule and form of head (ours begins it from
pretrained features where the task allows, as a build does), and tune the same weights (no layer is
frozen). Each has its rate chosen in the same way: of three (`--grid`, times the rate that our plan
would take) the one with the best validation figure with seed 0. Validation is a tenth of train.
Then `--seeds` further seeds are trained at that rate and measured on the test rows; the table has
their mean. Each training is a process of its own, so that its memory is its own.

It takes hours, so every training is a line in ``OUT/results.jsonl``: what is there for the same
settings is not done again, `--minutes` stops before the next training, and `--summary` prints what
there is and what is missing.

    python -m benchmarks.methods --data DIR --out OUT --minutes 20      # again and again
    python -m benchmarks.methods --data DIR --out OUT --summary
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.methods_cells import METHODS, RUNNERS, Cell, run_cell
from benchmarks.methods_summary import read_results, show_summary, summarise
from benchmarks.rounds import SCREEN, folder_option
from benchmarks.sets import SETS


def wanted(options: argparse.Namespace, done: Sequence[dict[str, Any]]) -> Iterator[Cell]:
    """The trainings that are still to do; those that need a chosen rate once it is known."""
    for cell in cells(options, done):
        if not any(row["cell"] == cell.to_json() for row in done):
            yield cell


def cells(options: argparse.Namespace, done: Sequence[dict[str, Any]]) -> Iterator[Cell]:
    """All trainings whose settings are known by now, the grid of each side first."""
    for name in options.sets:
        if SETS[name].task not in RUNNERS:
            continue
        for method in options.methods:
            for side in METHODS[method]:
                base = Cell(name, method, side, n_rows=options.rows, n_epochs=options.epochs)
                grid = [base.at(factor=factor) for factor in options.grid]
                yield from grid
                factor = chosen_factor(grid, done)
                if factor is not None:
                    yield from (base.at(factor, seed) for seed in range(1, options.seeds + 1))


def chosen_factor(grid: Sequence[Cell], done: Sequence[dict[str, Any]]) -> float | None:
    """The factor of the best validation figure; None while one of the grid is missing."""
    found: list[tuple[float, float]] = []
    for cell in grid:
        scores = [row["validation"] for row in done if row["cell"] == cell.to_json()]
        if not scores:
            return None
        found.append((scores[0], -abs(cell.factor - 1)))  # of equals the one nearest to the plan's
    best = max(range(len(grid)), key=found.__getitem__)
    return grid[best].factor


def run_all(options: argparse.Namespace, path: Path) -> None:
    """Train what is missing, one process each, until all is there or the time is over."""
    start = time.perf_counter()
    while True:
        cell = next(wanted(options, read_results(path)), None)
        if cell is None:
            return
        if options.minutes and time.perf_counter() - start > 60 * options.minutes:
            SCREEN.print("the time is over; run it again to go on", markup=False)
            return
        SCREEN.print(str(cell), markup=False)
        command = [sys.executable, "-m", "benchmarks.methods", *sys.argv[1:]]
        done = subprocess.run(
            [*command, "--cell", json.dumps(cell.to_json())], capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{cell} failed:\n{done.stderr[-3000:]}")
        with path.open("a", encoding="utf-8") as file:
            file.write(done.stdout.splitlines()[-1] + "\n")


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = folder_option(__doc__, folder="that holds the sets")

    def names(text: str) -> list[str]:
        return [name.strip() for name in text.split(",") if name.strip()]

    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--sets", type=names, default=list(SETS), help=",".join(SETS))
    parser.add_argument("--methods", type=names, default=list(METHODS), help=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=3, help="trainings at the chosen rate")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--epochs", type=int, default=3, help="passes over them")
    parser.add_argument(
        "--grid",
        type=lambda text: [float(part) for part in text.split(",")],
        default=[0.3, 1.0, 3.0],
        help="rates to choose from, times the planned one",
    )
    parser.add_argument("--backbone", default="", help="instead of each set's own")
    parser.add_argument("--minutes", type=float, default=0, help="begin nothing after; 0: no end")
    parser.add_argument("--summary", action="store_true", help="only print what there is")
    parser.add_argument("--cell", default="", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Train what is missing, then print what there is."""
    options = arguments().parse_args()
    for known, given, kind in ((SETS, options.sets, "set"), (METHODS, options.methods, "method")):
        for name in given:
            if name not in known:
                sys.exit(f"{name!r} is not a {kind}; known: {', '.join(known)}")
    if options.cell:
        cell = Cell(**json.loads(options.cell))
        print(json.dumps(run_cell(cell, options.data, options.backbone)))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.jsonl"
    if not options.summary:
        run_all(options, path)
    done = read_results(path)
    show_summary(summarise(options, done))


if __name__ == "__main__":
    main()
