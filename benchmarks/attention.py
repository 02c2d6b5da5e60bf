"""From which length torch's fused attention beats plain products, forward and backward.

    python -m benchmarks.attention [--tokens 2048] [--heads 12] [--width 32] [--repeats 5]

Texts fill 75 to 100 % of the longest, as batches sorted by length do. What counts is the median of
the processor's time, on one thread and both ways in turn: other work on the machine hardly shows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from torch import Tensor

from tailorbird.hardware import processor
from tailorbird.modeling.attention import fused, plain

LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)


def seconds(way: object, parts: list[Tensor], is_padding: Tensor, direction: Tensor) -> float:
    """One forward and one backward pass."""
    start = time.process_time()
    mixed = way(*parts, is_padding)  # type: ignore[operator]
    torch.autograd.grad(mixed, parts, direction)
    return time.process_time() - start


def measure(length: int, dtype: torch.dtype, args: argparse.Namespace) -> tuple[float, float]:
    """Median milliseconds of (plain, fused) for a batch of texts up to *length* tokens."""
    n_texts = max(1, args.tokens // length)
    shape = (n_texts, args.heads, length, args.width)
    parts = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]
    lengths = torch.linspace(0.75 * length, length, n_texts).round()
    is_padding = torch.arange(length) >= lengths[:, None]
    direction = torch.randn(shape, dtype=dtype)
    times: dict[object, list[float]] = {plain: [], fused: []}
    for repeat in range(args.repeats + 1):
        for way, found in times.items():
            found.append(seconds(way, parts, is_padding, direction))
        if repeat == 0:  # warm-up
            times = {plain: [], fused: []}
    return statistics.median(times[plain]) * 1e3, statistics.median(times[fused]) * 1e3


def main() -> None:
    """Print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("tokens", 2048), ("heads", 12), ("width", 32), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rows = []
    print(
        "| L | fp32 plain | fp32 fused | bf16 plain | bf16 fused |\n| --- | --- | --- | --- | --- |"
    )
    for length in LENGTHS:
        fp32, bf16 = (measure(length, dtype, args) for dtype in (torch.float32, torch.bfloat16))
        rows.append([length, *(round(ms, 2) for ms in (*fp32, *bf16))])
        print(f"| {' | '.join(map(str, rows[-1]))} |", flush=True)
    print(json.dumps({"ms": rows, **vars(args), "torch": torch.__version__} | processor()))


if __name__ == "__main__":
    main()
