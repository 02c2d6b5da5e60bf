"""A bundle of a tiny shop that was really tuned, with the run it came from, in seconds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from tailorbird.records import Example

if TYPE_CHECKING:
    from tailorbird.bundle import Bundle
    from tailorbird.store import Workspace

WORDS = {"hello": ("hello", "hi"), "parcel": ("parcel", "包裹"), "refund": ("refund", "退款")}
FRAMES = ("where is", "my", "please", "give me the", "I want a", "我的", "想查")
TEMPLATES = {
    "hello": {"en": ["Hello! How can I help?"], "zh": ["您好！"]},
    "parcel": {"en": ["Your parcel is on its way."], "zh": ["您的包裹正在路上。"]},
    "refund": {"en": ["The money is back within 5 days."], "zh": ["退款五天内到账。"]},
}


def shop_rows(n: int, seed: int) -> list[Example]:
    """*n* texts of each of the three intents: one of its words between two frames."""
    draw = random.Random(seed)
    return [
        Example(f"{draw.choice(FRAMES)} {draw.choice(choices)} {draw.choice(FRAMES)}", label)
        for _ in range(n)
        for label, choices in WORDS.items()
    ]


def write_shop_bundle(workspace: Workspace, scratch: Path, *, is_live: bool = True) -> Bundle:
    """Tune a tiny encoder on the shop's three words, and bundle it.

    Args:
        workspace: gets the bundle, and the run with its examples.
        scratch: a folder for what is needed on the way.
        is_live: whether it is published.
    """
    from tailorbird.bundle import BundleContents, registry, write_bundle
    from tailorbird.modeling import save_model
    from tailorbird.runs import write_examples
    from tailorbird.testing.tiny import write_tiny_backbone
    from tailorbird.testing.tuned import tuned_model

    folder = write_tiny_backbone(scratch / "backbone")
    train, few = shop_rows(60, 0), shop_rows(8, 1)
    model, settings = tuned_model(folder, sorted(WORDS), train, few)
    save_model(model, scratch / "model", backbone=folder)
    made = workspace.new_run("shop.jsonl")
    write_examples(made, {"train": train, "validation": few})
    contents = BundleContents(
        scratch / "model",
        model.labels,
        TEMPLATES,
        settings.to_json(),
        {"run": {"name": made.name}},
        temperature=1.0,
        threshold=0.0,
    )
    bundle = write_bundle(workspace.bundles_path, contents)
    if is_live:
        registry.publish(workspace, bundle, "a test")
    return bundle
