"""A tagger of colours that was really tuned, in seconds."""

from __future__ import annotations

import random
from pathlib import Path

from tailorbird.records import Example, Span

COLOURS = ("red", "blue", "green", "pink")
FRAMES = (("where is the", "parcel"), ("I want a", "shirt"), ("my", "package is late"))


def colour_rows(n: int, seed: int, label: str) -> list[Example]:
    """*n* texts, two of three with a colour, which is marked as *label*."""
    draw = random.Random(seed)
    made = []
    for _ in range(n):
        before, after = draw.choice(FRAMES)
        colour = draw.choice((*COLOURS, "", ""))
        start = len(before) + 1
        spans = (Span(start, start + len(colour), label),) if colour else ()
        made.append(Example(" ".join(filter(None, (before, colour, after))), spans=spans))
    return made


def write_colour_tagger(folder: Path, backbone: Path, *, label: str) -> Path:
    """What ``tailorbird fit --task token_classification`` leaves: a folder with a model.

    Args:
        folder: of the run, returned; made if missing.
        backbone: the folder of a tiny encoder, which is tuned.
        label: what the colours red, blue, green and pink are marked as.
    """
    from tailorbird.modeling import save_model
    from tailorbird.testing.tuned import tuned_model
    from tailorbird.tuning.tasks import find_task

    task, train = find_task("token_classification"), colour_rows(140, 0, label)
    few = colour_rows(20, 1, label)
    model, _ = tuned_model(backbone, task.labels(train), train, few, spec=task.spec, n_epochs=6)
    save_model(model, folder / "model", backbone=backbone)
    return folder
