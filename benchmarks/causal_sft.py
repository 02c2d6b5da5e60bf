"""LoRA of SmolLM2-135M-Instruct on service dialogues: answer tokens per second and validation nll.

Schema-Guided Dialogue, six files of its dev split: the service's turns are the assistant's, and
only they are learned. A tenth of the dialogues, chosen by a seed, is left out for validation.
Every side takes the very same tokens (the model's own template, cut at `--max-tokens`), the same
rank, rate, schedule, epochs and batches, and LoRA on all linear layers.

PEFT and Trainer run as they come (``ratio_vs_peft``: no setting but those that all share), and at
their best (``ratio_vs_peft_best``): bf16, the frozen weights kept in bf16, and both ways of laying
out a batch, of which the faster one counts: padded and grouped by length, or flat without padding
(`DataCollatorWithFlattening`: on a processor torch's attention then computes a mask over the whole
row).

An answer token is one that the loss looks at; time is that of whole epochs, batching included.
``nll`` is the mean over the answer tokens of the validation dialogues, in nats; ``is_nll_equal``
says whether ours is at most 0.02 above PEFT's.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from benchmarks import ours as side
from benchmarks.building import data_folder
from benchmarks.chat_rows import ChatRow, encode_dialogue
from benchmarks.rounds import compare, folder_option, peak_gib, show
from benchmarks.sets import Turns, read_dialogues, shuffled

FOLDER = "sgd_dev_sample"
NLL_TOLERANCE = 0.02


def load_dialogues(options: argparse.Namespace) -> tuple[list[Turns], list[Turns]]:
    """(train, validation), the latter a tenth."""
    dialogues = read_dialogues(data_folder(options.data, FOLDER))
    dialogues = [dialogues[i] for i in shuffled(len(dialogues), seed=0)]
    if options.rows:
        dialogues = dialogues[: options.rows]
    n_held = max(1, len(dialogues) // 10)
    return dialogues[n_held:], dialogues[:n_held]


def recipe(options: argparse.Namespace, **how: Any) -> Any:
    """What both sides share; *how* the peer is run."""
    from benchmarks.chat_peer import Recipe

    return Recipe(options.epochs, options.batch_size, options.rate, **how)


def load_rows(options: argparse.Namespace) -> tuple[list[ChatRow], list[ChatRow], int]:
    """(train, validation) as the tokens that every side takes, and the id to pad with."""
    from benchmarks.trainer import load_tokenizer

    tokenizer = load_tokenizer(str(side.backbone(options.model).path))
    train, held = (
        [encode_dialogue(tokenizer, turns).cut(options.max_tokens) for turns in part]
        for part in load_dialogues(options)
    )
    return train, held, tokenizer.pad_token_id or 0


def ours(options: argparse.Namespace) -> dict[str, float]:
    """The packed decoder."""
    from benchmarks import chat_ours

    train, held, _ = load_rows(options)
    prepared = chat_ours.prepare(train, side.backbone(options.model), recipe(options))
    side.warm_up(prepared)
    seconds = sum(side.epochs(prepared, options.epochs))
    figures = speeds(train, seconds / options.epochs)
    return figures | {
        "nll": chat_ours.nll(prepared, held),
        "trainable": side.n_trainable(prepared.model),
        "peak_gib": peak_gib(),
    }


def peft(options: argparse.Namespace, **how: bool) -> dict[str, float]:
    """Trainer and PEFT, batches padded."""
    from benchmarks import chat_peer

    train, held, pad_id = load_rows(options)
    given = recipe(options, **how)
    model = chat_peer.load_model(str(side.backbone(options.model).path), given)
    clock = chat_peer.train(model, train, given, pad_id=pad_id)
    figures = speeds(train, sum(clock.epochs_s) / len(clock.epochs_s))
    return figures | {
        "nll": chat_peer.nll(model, held, pad_id=pad_id),
        "trainable": side.n_trainable(model),
        "peak_gib": peak_gib(),
    }


def speeds(rows: list[ChatRow], epoch_s: float) -> dict[str, float]:
    """Tokens per second of an epoch: those of answers, and all."""
    return {
        "answer_tokens_per_s": sum(row.n_answer for row in rows) / epoch_s,
        "tokens_per_s": sum(len(row.input_ids) for row in rows) / epoch_s,
    }


def peft_flat(options: argparse.Namespace) -> dict[str, float]:
    """Trainer and PEFT, batches without padding."""
    return peft(options, is_flat=True)


def peft_as_it_comes(options: argparse.Namespace) -> dict[str, float]:
    """Trainer and PEFT with nothing set that makes them faster."""
    return peft(options, is_plain=True)


PLAIN = "PEFT as it comes"
SIDES = {"ours": ours, PLAIN: peft_as_it_comes, "PEFT, padded": peft, "PEFT, flat": peft_flat}


def result_of(medians: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The figures of the last line; nll is compared with the faster of the peer's best two."""
    mine, plain = medians["ours"], medians[PLAIN]
    peers = [row for name, row in medians.items() if name not in ("ours", PLAIN)]
    peer = max(peers, key=lambda row: row["answer_tokens_per_s"])
    return {
        "ratio_vs_peft": mine["answer_tokens_per_s"] / plain["answer_tokens_per_s"],
        "ratio_vs_peft_best": mine["answer_tokens_per_s"] / peer["answer_tokens_per_s"],
        "is_nll_equal": mine["nll"] <= peer["nll"] + NLL_TOLERANCE,
        "nll": mine["nll"],
        "peft_nll": peer["nll"],
        "answer_tokens_per_s": mine["answer_tokens_per_s"],
        "peft_answer_tokens_per_s": plain["answer_tokens_per_s"],
        "peft_best_answer_tokens_per_s": peer["answer_tokens_per_s"],
        "peft_as_it_comes_nll": plain["nll"],
    }


def main() -> None:
    """Run the sides in turn and print them."""
    parser = folder_option(__doc__, folder=FOLDER)
    parser.add_argument("--model", default="smollm2", help="smollm2, or a folder in hub form")
    parser.add_argument("--rows", type=int, default=0, help="dialogues; 0: all 708")
    parser.add_argument("--epochs", type=int, default=1, help="passes over them")
    parser.add_argument("--batch-size", type=int, default=8, help="dialogues an update")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak rate of both sides")
    parser.add_argument("--max-tokens", type=int, default=512, help="longer dialogues are cut")
    medians = compare(parser, SIDES, "benchmarks.causal_sft")
    if medians is not None:
        show(medians, result_of(medians))


if __name__ == "__main__":
    main()
