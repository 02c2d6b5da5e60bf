"""Tokens per second and peak memory as texts, batches and data grow; plotted.

- *length*: every text has 16 … 512 tokens, updates of about 2,048 tokens;
- *batch*: 4 … 256 texts of 32 tokens an update;
- *rows*: 1,000 … 1,000,000 texts of 4 to 28 words, read line by line from a JSONL file, tokenised
  in parts of 10,000 and kept as flat ids of four bytes; then updates of 64 rows from anywhere in
  them. A build's own reading and cleaning, which keep interactions, are not measured here.

The texts are drawn by a seed from a few hundred English words, so no data set is needed. Full
fine-tuning of MiniLM; each point is a process of its own, and `--steps` updates after three to warm
up. Peak memory is the process's highest, with Python, torch and the model in it:
``peak_gib_1m_over_1k`` says how much of it the rows take.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks import ours
from benchmarks.rounds import compare, peak_gib, show
from benchmarks.sets import Rows
from tailorbird.config import ModelSettings, Settings, TuningSettings
from tailorbird.data.batching import epoch_batches
from tailorbird.evaluation.plots import Line, line_plot
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.tuning.loop import update
from tailorbird.tuning.tasks import EncodedExamples

LENGTHS = (16, 32, 64, 128, 256, 512)
BATCHES = (4, 16, 64, 256)
ROWS = (1000, 10_000, 100_000, 1_000_000)
BATCH_TOKENS = 2048
PART = 10_000
LABELS = [str(i) for i in range(77)]
STYLE = (
    "body { font: 15px sans-serif; max-width: 760px; margin: 2rem auto } svg { width: 100% }"
    "svg .line { fill: none; stroke: #2b6cb0; stroke-width: 2 } svg .dot { fill: #2b6cb0 }"
    "svg .grid { stroke: #ddd } svg text { font-size: 11px; fill: #555 }"
    "svg .mid { text-anchor: middle } svg .end { text-anchor: end }"
)


def words(seed: int = 0) -> list[str]:
    """A few hundred English words to make texts of."""
    stems = ["card", "bank", "pay", "send", "fee", "rate", "limit", "top", "cash", "pin", "app"]
    stems += ["code", "sum", "week", "day", "name"]
    ends = ["", "s", "ed", "ing", "er", "able", "less", "ful", "ment", "ly"]
    made = [stem + end for stem in stems for end in ends]
    random.Random(seed).shuffle(made)
    return made


def texts(n_rows: int, *, seed: int = 0) -> Iterator[tuple[str, int]]:
    """(text of 4 to 28 words, class) one by one; the same seed gives the same."""
    draw, vocabulary = random.Random(seed), words()
    for _ in range(n_rows):
        yield " ".join(draw.choices(vocabulary, k=draw.randint(4, 28))), draw.randrange(77)


def write_rows(path: Path, n_rows: int) -> None:
    """A JSONL file of *n_rows* texts."""
    with path.open("w", encoding="utf-8") as file:
        for text, target in texts(n_rows):
            file.write(json.dumps({"text": text, "label": target}) + "\n")


def stream_rows(path: Path, tokenizer: Any) -> EncodedExamples:
    """The file's rows as flat ids, never more than `PART` texts at once."""
    flat: list[torch.Tensor] = []
    lengths: list[torch.Tensor] = []
    targets: list[torch.Tensor] = []
    with path.open(encoding="utf-8") as file:
        rows = map(json.loads, file)
        while part := list(islice(rows, PART)):
            tokens = tokenizer([row["text"] for row in part])
            flat.append(tokens.flat)
            lengths.append(torch.diff(tokens.offsets))
            targets.append(torch.tensor([row["label"] for row in part]))
    offsets = torch.zeros(sum(map(len, lengths)) + 1, dtype=torch.int64)
    offsets[1:] = torch.cumsum(torch.cat(lengths), 0)
    return EncodedExamples(TokenizedTexts(torch.cat(flat), offsets), torch.cat(targets))


def rectangular(n_rows: int, length: int) -> EncodedExamples:
    """Rows of random ids, all of *length* tokens."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 100, (n_rows * length,), generator=generator, dtype=torch.int32)
    offsets = torch.arange(n_rows + 1) * length
    return EncodedExamples(TokenizedTexts(ids, offsets), torch.arange(n_rows) % len(LABELS))


def measured(
    options: argparse.Namespace, rows: EncodedExamples | Path, batch_size: int
) -> dict[str, float]:
    """Speed of `--steps` updates on *rows*, or on those of a file, and the process's peak."""
    settings = Settings(
        model=ModelSettings(freeze_layers=0, init_head="random"),
        tuning=TuningSettings(batch_size=batch_size),
    )
    folder = ours.backbone(options.backbone)
    prepared = ours.prepare(Rows(["a"], ["0"]), LABELS, folder, settings, max_tokens=512)
    start = time.perf_counter()
    train = stream_rows(rows, prepared.model.tokenizer) if isinstance(rows, Path) else rows
    read_s = time.perf_counter() - start
    prepared = ours.Prepared(prepared.run, train)
    ours.warm_up(prepared)
    batches = epoch_batches(train.lengths, batch_size, seed=0, epoch=0)[: options.steps]
    start = time.perf_counter()
    for batch in batches:
        update(prepared.run, train, batch)
    seconds = time.perf_counter() - start
    n_tokens = sum(sum(train.lengths_of(batch)) for batch in batches)
    return {"tokens_per_s": n_tokens / seconds, "peak_gib": peak_gib(), "read_s": read_s}


def by_length(length: int, options: argparse.Namespace) -> dict[str, float]:
    """Texts of *length* tokens."""
    batch_size = max(1, BATCH_TOKENS // length)
    return measured(options, rectangular(batch_size * (options.steps + 3), length), batch_size)


def by_batch(batch_size: int, options: argparse.Namespace) -> dict[str, float]:
    """Updates of *batch_size* texts."""
    return measured(options, rectangular(batch_size * (options.steps + 3), 32), batch_size)


def by_rows(n_rows: int, options: argparse.Namespace) -> dict[str, float]:
    """Data of *n_rows* texts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, n_rows)
        return measured(options, path, 64)


KINDS = {"length": (by_length, LENGTHS), "batch": (by_batch, BATCHES), "rows": (by_rows, ROWS)}
SIDES = {
    f"{kind} {size}": partial(function, size)
    for kind, (function, sizes) in KINDS.items()
    for size in sizes
}


def series(
    medians: Mapping[str, Mapping[str, float]], kind: str, figure: str
) -> list[tuple[float, float]]:
    """(size, figure) of one kind, in the order of size."""
    sizes = KINDS[kind][1]
    return [(size, medians[f"{kind} {size}"][figure]) for size in sizes]


def plot(points: Sequence[tuple[float, float]], *, label: str, x_name: str, unit: str) -> str:
    """One curve over a logarithmic axis, as SVG."""
    logged = [(math.log2(x), y) for x, y in points]
    top = 1.1 * max(y for _, y in points)
    return line_plot(
        [Line("right", logged, has_dots=True)],
        label=label,
        x_name=x_name,
        y_text=lambda value: f"{value:,.4g} {unit}",
        x_text=lambda value: f"{2**value:,.0f}",
        y_range=(0.0, top),
        x_range=(logged[0][0], logged[-1][0]),
    )


def page(medians: Mapping[str, Mapping[str, float]]) -> str:
    """All curves as one page that needs nothing else."""
    names = {"length": "tokens a text", "batch": "texts an update", "rows": "rows of data"}
    parts = []
    for kind, name in names.items():
        for figure, unit in (("tokens_per_s", "tokens/s"), ("peak_gib", "GiB")):
            points = series(medians, kind, figure)
            label = f"{unit} by {name}"
            parts.append(f"<h2>{label}</h2>{plot(points, label=label, x_name=name, unit=unit)}")
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{''.join(parts)}\n"


def main() -> None:
    """Measure every point in turn, print them, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="not needed: the texts are made")
    parser.add_argument("--steps", type=int, default=20, help="updates that are timed")
    parser.add_argument("--backbone", default="minilm", help="minilm, or a folder in hub form")
    parser.add_argument("--plot", type=Path, default=Path("scaling.html"), help="page to write")
    medians = compare(parser, SIDES, "benchmarks.scaling")
    if medians is None:
        return
    path: Path = parser.parse_args().plot
    path.write_text(page(medians), encoding="utf-8")
    peaks = dict(series(medians, "rows", "peak_gib"))
    result = {"peak_gib_1m_over_1k": peaks[1_000_000] / peaks[1000], "plot": str(path)}
    result |= {
        f"{figure}_by_{kind}": dict(series(medians, kind, figure))
        for kind in KINDS
        for figure in ("tokens_per_s", "peak_gib")
    }
    show(medians, result)


if __name__ == "__main__":
    main()
