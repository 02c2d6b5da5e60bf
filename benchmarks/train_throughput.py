"""Full fine-tuning of MiniLM on Banking77: real tokens per second, ours and Trainer's.

Every side goes once over the same rows, 3,200 drawn by a seed from the training split (`--rows`):
50 batches of 64, one whole mega-batch of Trainer's length-grouped order. A part of that order
would not do: within a mega-batch the longest texts come first, and they need the least padding.

The clock of every side runs from before the first batch is fetched to after the last update:
batching, padding or packing, and the updates are counted; loading, tokenising and three updates to
warm up are not. Padding never counts as tokens.

Trainer as it comes (batch 16, fp32); at its best by its own options: bf16, batches of 64 as ours,
grouped by length; and *tuned* by somebody who profiled it here: the same without dropout in the
layers (we have none either) and with the attention that is faster on short texts (`--attention`).

``fraction_of_bf16_peak`` is what our step does of the largest product that this machine was seen
to do in bf16: 6 operations a token and weight of the layers, 2 of them forward.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from benchmarks import ours as side
from benchmarks.building import data_folder
from benchmarks.rounds import compare, folder_option, show
from benchmarks.sets import SETS, Rows, shuffled
from tailorbird.config import ModelSettings, Settings, TuningSettings

N_ROWS = 3200


def load_rows(options: argparse.Namespace) -> tuple[Rows, list[str]]:
    """The span that every side goes over, and all labels."""
    rows = SETS["banking77"].train(data_folder(options.data, "banking77"))
    span = shuffled(len(rows), seed=0)[: options.rows]
    return rows.take(span), sorted(set(rows.targets))


def ours(options: argparse.Namespace) -> dict[str, float]:
    """Our loop's updates, with our defaults."""
    rows, labels = load_rows(options)
    # The plan's own batch for all 10,003 rows; for so few it would take a smaller one.
    settings = Settings(
        model=ModelSettings(init_head="random"), tuning=TuningSettings(batch_size=64)
    )
    prepared = side.prepare(rows, labels, side.backbone(options.backbone), settings)
    side.warm_up(prepared)
    peak = side.largest_product()
    speed = side.n_tokens(prepared.train) / side.epoch_s(prepared)
    peak = max(peak, side.largest_product())
    n_weights = side.n_layer_weights(prepared.model)
    return {
        "tokens_per_s": speed,
        "gflop_per_s": 6e-9 * n_weights * speed,
        "bf16_peak_gflop_per_s": peak,
        "fraction_of_bf16_peak": 6e-9 * n_weights * speed / peak,
    }


def trainer(
    options: argparse.Namespace, config: dict[str, Any], **settings: Any
) -> dict[str, float]:
    """Trainer with *settings*, its model with *config*."""
    from benchmarks import trainer as peer

    rows, labels = load_rows(options)
    folder = str(side.backbone(options.backbone).path)
    tokenizer = peer.load_tokenizer(folder)
    model = peer.load_peer(folder, len(labels), **config)
    encoded = peer.rows_for(tokenizer, rows.texts, [labels.index(label) for label in rows.targets])
    seconds = peer.seconds_of_epoch(model, peer.padded(tokenizer), encoded, seed=0, **settings)
    return {"tokens_per_s": peer.n_tokens(encoded) / seconds}


def trainer_grouped(options: argparse.Namespace) -> dict[str, float]:
    """Trainer with our batches and number format, its model as it comes."""
    from benchmarks.trainer import BEST

    return trainer(options, {}, **BEST)


def trainer_tuned(options: argparse.Namespace) -> dict[str, float]:
    """Trainer with everything that made it faster here."""
    from benchmarks.trainer import BEST, NO_DROPOUT

    return trainer(options, NO_DROPOUT | {"attn_implementation": options.attention}, **BEST)


def trainer_as_it_comes(options: argparse.Namespace) -> dict[str, float]:
    """Trainer with the batch size of its examples and nothing else."""
    return trainer(options, {}, per_device_train_batch_size=16)


SIDES = {
    "ours": ours,
    "Trainer as it comes": trainer_as_it_comes,
    "Trainer, bf16 grouped": trainer_grouped,
    "Trainer, tuned": trainer_tuned,
}


def result_of(medians: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The figures of the last line; Trainer's best is that of its options, *tuned* goes further."""
    speed = {name: row["tokens_per_s"] for name, row in medians.items()}
    return {
        "ratio_vs_trainer": speed["ours"] / speed["Trainer as it comes"],
        "ratio_vs_trainer_best": speed["ours"] / speed["Trainer, bf16 grouped"],
        "ratio_vs_trainer_tuned": speed["ours"] / speed["Trainer, tuned"],
        "fraction_of_bf16_peak": medians["ours"]["fraction_of_bf16_peak"],
        "tokens_per_s": speed["ours"],
        "trainer_tokens_per_s": speed["Trainer as it comes"],
        "trainer_grouped_tokens_per_s": speed["Trainer, bf16 grouped"],
        "trainer_tuned_tokens_per_s": speed["Trainer, tuned"],
    }


def main() -> None:
    """Run the sides in turn and print them."""
    parser = folder_option(__doc__, folder="banking77")
    parser.add_argument("--rows", type=int, default=N_ROWS, help="rows that every side goes over")
    parser.add_argument("--backbone", default="minilm", help="minilm, or a folder in hub form")
    parser.add_argument(
        "--attention", choices=("eager", "sdpa"), default="eager", help="of Trainer, tuned"
    )
    medians = compare(parser, SIDES, "benchmarks.train_throughput")
    if medians is not None:
        show(medians, result_of(medians))


if __name__ == "__main__":
    main()
