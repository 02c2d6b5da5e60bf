"""LoRA of rank 8, MiniLM on Banking77: real tokens per second and accuracy, ours and PEFT's.

Each side trains the same epochs (`--epochs`) on the same nine tenths of the training split, batches
of 64, and is measured on the tenth that is left out:

- *ours*: LoRA on all six linear layers of each layer (`--targets` for fewer), the planned rates.
- *ours, cached*: the lower four layers frozen and their states cached, LoRA on the top two; its
  speed is that of the epochs from the second on. ``cached_all_tokens_per_s`` counts the first epoch
  and the making of the cache as well.
- *PEFT as it comes*: Trainer and PEFT with the same linear layers, rank and alpha, and no further
  option: batches of 16, fp32, dropout in the layers as published, no grouping. One epoch of
  `--short-rows` rows, for its speed alone.
- *PEFT, best*: with the same rates and schedule as ours and all that made it faster when it was
  profiled here: bf16, batches of 64, grouped by length, no dropout in the layers, the faster
  attention, a mean-pooled head with its own rate. Accuracies are compared with it.
- *PEFT, best, top 2*: the same with LoRA on the top two layers, so that nobody can say the cache
  is compared with more work than need be.

The clock runs through whole epochs: batching, padding or packing, and updates. Evaluation, loading
and tokenising are outside on every side. Padding never counts as tokens.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from benchmarks import ours as side
from benchmarks.rounds import compare, folder_option, peak_gib, show
from benchmarks.sets import SETS, load_set
from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings

RANK, ALPHA = 8, 16.0
N_FROZEN = 4
"""Of six layers; the cached side's."""


def settings_for(options: argparse.Namespace, *, n_frozen: int) -> Settings:
    """Ours: LoRA above *n_frozen* layers, all else as planned."""
    return Settings(
        model=ModelSettings(freeze_layers=n_frozen),
        method=MethodSettings(name="lora", rank=RANK, alpha=ALPHA, targets=options.targets),
        tuning=TuningSettings(n_epochs=options.epochs, batch_size=64, patience=0),
    )


def prepared(options: argparse.Namespace, *, n_frozen: int) -> tuple[side.Prepared, Any]:
    """Our run and the held-out rows."""
    train, held, _ = load_set("banking77", options.data, n_rows=options.rows)
    labels = sorted({*train.targets, *held.targets})
    folder = side.backbone(options.backbone)
    return side.prepare(train, labels, folder, settings_for(options, n_frozen=n_frozen)), held


def ours(options: argparse.Namespace) -> dict[str, float]:
    """LoRA in every layer."""
    run, held = prepared(options, n_frozen=0)
    side.warm_up(run)
    epochs_s = side.epochs(run, options.epochs)
    return {
        "tokens_per_s": side.n_tokens(run.train) * options.epochs / sum(epochs_s),
        "accuracy": side.accuracy(run.model, held),
        "trainable": side.n_trainable(run.model),
        "peak_gib": peak_gib(),
    }


def ours_cached(options: argparse.Namespace) -> dict[str, float]:
    """LoRA on the top layers, the states below them computed once."""
    n_layers = side.n_layers(side.backbone(options.backbone))
    run, held = prepared(options, n_frozen=min(N_FROZEN, n_layers - 1))
    side.warm_up(run)
    start = time.perf_counter()
    run = side.with_trunk(run)
    trunk_s = time.perf_counter() - start
    epochs_s = side.epochs(run, options.epochs)
    later_s, n_tokens = epochs_s[1:] or epochs_s, side.n_tokens(run.train)
    return {
        "tokens_per_s": n_tokens * len(later_s) / sum(later_s),
        "accuracy": side.accuracy(run.model, held),
        "trainable": side.n_trainable(run.model),
        "peak_gib": peak_gib(),
        "all_tokens_per_s": n_tokens * len(epochs_s) / (trunk_s + sum(epochs_s)),
    }


def peft_as_it_comes(options: argparse.Namespace) -> dict[str, float]:
    """Trainer and PEFT with the batch size of their examples and nothing else; one short epoch."""
    from transformers import AutoModel

    from benchmarks import peers, trainer

    train, held, _ = load_set("banking77", options.data, n_rows=options.rows)
    labels = sorted({*train.targets, *held.targets})
    folder = str(side.backbone(options.backbone).path)
    tokenizer = trainer.load_tokenizer(folder)
    some = train.take(range(min(options.short_rows, len(train))))
    targets = [labels.index(label) for label in some.targets]
    rows = trainer.rows_for(tokenizer, some.texts, targets)
    peers.seed(0)
    backbone = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    adapted = peers.with_lora(backbone, rank=RANK, alpha=ALPHA, targets=options.targets)
    model = peers.MeanPooled(adapted, len(labels))
    settings = {"per_device_train_batch_size": 16}
    seconds = trainer.seconds_of_epoch(model, trainer.padded(tokenizer), rows, seed=0, **settings)
    return {
        "tokens_per_s": trainer.n_tokens(rows) / seconds,
        "trainable": side.n_trainable(model),
        "peak_gib": peak_gib(),
    }


def peft_best(options: argparse.Namespace, *, above: int = 0) -> dict[str, float]:
    """Trainer and PEFT, LoRA above the lowest *above* layers."""
    from benchmarks import peers
    from benchmarks.trainer import load_tokenizer, n_tokens, padded, rows_for, warm_up

    train, held, _ = load_set("banking77", options.data, n_rows=options.rows)
    labels = sorted({*train.targets, *held.targets})
    folder = str(side.backbone(options.backbone).path)
    tokenizer = load_tokenizer(folder)
    encoded = [
        rows_for(tokenizer, part.texts, [labels.index(label) for label in part.targets])
        for part in (train, held)
    ]
    how = peers.PeerFit(options.epochs, options.peer_rate, options.peer_head_rate)
    peers.seed(how.seed)
    backbone = peers.load_backbone(folder, attention=options.attention)
    above = min(above, backbone.config.num_hidden_layers - 1)
    adapted = peers.with_lora(
        backbone, rank=RANK, alpha=ALPHA, targets=options.targets, above=above
    )
    model = peers.MeanPooled(adapted, len(labels))
    warm_up(model, padded(tokenizer), encoded[0], **how.settings())
    clock = peers.fit(model, padded(tokenizer), encoded[0], how)
    return {
        "tokens_per_s": n_tokens(encoded[0]) * len(clock.epochs_s) / sum(clock.epochs_s),
        "accuracy": peers.accuracy(model, padded(tokenizer), encoded[1], bf16=how.bf16),
        "trainable": side.n_trainable(model),
        "peak_gib": peak_gib(),
    }


def peft_top(options: argparse.Namespace) -> dict[str, float]:
    """PEFT with the adapters of the cached side."""
    return peft_best(options, above=N_FROZEN)


SIDES = {
    "ours": ours,
    "ours, cached": ours_cached,
    "PEFT as it comes": peft_as_it_comes,
    "PEFT, best": peft_best,
    "PEFT, best, top 2": peft_top,
}


def result_of(medians: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The figures of the last line; gaps in points, positive where PEFT is ahead."""
    speed = {name: row["tokens_per_s"] for name, row in medians.items()}
    points = {name: 100 * row["accuracy"] for name, row in medians.items() if "accuracy" in row}
    plain, best = speed["PEFT as it comes"], speed["PEFT, best"]
    return {
        "ratio_vs_peft": speed["ours"] / plain,
        "ratio_cached_vs_peft": speed["ours, cached"] / plain,
        "ratio_vs_peft_best": speed["ours"] / best,
        "ratio_cached_vs_peft_best": speed["ours, cached"] / best,
        "ratio_cached_vs_peft_best_top2": speed["ours, cached"] / speed["PEFT, best, top 2"],
        "gap_points": points["PEFT, best"] - points["ours"],
        "gap_cached_points": points["PEFT, best"] - points["ours, cached"],
        "accuracy": points["ours"] / 100,
        "accuracy_cached": points["ours, cached"] / 100,
        "accuracy_peft": points["PEFT, best"] / 100,
        "tokens_per_s": speed["ours"],
        "cached_tokens_per_s": speed["ours, cached"],
        "cached_all_tokens_per_s": medians["ours, cached"]["all_tokens_per_s"],
        "peft_tokens_per_s": plain,
        "peft_best_tokens_per_s": best,
        "peft_best_top2_tokens_per_s": speed["PEFT, best, top 2"],
    }


def main() -> None:
    """Run the sides in turn and print them."""
    parser = folder_option(__doc__, folder=SETS["banking77"].folder)
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training rows")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--short-rows", type=int, default=3200, help="of PEFT as it comes")
    parser.add_argument("--targets", default="", help="linear layers, as query,value; empty: all")
    parser.add_argument("--backbone", default="minilm", help="minilm, or a folder in hub form")
    parser.add_argument("--peer-rate", type=float, default=2e-3, help="PEFT's; ours plans the same")
    parser.add_argument("--peer-head-rate", type=float, default=8e-4, help="of PEFT's head")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager", help="PEFT's")
    medians = compare(parser, SIDES, "benchmarks.lora_throughput")
    if medians is not None:
        show(medians, result_of(medians))


if __name__ == "__main__":
    main()
