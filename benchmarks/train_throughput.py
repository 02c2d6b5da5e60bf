"""Full fine-tuning of MiniLM on Banking77: real tokens per second, ours and Trainer's.

Trainer as it comes (batch 16, fp32), and at its best (bf16, batch 64, grouped by length). Padding
is never counted. ``fraction_of_bf16_peak`` is what our step does of the largest product that this
machine was seen to do in bf16: 6 operations a token and weight of the layers, 2 of them forward.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.building import data_folder
from benchmarks.rounds import compare, folder_option, show
from tailorbird.config import ModelSettings, TuningSettings
from tailorbird.data.batching import epoch_batches
from tailorbird.modeling import build_model
from tailorbird.records import Example
from tailorbird.tuning import TuningRun, plan_tuning
from tailorbird.tuning.loop import update
from tailorbird.tuning.tasks import encode_examples
from tailorbird.weights import resolve_backbone

N_STEPS = 25
N_WARM = 3


def load_rows(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Texts and labels of the published training split."""
    path = data_folder(options.data, "banking77") / "train.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def minilm() -> Any:
    """The embedded backbone, unpacked where nothing else looks."""
    return resolve_backbone("minilm", cache=Path(tempfile.gettempdir()) / "tailorbird-benchmarks")


def ours(options: argparse.Namespace) -> dict[str, float]:
    """Our loop's updates, with our defaults."""
    texts, labels = load_rows(options)
    torch.manual_seed(0)
    model = build_model(minilm(), sorted(set(labels)), settings=ModelSettings())
    examples = [Example(text, label) for text, label in zip(texts, labels, strict=True)]
    plan, _ = plan_tuning(
        model, n_rows=len(examples), settings=TuningSettings(), model_settings=ModelSettings()
    )
    rows = encode_examples(model, examples)
    run = TuningRun(model, plan)
    batches = epoch_batches(rows.tokens.lengths, plan.batch_size, seed=0, epoch=0)
    for batch in batches[:N_WARM]:
        update(run, rows, batch)
    n_tokens, elapsed_s = run.n_tokens, run.elapsed_s
    for batch in batches[N_WARM : 2 * N_STEPS]:
        update(run, rows, batch)
    speed = (run.n_tokens - n_tokens) / (run.elapsed_s - elapsed_s)
    n_weights = sum(p.numel() for p in model.backbone.layers.parameters() if p.ndim > 1)
    peak = largest_product()
    return {
        "tokens_per_s": speed,
        "gflop_per_s": 6e-9 * n_weights * speed,
        "bf16_peak_gflop_per_s": peak,
        "fraction_of_bf16_peak": 6e-9 * n_weights * speed / peak,
    }


def largest_product() -> float:
    """GFLOP/s of the fastest of several bf16 products, the best of ten times each."""
    best = 0.0
    for m, k, n in ((1024, 384, 1536), (2048, 1536, 384), (2048, 2048, 2048)):
        a, b = (torch.randn(*shape).bfloat16() for shape in ((m, k), (n, k)))
        for _ in range(10):
            start = time.perf_counter()
            torch.nn.functional.linear(a, b)
            best = max(best, 2e-9 * m * k * n / (time.perf_counter() - start))
    return best


def trainer(options: argparse.Namespace, **settings: Any) -> dict[str, float]:
    """Trainer with *settings*."""
    from benchmarks.trainer import load_peer, rows_for, tokens_per_s

    texts, labels = load_rows(options)
    names = sorted(set(labels))
    tokenizer, model = load_peer(str(minilm().path), len(names))
    rows = rows_for(tokenizer, texts, [names.index(label) for label in labels])
    speed = tokens_per_s(model, tokenizer, rows, n_steps=N_STEPS, seed=0, **settings)
    return {"tokens_per_s": speed}


def trainer_best(options: argparse.Namespace) -> dict[str, float]:
    """Trainer with everything that made it faster here."""
    return trainer(
        options,
        bf16=True,
        per_device_train_batch_size=64,
        train_sampling_strategy="group_by_length",
    )


def trainer_as_it_comes(options: argparse.Namespace) -> dict[str, float]:
    """Trainer with the batch size of its examples and nothing else."""
    return trainer(options, per_device_train_batch_size=16)


SIDES = {
    "ours": ours,
    "Trainer as it comes": trainer_as_it_comes,
    "Trainer at its best": trainer_best,
}


def main() -> None:
    """Run the sides in turn and print them."""
    parser = folder_option(__doc__, folder="banking77")
    medians = compare(parser, SIDES, "benchmarks.train_throughput")
    if medians is None:
        return
    speed = {name: row["tokens_per_s"] for name, row in medians.items()}
    result = {
        "tokens_per_s": speed["ours"],
        "trainer_tokens_per_s": speed["Trainer as it comes"],
        "trainer_best_tokens_per_s": speed["Trainer at its best"],
        "ratio_vs_trainer": speed["ours"] / speed["Trainer as it comes"],
        "ratio_vs_trainer_best": speed["ours"] / speed["Trainer at its best"],
        "fraction_of_bf16_peak": medians["ours"]["fraction_of_bf16_peak"],
    }
    show(medians, result)


if __name__ == "__main__":
    main()
