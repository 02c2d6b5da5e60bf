"""Posts a second, from a source to what is watched; and the same backbone in a pipeline.

- ours: headlines are taken in (personal data masked, near-duplicates found, written to disk), read
  (topics, sentiment, sentiment towards every name that is known), and counted into the series that
  the watch judges; one process, all on disk at the end. The reader has `--topics` topics and three
  sentiments over the backbone; it is not tuned, which timing does not depend on. It reads in the
  type that tuning would choose on this machine, or in that of `--dtype`.
- pipeline: ``transformers.pipeline("text-classification")`` with the same backbone, one text after
  another as it comes, and in batches of 32: sentiment alone, nothing is kept.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import torch

from benchmarks import ours as side
from benchmarks.rounds import compare, folder_option, peak_gib, show
from benchmarks.surges_data import guardian_titles
from tailorbird.assistants.opinion.gathering import EntityTable, Intake
from tailorbird.assistants.opinion.gathering.items import Item
from tailorbird.assistants.opinion.reading import Judge, write_reader
from tailorbird.assistants.opinion.watching import Watcher, WatchSettings
from tailorbird.config import ModelSettings
from tailorbird.modeling import build_model, save_model
from tailorbird.records import Example
from tailorbird.store import Workspace
from tailorbird.tuning.tasks import find_task

SET = "finance_headlines_timed"
SENTIMENTS = ("negative", "neutral", "positive")
NAMES = ("Apple", "Tesco", "Boeing", "Ryanair", "Barclays", "Facebook", "Amazon", "Google", "HSBC")
START = datetime(2026, 1, 5, tzinfo=UTC)
BATCH = 32
FIRST = "The market opens a little higher, and hardly moves for the rest of the day"
"""Taken and read before the clock starts."""


def texts_of(options: argparse.Namespace) -> list[str]:
    """The first different headlines."""
    folder = options.data if options.data.name == SET else options.data / SET
    return list(dict.fromkeys(guardian_titles(folder)))[: options.rows]


def ours(options: argparse.Namespace) -> dict[str, float]:
    """Taken in, read and watched."""
    texts = texts_of(options)
    with tempfile.TemporaryDirectory(prefix="tailorbird-") as name:
        folder = Path(name)
        with Workspace.open(folder / "space") as workspace:
            model = _model(options, folder)
            reads = write_reader(workspace, model, (), (), computes_in=options.dtype)
            entities = EntityTable(workspace)
            for one in NAMES:
                entities.add(one)
            reads.read(texts[:BATCH])
            end = START + timedelta(minutes=len(texts))
            intake = Intake(workspace, clock=lambda: end)
            times = (START + timedelta(minutes=k) for k in range(len(texts)))
            items = [
                Item(id=str(k), title="", text=text, url="", time=at)
                for k, (text, at) in enumerate(zip(texts, times, strict=True))
            ]
            # What the first post loads is loaded before the clock starts, as in the pipelines.
            intake.take("warm", [Item(id="", text=FIRST, time=START)])
            Judge(workspace, reads, entities).judge_waiting()
            started_s = time.perf_counter()
            taken = intake.take("paper", items)
            taken_s = time.perf_counter()
            judge = Judge(workspace, reads, entities)
            n_read = 0
            while n := judge.judge_waiting():
                n_read += n
            read_s = time.perf_counter()
            Watcher(workspace, WatchSettings(), clock=lambda: end).look()
            done_s = time.perf_counter()
            assert taken.n_new == len(texts)
            assert n_read == taken.n_new - taken.n_copies
    return {
        "docs_per_s": len(texts) / (done_s - started_s),
        "take_s": taken_s - started_s,
        "read_s": read_s - taken_s,
        "watch_s": done_s - read_s,
        "peak_gib": peak_gib(),
    }


def _model(options: argparse.Namespace, folder: Path) -> Path:
    """A model of the task joint."""
    task, backbone = find_task("joint"), side.backbone(options.backbone)
    topics = tuple(f"topic {k}" for k in range(options.topics))
    labels = task.labels([Example("", one, labels=topics) for one in SENTIMENTS])
    model = build_model(
        backbone, labels, settings=ModelSettings(), spec=task.spec, max_tokens=options.tokens
    )
    save_model(model.eval(), folder / "model", backbone=backbone.path)
    return folder / "model"


def pipeline(options: argparse.Namespace, *, batch_size: int = 1) -> dict[str, float]:
    """One text after another, or some at once."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers import pipeline as make

    texts = texts_of(options)
    path = str(side.backbone(options.backbone).path)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(SENTIMENTS))
    told = {"truncation": True, "max_length": options.tokens, "batch_size": batch_size}
    tokenizer = AutoTokenizer.from_pretrained(path)
    classify = make("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    classify(texts[:BATCH], **told)
    started_s = time.perf_counter()
    assert len(classify(texts, **told)) == len(texts)
    return {
        "docs_per_s": len(texts) / (time.perf_counter() - started_s),
        "peak_gib": peak_gib(),
    }


def in_batches(options: argparse.Namespace) -> dict[str, float]:
    """The same, 32 at once."""
    return pipeline(options, batch_size=BATCH)


SIDES: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    "ours": ours,
    "pipeline": pipeline,
    "pipeline, batches": in_batches,
}


def main() -> None:
    """Run the sides in turn and print them."""
    parser = folder_option(__doc__, folder=SET)
    parser.add_argument("--rows", type=int, default=2_000, help="headlines")
    parser.add_argument("--topics", type=int, default=10, help="of the reader")
    parser.add_argument("--tokens", type=int, default=128, help="longer texts are cut here")
    parser.add_argument("--dtype", default="auto", help="auto, float32 or bfloat16: of ours")
    parser.add_argument("--backbone", default="minilm", help="minilm, e5, or a folder")
    medians = compare(parser, SIDES, "benchmarks.opinion_throughput")
    if medians is None:
        return
    mine = medians["ours"]["docs_per_s"]
    ratios = {
        "docs_per_s": mine,
        "ratio_vs_pipeline": mine / medians["pipeline"]["docs_per_s"],
        "ratio_vs_pipeline_batches": mine / medians["pipeline, batches"]["docs_per_s"],
    }
    show(medians, {"benchmark": "opinion_throughput", **ratios})


if __name__ == "__main__":
    main()
