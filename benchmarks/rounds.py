"""Comparisons of speed: each side in a process of its own, in turn, several rounds, medians.

A side is a function that returns a mapping of numbers. The parent starts this module's caller
again with ``--side NAME``; so no side inherits the other's threads, caches or memory, and both
meet the same weather on the machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.table import Table

from tailorbird.hardware import processor

MOST_COLUMNS = 9
"""Figures that stand beside each other in a line of a table."""
SCREEN = Console(stderr=True, highlight=False)
Side = Callable[[argparse.Namespace], dict[str, float]]


def compare(
    parser: argparse.ArgumentParser,
    sides: Mapping[str, Side],
    module: str,
    *,
    n_rounds: int = 3,
) -> dict[str, dict[str, float]] | None:
    """The median figures of every side; None in a child process, which has printed its own.

    Args:
        parser: the benchmark's options; ``--rounds`` and ``--side`` are added here.
        sides: name → function.
        module: as ``benchmarks.train_throughput``, to start it again.
        n_rounds: how often each side runs where --rounds does not say.
    """
    parser.add_argument("--rounds", type=int, default=n_rounds, help="how often each side runs")
    parser.add_argument("--side", choices=sides, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(sides[options.side](options)))
        return None
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for number in range(options.rounds):
        for name in sides:
            figures = _run(module, name)
            found[name].append(figures)
            shown = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
            SCREEN.print(f"round {number + 1}, {name}: {shown}", markup=False)
    return {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in found.items()
    }


def _run(module: str, side: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", module, *sys.argv[1:], "--side", side],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def show(medians: Mapping[str, Mapping[str, float]], result: Mapping[str, Any]) -> None:
    """A table of the sides, the processor's flags, and *result* as the last line."""
    machine = processor()
    title = f"{machine['name']}, {machine['n_threads']} threads, medians"
    Console(width=120).print(_table(medians, title))
    print(f"flags: {' '.join(machine['flags'])}")
    print(json.dumps({**result, "processor": machine}))


def _table(medians: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """A row a side; where figures are too many for a line, a column a side."""
    keys = list(dict.fromkeys(key for row in medians.values() for key in row))
    cells = {
        name: {key: f"{row[key]:,.4g}" if key in row else "" for key in keys}
        for name, row in medians.items()
    }
    if len(keys) <= MOST_COLUMNS:
        table = Table("", *keys, title=title)
        for name, row in cells.items():
            table.add_row(name, *row.values())
    else:
        table = Table("", *cells, title=title)
        for key in keys:
            table.add_row(key, *(row[key] for row in cells.values()))
    return table


def peak_gib(pid: int | None = None) -> float:
    """Most memory that a process has held, in GiB, shared libraries included; 0: not known.

    *pid* is another process than this one.

    Read from VmHWM, which begins anew with the program; what getrusage gives a child of a large
    process may be the parent's.
    """
    status = Path(f"/proc/{pid or 'self'}/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) / 2**20 if found else 0.0


class MemoryWatch:
    """The most memory that this process and its children hold together while the block runs.

    Each page counts once, however many of them share it: proportional shares, looked up five times
    a second (`/proc/PID/smaps_rollup`).
    """

    peak_gib = 0.0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        me = multiprocessing.current_process().pid
        while not self._over.wait(0.2):
            children = [child.pid for child in multiprocessing.active_children()]
            held = sum(_share_gib(number) for number in (me, *children) if number)
            self.peak_gib = max(self.peak_gib, held)


def _share_gib(number: int) -> float:
    with suppress(OSError):  # it may have ended meanwhile
        text = Path(f"/proc/{number}/smaps_rollup").read_text(encoding="utf-8")
        return sum(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:") / 2**20
    return 0.0


def folder_option(about: str | None, *, folder: str) -> argparse.ArgumentParser:
    """A parser that takes the set's folder."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help=f"the folder {folder}, or the one that holds it"
    )
    return parser
