"""What the lines of `benchmarks.methods` say so far: a table, the gaps, and what is missing."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.methods_cells import METHODS
from tailorbird.hardware import processor

FIGURES = ("test", "trainable", "train_s", "peak_gib")


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lines of *path*; a last line that was cut off in the middle is left out."""
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean of each figure over the seeds, the spread of the test figure, and how many there are."""
    tests = [row["test"] for row in rows]
    out = {name: statistics.fmean(row[name] for row in rows) for name in FIGURES}
    return out | {"spread": statistics.stdev(tests) if len(tests) > 1 else 0.0, "seeds": len(rows)}


def summarise(options: argparse.Namespace, done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures by set and method, the gap to the peer in points (positive: it is ahead), the worst.

    Only lines of these ``rows`` and ``epochs`` count. A gap is stated once both sides have all
    their seeds; ``worst_gap_points`` is None while there is none.
    """
    table: list[dict[str, Any]] = []
    missing: list[str] = []
    for name in options.sets:
        for method in options.methods:
            row: dict[str, Any] = {"set": name, "method": method, "gap_points": None}
            for side in METHODS[method]:
                key = {"set": name, "method": method, "side": side}
                key |= {"n_rows": options.rows, "n_epochs": options.epochs}
                found = [
                    line
                    for line in done
                    if line["test"] is not None
                    and key.items() <= line["cell"].items()
                    and line["cell"]["seed"] <= options.seeds
                ]
                if found:
                    row[side] = means(found)
                if len(found) < options.seeds:
                    missing.append(f"{name}/{method}/{side}: {len(found)} of {options.seeds} seeds")
            sides = [row.get(side) for side in ("ours", "peer")]
            if all(side and side["seeds"] >= options.seeds for side in sides):
                row["gap_points"] = 100 * (row["peer"]["test"] - row["ours"]["test"])
            table.append(row)
    gaps = [row["gap_points"] for row in table if row["gap_points"] is not None]
    worst = max(gaps) if gaps else None
    return {"worst_gap_points": worst, "methods": table, "missing": missing}


def show_summary(summary: Mapping[str, Any]) -> None:
    """The table for people, what is missing, and the summary as the last line."""
    table = Table(title="test figure (mean and spread of the seeds), seconds of training, GiB")
    columns = ("", "ours", "peer", "gap", "trainable", "seconds", "GiB")
    for column in columns:
        table.add_column(column, justify="left" if not column else "right")
    for row in summary["methods"]:
        sides = [row.get(side) for side in ("ours", "peer")]
        if not any(sides):
            continue

        def both(key: str, form: str, sides: list[Any] = sides) -> str:
            return " / ".join(format(side[key], form) if side else "–" for side in sides)

        scores = [f"{s['test']:.4f} ± {s['spread']:.4f}" if s else "–" for s in sides]
        gap = "" if row["gap_points"] is None else f"{row['gap_points']:+.2f}"
        table.add_row(
            f"{row['set']}, {row['method']}",
            *scores,
            gap,
            both("trainable", ",.0f"),
            both("train_s", ",.0f"),
            both("peak_gib", ".2f"),
        )
    machine = processor()
    Console(width=120).print(table)
    for line in summary["missing"]:
        print(f"missing: {line}")
    print(f"flags: {' '.join(machine['flags'])}")
    print(json.dumps({**summary, "processor": machine}, ensure_ascii=False))
