"""A thousand people's adapters over one MiniLM: processor seconds, memory, accuracy; ours and PEFT.

Each user has eight intents of Banking77, drawn at random for them alone, and eight training rows of
each: 64 rows. Their adapter is LoRA of rank 8 with a head of eight outputs, tuned for three epochs
in batches of 16. Accuracy is measured on all rows of the test split that have one of their intents
(some 40 each), over the same users on both sides.

- *ours*: one call of `tailorbird.jobs.run_jobs` for all users, with LoRA on the layers above
  the lowest `--freeze`. All is counted: loading, tokenising, the states of the frozen layers,
  starting processes, tuning, writing a file of weights for every user.
- *PEFT as it comes*: a fresh backbone, `get_peft_model` and `Trainer.train` for each of
  `--peer-users`, one after another, LoRA on all six layers, the same batches and epochs, and all
  else as Trainer and the model's configuration have it.
- *PEFT, best*: the same, tuned by profiling: bf16 where ours is, batches grouped by length, no
  dropout in the layers, a head with its own rate.
- *PEFT, top*: the best with LoRA on the layers that ours tunes, so that nobody can say that more
  layers were compared with fewer.

Of PEFT only wrapping and training are counted; loading and tokenising are not. What one user takes,
times the number of users, is what all take. Core-seconds are processor time of all threads and
processes, so that the number of cores does not matter. ``ratio_vs_peft``, ``ratio_vs_peft_best``
and ``ratio_vs_peft_top`` are with the three; accuracy is compared with the best. Memory of
several processes is the proportional share of each, added up when it is highest: what they share is
counted once.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import ours as side
from benchmarks.building import data_folder
from benchmarks.rounds import MemoryWatch, compare, folder_option, peak_gib, show
from benchmarks.sets import SETS, Rows
from tailorbird.config import MethodSettings, ModelSettings, Settings, TuningSettings
from tailorbird.hardware import compute_dtype
from tailorbird.jobs import Job, run_jobs
from tailorbird.modeling import adapters, build_model
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.modeling.heads import HEADS
from tailorbird.records import Example

RANK, ALPHA = 8, 16.0
BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class User:
    """One person's rows."""

    name: str
    labels: tuple[str, ...]
    train: Rows
    test: Rows


def users_of(options: argparse.Namespace, n_users: int) -> list[User]:
    """The first *n_users*; each is drawn by a seed of their own, whoever else there is."""
    banking = SETS["banking77"]
    folder = data_folder(options.data, banking.folder)
    train, test = by_label(banking.train(folder)), by_label(banking.test(folder))
    return [user(f"user{k}", train, test, options, seed=k) for k in range(n_users)]


def by_label(rows: Rows) -> dict[str, list[str]]:
    """The texts of each label."""
    found: dict[str, list[str]] = defaultdict(list)
    for text, label in zip(rows.texts, rows.targets, strict=True):
        found[label].append(text)
    return found


def user(
    name: str,
    train: Mapping[str, Sequence[str]],
    test: Mapping[str, Sequence[str]],
    options: argparse.Namespace,
    *,
    seed: int,
) -> User:
    """A user with ``options.intents`` intents and ``options.rows`` rows, as even as may be."""
    draw = random.Random(seed)
    n = options.rows // options.intents
    known = sorted(label for label in train if len(train[label]) >= n)
    labels = tuple(sorted(draw.sample(known, options.intents)))
    mine = [(text, label) for label in labels for text in draw.sample(list(train[label]), n)]
    draw.shuffle(mine)
    held = [(text, label) for label in labels for text in test[label]]
    return User(name, labels, *(Rows(*map(list, zip(*rows, strict=True))) for rows in (mine, held)))


def settings_for(options: argparse.Namespace) -> Settings:
    """LoRA above the frozen layers, all else as planned."""
    return Settings(
        model=ModelSettings(freeze_layers=options.freeze, max_tokens=64),
        method=MethodSettings(name="lora", rank=RANK, alpha=ALPHA),
        tuning=TuningSettings(n_epochs=options.epochs, batch_size=BATCH_SIZE, patience=0),
    )


def core_s() -> float:
    """Processor seconds of this process and of those it has started and seen end."""
    mine = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in mine)


def ours(options: argparse.Namespace) -> dict[str, float]:
    """Everybody's jobs in one call."""
    users, wanted = users_of(options, options.users), settings_for(options)
    pool: list[Example] = []
    jobs: list[Job] = []
    for one in users:
        rows = range(len(pool), len(pool) + len(one.train))
        pool += side.examples(one.train)
        jobs.append(Job(one.name, rows, (), wanted, labels=one.labels))
    folder = side.backbone(options.backbone)
    with tempfile.TemporaryDirectory() as place:
        started_s, before_s = time.perf_counter(), core_s()
        with MemoryWatch() as memory:
            results = list(run_jobs(folder, pool, jobs, Path(place), n_workers=options.workers))
        spent_s, wall_s = core_s() - before_s, time.perf_counter() - started_s
        errors = [result.error for result in results if result.error]
        if errors:
            raise SystemExit(errors[0])
        figures = {
            "core_s_per_user": spent_s / len(users),
            "update_s_per_user": sum(result.train_s for result in results) / len(users),
            "wall_s": wall_s,
            "peak_gib": memory.peak_gib,
        }
        some = users[: options.peer_users]
        return figures | {"accuracy": ours_accuracy(some, Path(place), options)}


def ours_accuracy(users: Sequence[User], place: Path, options: argparse.Namespace) -> float:
    """Mean over *users* of the share of their test rows that is right."""
    model_settings = settings_for(options).model
    model = build_model(side.backbone(options.backbone), ["-"], settings=model_settings)
    shares = []
    for one in users:
        weights = AdapterWeights.load(place / f"{one.name}.safetensors")
        model.backbone.freeze(weights.n_frozen)
        attachment = adapters.attach(model.backbone, weights.settings)
        attachment.load(weights.tensors)
        model.head = HEADS["linear"](model.backbone.width, len(weights.labels), 0.0)
        model.head.load_state_dict(dict(weights.head))
        said = model.logits(one.test.texts).argmax(-1).tolist()
        attachment.detach()
        shares.append(right(said, one))
    return sum(shares) / len(shares)


def right(said: Sequence[int], one: User) -> float:
    """Share of the test rows whose label *said* names."""
    pairs = zip(said, one.test.targets, strict=True)
    n_right = sum(int(one.labels[k] == label) for k, label in pairs)
    return n_right / len(one.test)


def peft_as_it_comes(options: argparse.Namespace) -> dict[str, float]:
    """One user after another, with Trainer's defaults."""
    from transformers import AutoModel

    from benchmarks import peers
    from benchmarks.trainer import load_tokenizer, padded, rows_for, trainer_of

    users = users_of(options, options.peer_users)
    folder = str(side.backbone(options.backbone).path)
    tokenizer = load_tokenizer(folder)
    wanted = {"num_train_epochs": options.epochs, "per_device_train_batch_size": BATCH_SIZE}
    spent_s = 0.0
    for number, one in enumerate([users[0], *users]):  # the first is there to warm up
        targets = [one.labels.index(label) for label in one.train.targets]
        rows = rows_for(tokenizer, one.train.texts, targets)
        backbone = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        before_s = core_s()
        adapted = peers.with_lora(backbone, rank=RANK, alpha=ALPHA)
        model = peers.MeanPooled(adapted, len(one.labels))
        with tempfile.TemporaryDirectory() as place:
            trainer_of(model, padded(tokenizer), rows, wanted | {"output_dir": place}).train()
        if number:
            spent_s += core_s() - before_s
    return {"core_s_per_user": spent_s / len(users), "peak_gib": peak_gib()}


def peft_best(options: argparse.Namespace, *, above: int = 0) -> dict[str, float]:
    """One user after another, LoRA above the lowest *above* layers."""
    from benchmarks import peers
    from benchmarks.trainer import load_tokenizer, padded, rows_for

    users = users_of(options, options.peer_users)
    folder = str(side.backbone(options.backbone).path)
    tokenizer = load_tokenizer(folder)
    collate = padded(tokenizer)
    how = peers.PeerFit(
        options.epochs,
        options.peer_rate,
        options.peer_head_rate,
        batch_size=BATCH_SIZE,
        bf16=compute_dtype()[0] == torch.bfloat16,
    )
    spent_s, shares = 0.0, []
    for number, one in enumerate([users[0], *users]):  # the first is there to warm up
        train, test = (
            rows_for(tokenizer, part.texts, [one.labels.index(label) for label in part.targets])
            for part in (one.train, one.test)
        )
        peers.seed(how.seed)
        backbone = peers.load_backbone(folder, attention=options.attention)
        before_s = core_s()
        adapted = peers.with_lora(backbone, rank=RANK, alpha=ALPHA, above=above)
        model = peers.MeanPooled(adapted, len(one.labels))
        peers.fit(model, collate, train, how)
        if number == 0:
            continue
        spent_s += core_s() - before_s
        shares.append(peers.accuracy(model, collate, test, bf16=how.bf16))
    return {
        "core_s_per_user": spent_s / len(users),
        "accuracy": sum(shares) / len(shares),
        "peak_gib": peak_gib(),
    }


def peft_top(options: argparse.Namespace) -> dict[str, float]:
    """PEFT on the layers that ours tunes."""
    return peft_best(options, above=options.freeze)


SIDES = {
    "ours": ours,
    "PEFT as it comes": peft_as_it_comes,
    "PEFT, best": peft_best,
    "PEFT, top": peft_top,
}


def result_of(
    medians: Mapping[str, Mapping[str, float]], options: argparse.Namespace
) -> dict[str, Any]:
    """The figures of the last line."""
    mine, plain = medians["ours"], medians["PEFT as it comes"]
    best, top = medians["PEFT, best"], medians["PEFT, top"]
    each = mine["core_s_per_user"]
    return {
        "benchmark": "many_adapters",
        "n_users": options.users,
        "n_peer_users": options.peer_users,
        "ratio_vs_peft": plain["core_s_per_user"] / each,
        "ratio_vs_peft_best": best["core_s_per_user"] / each,
        "ratio_vs_peft_top": top["core_s_per_user"] / each,
        "core_s": each * options.users,
        "core_s_peft": plain["core_s_per_user"] * options.users,
        "wall_s": mine["wall_s"],
        "peak_gib": mine["peak_gib"],
        "accuracy": mine["accuracy"],
        "accuracy_peft": best["accuracy"],
        "accuracy_peft_top": top["accuracy"],
        "gap_points": 100 * (best["accuracy"] - mine["accuracy"]),
    }


def main() -> None:
    """Run the sides in turn and print them."""
    parser = folder_option(__doc__, folder=SETS["banking77"].folder)
    parser.add_argument("--users", type=int, default=1000, help="ours")
    parser.add_argument("--peer-users", type=int, default=8, help="PEFT's; accuracy is of these")
    parser.add_argument("--rows", type=int, default=64, help="training rows of a user")
    parser.add_argument("--intents", type=int, default=8, help="intents of a user")
    parser.add_argument("--epochs", type=int, default=3, help="passes over a user's rows")
    parser.add_argument(
        "--freeze", type=int, default=5, help="lowest layers that ours leaves alone"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: as many as pay")
    parser.add_argument("--backbone", default="minilm", help="minilm, or a folder in hub form")
    parser.add_argument("--peer-rate", type=float, default=2e-3, help="PEFT's")
    parser.add_argument("--peer-head-rate", type=float, default=8e-3, help="of PEFT's head")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager", help="PEFT's")
    medians = compare(parser, SIDES, "benchmarks.many_adapters")
    if medians is not None:
        show(medians, result_of(medians, parser.parse_args()))


if __name__ == "__main__":
    main()
