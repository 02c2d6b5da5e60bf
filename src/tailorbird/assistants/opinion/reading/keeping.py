"""Readers in the workspace: one checksummed folder each, and which one is in use.

opinion/
  live.json            {"id": …, "before": [ids, the newest first]}
  4f1c…/               a reader; its name is the hash of its files
    manifest.json  reader.json  distance.safetensors  model/
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tailorbird.assistants.opinion.reading.calibrating import (
    MIN_ROWS,
    TopicDistance,
    temperature_of_class,
    temperature_of_labels,
)
from tailorbird.assistants.opinion.reading.reader import Heads, Reader, load_to_read
from tailorbird.assistants.opinion.reading.windows import OPEN
from tailorbird.bundle.manifest import (
    NAME,
    Manifest,
    check_files,
    entry_of,
    files_in,
    read_manifest,
)
from tailorbird.bundle.writing import settle, staging_folder
from tailorbird.errors import BundleError, CorruptBundleError, NotFoundError
from tailorbird.records import Example
from tailorbird.store import Workspace, files

if TYPE_CHECKING:
    from tailorbird.modeling import TextModel

FOLDER, LIVE = "opinion", "live.json"
FACTS, DISTANCE, MODEL = "reader.json", "distance.safetensors", "model"
MAX_ROWS = 4000
"""Training rows with a topic that the distance from topics is fitted on."""

Say = Callable[[str], None]


def write_reader(
    workspace: Workspace,
    model_folder: Path,
    train: Sequence[Example],
    validation: Sequence[Example],
    *,
    computes_in: str = "auto",
    say: Say = lambda _: None,
) -> Reader:
    """Calibrate a tuned model of the task ``joint``, keep it, and put it into use.

    It is calibrated in the type that it will read in, so that what is read is what was judged.

    Args:
        workspace: where it is kept.
        model_folder: written by `save_model`, as the ``model`` of a run.
        train: rows it was tuned on; the middles of topics are theirs.
        validation: rows it was not tuned on; both heads are calibrated on them.
        computes_in: type of the products, float32 or bfloat16; auto: what is quickest here, as
            tuning chooses it.
        say: is told what was fitted.

    Raises BundleError where the model is of another task, or the disk is full.
    """
    from safetensors.numpy import save_file

    from tailorbird.hardware import compute_dtype

    dtype, reason = compute_dtype(computes_in)
    say(reason)
    model = load_to_read(model_folder, dtype)
    if model.spec.task != "joint":
        raise BundleError(
            f"is a model of the task {model.spec.task}, not of joint",
            where=str(model_folder),
            cure="tune one with: tailorbird opinion tune ROWS",
        )
    heads = calibrated(model, train, validation, say=say)
    distance = distance_from_topics(model, train, validation)
    with staging_folder(workspace.path / FOLDER) as staging:
        shutil.copytree(model_folder, staging / MODEL)
        facts = files.to_json_bytes(asdict(heads), where=FACTS)
        (staging / FACTS).write_bytes(facts)
        if distance is not None:
            save_file(distance.tensors(), staging / DISTANCE)
        manifest = Manifest({name: entry_of(staging / name) for name in files_in(staging)})
        (staging / NAME).write_bytes(manifest.to_bytes())
        target = settle(staging, workspace.path / FOLDER / manifest.id)
    use_reader(workspace, manifest.id)
    return Reader(target / MODEL, name=manifest.id, heads=heads, distance=distance)


def open_reader(workspace: Workspace) -> Reader | None:
    """The reader in use; None where there is none yet.

    Every file is compared with the manifest. Raises CorruptBundleError where one differs.
    """
    live = _live(workspace)
    return load_reader(workspace.path / FOLDER / live["id"]) if live["id"] else None


def load_reader(folder: Path) -> Reader:
    """The reader in *folder*, after comparing every file with its manifest.

    Raises CorruptBundleError that names the file which is missing, extra or altered.
    """
    from safetensors.numpy import load_file

    manifest = read_manifest(folder)
    check_files(folder, manifest)
    try:
        heads = Heads(**json.loads((folder / FACTS).read_text(encoding="utf-8")))
        has_distance = DISTANCE in manifest.files
        distance = TopicDistance.of_tensors(load_file(folder / DISTANCE)) if has_distance else None
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise CorruptBundleError(
            f"does not hold what it should ({error})", where=str(folder), cure="tune it again"
        ) from error
    return Reader(folder / MODEL, name=manifest.id, heads=heads, distance=distance)


def use_reader(workspace: Workspace, reader: str) -> None:
    """Put *reader*, named by its id, into use, a new one or one from before.

    Raises NotFoundError where there is no such reader.
    """
    if not (workspace.path / FOLDER / reader / NAME).is_file():
        raise NotFoundError(
            f"there is no reader {reader!r}",
            where=str(workspace.path / FOLDER),
            cure="its id is the name of a folder there",
        )
    live = _live(workspace)
    if live["id"] == reader:
        return
    before = [one for one in (live["id"], *live["before"]) if one and one != reader]
    path = workspace.path / FOLDER / LIVE
    content = files.to_json_bytes({"id": reader, "before": before}, where=str(path))
    files.write_atomically(path, content)


def _live(workspace: Workspace) -> dict[str, Any]:
    path = workspace.path / FOLDER / LIVE
    if not path.is_file():
        return {"id": "", "before": []}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"id": str(found["id"]), "before": [str(one) for one in found["before"]]}
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptBundleError(
            f"does not name a reader ({error})",
            where=str(path),
            cure='write {"id": FOLDER, "before": []} with the name of a folder beside it',
        ) from error


def calibrated(
    model: TextModel,
    train: Sequence[Example],
    validation: Sequence[Example],
    *,
    say: Say = lambda _: None,
) -> Heads:
    """A temperature for each head, by the validation rows that know its part."""
    from tailorbird.tuning.tasks import encode_examples
    from tailorbird.tuning.tasks.joint import Parts

    n_topics = len(Parts.of(model.labels).many)
    topic = sentiment = 1.0
    if validation:
        encoded = encode_examples(model, validation)
        outputs, targets = model.logits(encoded.tokens).numpy(), encoded.targets.numpy()
        has_topics = (targets[:, :n_topics] >= 0).all(1)
        has_one = targets[:, n_topics] >= 0
        topic = temperature_of_labels(
            outputs[has_topics, :n_topics], targets[has_topics, :n_topics]
        )
        sentiment = temperature_of_class(outputs[has_one, n_topics:], targets[has_one, n_topics])
        for name, rows, value in (
            ("topics", has_topics, topic),
            ("sentiment", has_one, sentiment),
        ):
            few = f", fewer than {MIN_ROWS}: left at 1" if rows.sum() < MIN_ROWS else ""
            say(f"temperature of {name}: {value:.3f} ({int(rows.sum()):,} validation rows{few})")
    marks = any(OPEN in example.text and "labels" in example.lacks for example in train)
    return Heads(topic, sentiment, marks, str(model.backbone.compute_dtype).removeprefix("torch."))


def distance_from_topics(
    model: TextModel, train: Sequence[Example], validation: Sequence[Example]
) -> TopicDistance | None:
    """How far texts are from the topics of the training rows; None where no row has a topic."""
    from tailorbird.tuning.tasks.joint import Parts

    place = {name: k for k, name in enumerate(Parts.of(model.labels).many)}
    known = [example for example in train if example.labels]
    step = max(1, len(known) // MAX_ROWS)
    known = known[::step]
    if not known:
        return None
    held = [example.text for example in validation if example.labels]
    _, states = model.outputs([example.text for example in known])
    away = model.outputs(held)[1].numpy() if held else np.empty((0, *states.shape[1:]), np.float32)
    topics = [[place[name] for name in example.labels] for example in known]
    return TopicDistance.fit(states.numpy(), topics, away)
