"""A search and a cross-validation against two PEFT runs: MiniLM with LoRA on Banking77.

- *search*: 16 trials (`--trials`) over rate, rank, dropout, frozen layers (3 to 5 of 6) and label
  smoothing, as ``tailorbird search`` does them: adapter jobs over one trunk, the states of frozen
  layers on disk, sampler TPE, pruner `--pruner`, validation after every epoch.
- *folds*: 5 folds × 3 seeds of the same rows as 15 adapter jobs, rank 8 above 4 frozen layers, each
  validated after every epoch on the fold that it leaves out.
- *PEFT, best*: **one** run of Trainer and PEFT (LoRA of rank 8 in all layers, as many epochs, bf16,
  batches of 64, grouped by length, a mean-pooled head), validated after every epoch.
- *PEFT as it comes*: Trainer's and PEFT's defaults (batches of 16, fp32); an epoch of
  `--short-rows` rows is timed, and a run is as many tokens at that speed, without validations.

The clock of ours and of *PEFT, best* runs from rows in memory to the last result: loading,
tokenising, computing states, training, validating, writing. ``time_over_two_peft_runs`` is the
slower of search and folds over twice the time of *PEFT as it comes*;
``time_over_two_best_peft_runs`` over twice that of *PEFT, best*.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import lora_throughput
from benchmarks import ours as side
from benchmarks.rounds import compare, folder_option, peak_gib, show
from benchmarks.sets import SETS, load_set
from tailorbird import api, runs
from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings
from tailorbird.jobs import Job, run_jobs
from tailorbird.records import Example

N_FOLDS, N_SEEDS, N_FROZEN = 5, 3, 4
OVER = (
    "tuning.learning_rate=5e-4..8e-3:log",
    "method.rank=4,8,16",
    "method.dropout=0..0.2",
    "model.freeze_layers=3..5",
    "loss.label_smoothing=0..0.2",
)


def settings_for(options: argparse.Namespace, *, seed: int = 0) -> Settings:
    """LoRA of rank 8 above the frozen layers, all epochs, all else as planned."""
    return Settings(
        model=ModelSettings(backbone=options.backbone, freeze_layers=N_FROZEN),
        method=MethodSettings(name="lora", rank=8),
        tuning=TuningSettings(n_epochs=options.epochs, batch_size=64, patience=0, seed=seed),
    )


def pool_of(options: argparse.Namespace) -> tuple[list[Example], list[Example]]:
    """Training and held-out rows."""
    train, held, _ = load_set("banking77", options.data, n_rows=options.rows)
    return side.examples(train), side.examples(held)


def search(options: argparse.Namespace) -> dict[str, float]:
    """All trials, from a run with its rows to its report."""
    from tailorbird.search import SearchPlan

    train, held = pool_of(options)
    with tempfile.TemporaryDirectory() as folder, api.open_workspace(folder) as space:
        (Path(folder) / "rows.jsonl").write_text("", encoding="utf-8")
        run = runs.start_run(str(Path(folder) / "rows.jsonl"), space, settings_for(options))
        with (run.path / "examples.jsonl").open("w", encoding="utf-8") as file:
            for name, rows in (("train", train), ("validation", held)):
                for row in rows:
                    file.write(json.dumps({"split": name, **row.to_json()}) + "\n")
        for stage in ("read", "clean", "split"):
            run.write_json(f"{stage}.json", {})
        side.backbone(options.backbone)  # unpacked where a first use would unpack it
        plan = SearchPlan(OVER, options.trials, pruner=options.pruner, n_workers=options.workers)
        start = time.perf_counter()
        found = api.search(run, space, plan, say=lambda _: None)
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "accuracy": found["best"]["scores"]["accuracy"],
        "n_jobs": found["n_trials"],
        "n_pruned": found["n_pruned"],
        "train_s": sum(trial["train_s"] for trial in found["trials"]),
        "peak_gib": peak_gib(),
    }


def folds(options: argparse.Namespace) -> dict[str, float]:
    """All folds with all seeds."""
    pool = [row for part in pool_of(options) for row in part]
    jobs = fold_jobs(len(pool), options)
    with tempfile.TemporaryDirectory() as folder:
        base = side.backbone(options.backbone)
        start = time.perf_counter()
        found = list(run_jobs(base, pool, jobs, Path(folder), n_workers=options.workers))
        seconds = time.perf_counter() - start
    wrong = [result.error for result in found if result.status != "done"]
    if wrong:
        raise SystemExit(wrong[0])
    return {
        "seconds": seconds,
        "accuracy": sum(result.scores["accuracy"] for result in found) / len(found),
        "n_jobs": len(found),
        "train_s": sum(result.train_s for result in found),
        "peak_gib": peak_gib(),
    }


def fold_jobs(n_rows: int, options: argparse.Namespace) -> list[Job]:
    """Each fold with each seed; a fold is every fifth row, which a shuffle has put in its order.

    >>> options = argparse.Namespace(epochs=1, backbone="minilm", folds=2, seeds=1)
    >>> [(job.name, list(job.train)) for job in fold_jobs(4, options)]
    [('fold-0-seed-0', [1, 3]), ('fold-1-seed-0', [0, 2])]
    """
    return [
        Job(
            f"fold-{fold}-seed-{seed}",
            train=[row for row in range(n_rows) if row % options.folds != fold],
            validation=range(fold, n_rows, options.folds),
            settings=settings_for(options, seed=seed),
        )
        for seed in range(options.seeds)
        for fold in range(options.folds)
    ]


def peft_best(options: argparse.Namespace) -> dict[str, float]:
    """One run of Trainer and PEFT, from rows in memory to its last validation."""
    from benchmarks import peers
    from benchmarks.trainer import load_tokenizer, padded, rows_for

    train, held, _ = load_set("banking77", options.data, n_rows=options.rows)
    labels = sorted({*train.targets, *held.targets})
    folder = str(side.backbone(options.backbone).path)
    start = time.perf_counter()
    tokenizer = load_tokenizer(folder)
    encoded: Sequence[Any] = [
        rows_for(tokenizer, part.texts, [labels.index(label) for label in part.targets])
        for part in (train, held)
    ]
    how = peers.PeerFit(
        options.epochs, options.peer_rate, options.peer_head_rate, more={"eval_strategy": "epoch"}
    )
    peers.seed(how.seed)
    backbone = peers.load_backbone(folder, attention=options.attention)
    model = peers.MeanPooled(peers.with_lora(backbone, rank=8), len(labels))
    clock = peers.fit(model, padded(tokenizer), encoded[0], how, eval_rows=encoded[1])
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "accuracy": peers.accuracy(model, padded(tokenizer), encoded[1], bf16=how.bf16),
        "n_jobs": 1,
        "train_s": sum(clock.epochs_s),
        "peak_gib": peak_gib(),
    }


def peft_as_it_comes(options: argparse.Namespace) -> dict[str, float]:
    """The time that a run would take at the speed of a short epoch."""
    from benchmarks.trainer import load_tokenizer, n_tokens, rows_for

    speed = lora_throughput.peft_as_it_comes(options)["tokens_per_s"]
    train, _, _ = load_set("banking77", options.data, n_rows=options.rows)
    tokenizer = load_tokenizer(str(side.backbone(options.backbone).path))
    total = n_tokens(rows_for(tokenizer, train.texts, [0] * len(train))) * options.epochs
    return {"seconds": total / speed, "n_jobs": 1}


SIDES = {
    "search": search,
    "folds": folds,
    "PEFT, best": peft_best,
    "PEFT as it comes": peft_as_it_comes,
}


def result_of(medians: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The figures of the last line.

    >>> seconds = {"search": 90.0, "folds": 80.0, "PEFT, best": 50.0, "PEFT as it comes": 100.0}
    >>> rows = {name: {"seconds": s, "accuracy": 0.9} for name, s in seconds.items()}
    >>> found = result_of(rows)
    >>> found["time_over_two_peft_runs"], found["time_over_two_best_peft_runs"]
    (0.45, 0.9)
    """
    seconds = {name: row["seconds"] for name, row in medians.items()}
    slower_s = max(seconds["search"], seconds["folds"])
    two_s, two_best_s = 2 * seconds["PEFT as it comes"], 2 * seconds["PEFT, best"]
    return {
        "time_over_two_peft_runs": slower_s / two_s,
        "time_over_two_best_peft_runs": slower_s / two_best_s,
        "search_s": seconds["search"],
        "folds_s": seconds["folds"],
        "peft_run_s": seconds["PEFT as it comes"],
        "best_peft_run_s": seconds["PEFT, best"],
        "accuracy_search": medians["search"]["accuracy"],
        "accuracy_folds": medians["folds"]["accuracy"],
        "accuracy_peft": medians["PEFT, best"]["accuracy"],
    }


def main() -> None:
    """Run the sides in turn and print them."""
    parser = folder_option(__doc__, folder=SETS["banking77"].folder)
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training rows")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--trials", type=int, default=16, help="of the search")
    parser.add_argument("--pruner", default="median", help="none, median, asha or hyperband")
    parser.add_argument("--folds", type=int, default=N_FOLDS)
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="our processes")
    parser.add_argument("--short-rows", type=int, default=3200, help="of PEFT as it comes")
    parser.add_argument("--backbone", default="minilm", help="minilm, or a folder in hub form")
    parser.add_argument("--targets", default="", help=argparse.SUPPRESS)
    parser.add_argument("--peer-rate", type=float, default=2e-3, help="PEFT's; ours plans the same")
    parser.add_argument("--peer-head-rate", type=float, default=8e-4, help="of PEFT's head")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager", help="PEFT's")
    medians = compare(parser, SIDES, "benchmarks.search")
    if medians is not None:
        show(medians, result_of(medians))


if __name__ == "__main__":
    main()
