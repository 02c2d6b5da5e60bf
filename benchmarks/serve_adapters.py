"""Serving users' adapters: 256 users mixed in each batch against the plain assistant.

MiniLM with a head of Banking77's 77 intents is the plain assistant. Each of ``--users`` users has
LoRA of rank 8 on all linear layers of the top half (``--frozen`` for another number of untouched
layers) and a head of their own, random ones: what is timed does not depend on the numbers. Models
compute where those of the service do, in a process of their own.

- ``fraction_of_plain``: texts per second of batches whose texts are each another user's, over
  those of the same batches without users; from texts to predictions, tokenising included. Both take
  turns, batch by batch, in one process; each batch draws its users anew from those in memory
  (``--resident``). It is the ratio of the medians.
- ``add_10000th_ms``, ``get_ms``, ``switch_ms``: adding the last users, reading random ones out of
  the mapped files (checked), and making them ready in memory; medians, in the store of all users.
- ``p99_miss_over_hit``: requests of one text, one after another through the engine: the 99th
  percentile of those whose adapter is not in memory, over that of those whose is; in turn,
  ``--block`` requests each.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import ours as side
from benchmarks.rounds import SCREEN, folder_option, peak_gib, show
from benchmarks.sets import SETS, load_set
from tailorbird.apart import open_process
from tailorbird.bundle import AdapterStore, BundleContents, load_bundle, write_bundle
from tailorbird.bundle.personal import PersonalBundle
from tailorbird.config import MethodSettings, ModelSettings, ServingSettings
from tailorbird.modeling import adapters, build_model, save_model
from tailorbird.modeling.adapters.weights import AdapterWeights, trunk_hash
from tailorbird.serving import PredictionEngine

N_LAST = 100
"""Adds and reads that are timed."""


def built(options: argparse.Namespace, folder: Path) -> tuple[Any, list[str], AdapterWeights]:
    """The plain assistant, texts to ask it, and the adapter that all users' are made from."""
    train, _, test = load_set("banking77", options.data)
    torch.manual_seed(0)
    backbone = side.backbone(options.backbone)
    model = build_model(backbone, sorted(set(train.targets)), settings=ModelSettings())
    save_model(model, folder / "model", backbone=backbone.path)
    contents = BundleContents(folder / "model", model.labels, {}, {}, {}, 1.0, 0.5)
    bundle = load_bundle(write_bundle(folder / "bundles", contents).path)
    trunk = trunk_hash(model.backbone)
    n_layers = model.backbone.n_layers
    n_frozen = n_layers // 2 if options.frozen < 0 else options.frozen
    settings = MethodSettings(name="lora", rank=options.rank)
    model.backbone.freeze(n_frozen)
    attachment = adapters.attach(model.backbone, settings)
    tensors = {name: torch.randn_like(t) * 0.02 for name, t in attachment.tensors().items()}
    head = {name: tensor.detach().clone() for name, tensor in model.head.state_dict().items()}
    weights = AdapterWeights(settings, n_frozen, tensors, head, model.labels, trunk)
    return bundle, test.texts, weights


def of_user(one: AdapterWeights, number: int) -> AdapterWeights:
    """Another user's adapter, of the same size."""
    tensors = {name: tensor * (1 + number / 2**20) for name, tensor in one.tensors.items()}
    head = {name: tensor + number / 2**20 for name, tensor in one.head.items()}
    return AdapterWeights(one.settings, one.n_frozen, tensors, head, one.labels, one.trunk)


def ms(function: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start)


def fill(store: AdapterStore, one: AdapterWeights, n_users: int) -> dict[str, float]:
    """Add all users; the times of the last ones."""
    times: list[float] = []
    for number in range(n_users):
        weights = of_user(one, number)
        times.append(ms(lambda: store.add(str(number), weights)))  # noqa: B023
        if number % 1000 == 999:
            last = statistics.median(times[-N_LAST:])
            SCREEN.print(f"{number + 1:,} users, {last:.2f} ms each", markup=False)
    flush_ms = ms(store.flush)
    last_ms = sorted(times[-N_LAST:])
    return {
        "add_10000th_ms": statistics.median(last_ms),
        "add_max_ms": last_ms[-1],
        "flush_ms": flush_ms,
        "adapter_kb": one.n_bytes / 1000,
    }


def read(personal: PersonalBundle, n_users: int) -> dict[str, float]:
    """Times of reading random users and of making them ready."""
    store, draw = personal.adapters.store, random.Random(1)
    get_ms, switch_ms = [], []
    for _ in range(N_LAST):
        user = str(draw.randrange(n_users))
        get_ms.append(ms(lambda: store.get(user)))  # noqa: B023
        other = str(draw.randrange(n_users))
        switch_ms.append(ms(lambda: personal.adapters._entry(other)))  # noqa: B023
    return {"get_ms": statistics.median(get_ms), "switch_ms": statistics.median(switch_ms)}


def load(personal: PersonalBundle, users: Sequence[str]) -> None:
    """Have *users* in memory."""
    for user in users:
        personal.adapter_of(user)
    personal.adapters.wait()
    missing = [user for user in users if personal.adapter_of(user) is None]
    assert not missing, f"{len(missing)} users are not in memory"


def throughput(
    personal: PersonalBundle, texts: Sequence[str], options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Texts per second of the plain assistant and of batches of users, medians of the batches."""
    resident = [str(number) for number in range(min(options.resident, options.users))]
    load(personal, resident)
    draw = random.Random(0)
    times: dict[str, list[float]] = {"plain": [], "mixed": []}
    for number in range(options.batches + 2):
        batch = draw.choices(texts, k=options.mixed)
        drawn = draw.sample(resident, min(options.mixed, len(resident)))
        users = (drawn * options.mixed)[: options.mixed]
        ready = [personal.adapter_of(user) for user in users]
        sides: dict[str, Callable[[], object]] = {
            "plain": lambda: personal.predict(batch),  # noqa: B023
            "mixed": lambda: personal.predict_with(batch, ready),  # noqa: B023
        }
        for name in list(sides)[:: 1 if number % 2 else -1]:
            spent_ms = ms(sides[name])
            if number >= 2:  # the first ones allocate
                times[name].append(spent_ms)
    medians = {name: statistics.median(found) for name, found in times.items()}
    return {
        name: {"texts_per_s": 1000 * options.mixed / batch_ms, "batch_ms": batch_ms}
        for name, batch_ms in medians.items()
    }


async def latencies(
    personal: PersonalBundle, texts: Sequence[str], options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Milliseconds of requests of one text whose adapter is in memory, and is not."""
    draw = random.Random(2)
    found: dict[str, list[float]] = {"hit": [], "miss": []}
    hits = [str(number) for number in range(min(64, options.resident, options.users))]
    misses = iter(range(min(options.resident, options.users), options.users))
    async with PredictionEngine(personal, ServingSettings()) as engine:
        while len(found["miss"]) < options.requests:
            load(personal, hits)
            block = [next(misses, None) for _ in range(options.block)]
            if None in block:
                break
            for name, users in (("hit", draw.choices(hits, k=options.block)), ("miss", block)):
                for user in users:
                    text = draw.choice(texts)
                    start = time.perf_counter()
                    answer = await engine.answer([text], users=[str(user)])
                    found[name].append(1000 * (time.perf_counter() - start))
                    assert bool(answer.adapters) == (name == "hit"), (name, user)
            await asyncio.to_thread(personal.adapters.wait)
    return {
        name: {
            "p50_ms": statistics.median(times),
            "p99_ms": sorted(times)[int(0.99 * (len(times) - 1))],
        }
        for name, times in found.items()
        if times
    }


def main() -> None:
    """Fill a store, serve from it, print."""
    parser = folder_option(__doc__, folder=SETS["banking77"].folder)
    parser.add_argument("--users", type=int, default=10_000, help="how many are registered")
    parser.add_argument("--resident", type=int, default=512, help="how many are in memory")
    parser.add_argument("--mixed", type=int, default=256, help="texts of a batch, a user each")
    parser.add_argument("--batches", type=int, default=40, help="of each side")
    parser.add_argument("--requests", type=int, default=500, help="of each kind, one text each")
    parser.add_argument("--block", type=int, default=50, help="requests of a kind at a time")
    parser.add_argument("--rank", type=int, default=8, help="of LoRA")
    parser.add_argument("--frozen", type=int, default=-1, help="lower layers left; -1: half")
    parser.add_argument("--backbone", default="minilm", help="minilm, or a folder in hub form")
    parser.add_argument("--folder", type=Path, help="where the store is made; empty: temporary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        bundle, texts, one = built(options, Path(name))
        store = AdapterStore(Path(name) / "adapters")
        filled = fill(store, one, options.users)
        process = open_process("on")
        assert process is not None
        personal = PersonalBundle(bundle, store, 4 * 10**9).apart_in(process)
        os.sync()  # gigabytes on their way to the disk would be in the way of all that follows
        gc.collect()
        gc.freeze()  # as the service does, before it answers
        stored = filled | read(personal, options.users)
        sides = throughput(personal, texts, options)
        asked = asyncio.run(latencies(personal, texts, options))
        held_gib = peak_gib() + peak_gib(process.pid)
        personal.close()
        process.close()
    result: dict[str, Any] = {
        "fraction_of_plain": sides["mixed"]["texts_per_s"] / sides["plain"]["texts_per_s"],
        "p99_miss_over_hit": asked["miss"]["p99_ms"] / asked["hit"]["p99_ms"],
        **stored,
        "plain_texts_per_s": sides["plain"]["texts_per_s"],
        "mixed_texts_per_s": sides["mixed"]["texts_per_s"],
        "n_users": options.users,
        "peak_gib": held_gib,
    }
    show({**sides, **asked, "store": stored}, result)


if __name__ == "__main__":
    main()
