"""``correct_labels``: a labels file without the doubtful ones.

Nothing of the run or the logs changes: what is corrected is in a file of its own, for a person to
look over, and another build takes it with ``--labels``.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tailorbird.data import load_interactions
from tailorbird.data.labelling import NO_LABEL, label_from_file
from tailorbird.errors import DataError, StoreError
from tailorbird.folding.labels import DOUBTS
from tailorbird.runs import run_settings
from tailorbird.store import Run

Entry = tuple[str, str, str, str]
"""id, label, the label it had, text."""


def correct_labels(
    run: Run, out: Path, *, how: Literal["drop", "relabel"], sure: float = 0.5
) -> dict[str, int]:
    """Write the labels of doubtful rows, corrected, to the CSV file *out*; counts what it did.

    Args:
        run: whose labels were checked.
        out: a new file, which ``tailorbird build --labels`` takes. Where the run had a labels file
            of its own, *out* has the labels of all its rows, so that it stands in for that one.
        how: ``drop`` takes the label of every doubtful row away; ``relabel`` gives it the one that
            the models suggest where they find it likelier than *sure*, and takes it away elsewhere.
        sure: a probability.

    Raises StoreError where labels were not checked or *out* is there already, DataError where the
    rows have no ids that a labels file could name.
    """
    if not (Path(run.path) / DOUBTS).is_file():
        raise StoreError(
            "labels have not been checked", where=f"run {run.name}", cure="tailorbird check-labels"
        )
    if out.exists():
        raise StoreError(
            "is there already, perhaps with corrections of your own",
            where=str(out),
            cure="name another file with --out, or move it away",
        )
    lines = (Path(run.path) / DOUBTS).read_text(encoding="utf-8").splitlines()
    doubts = {row["id"]: row for row in map(json.loads, lines)}
    if "" in doubts:
        raise DataError(
            "its rows have no ids that a labels file could name",
            where=f"run {run.name}",
            cure="mend the rows themselves by doubts.jsonl",
        )
    table: list[Entry] = []
    counts = Counter[str]({"relabelled": 0, "dropped": 0})
    for doubt in doubts.values():
        is_sure = how == "relabel" and doubt["suggested_prob"] > sure
        counts["relabelled" if is_sure else "dropped"] += 1
        label = doubt["suggested"] if is_sure else NO_LABEL
        table.append((doubt["id"], label, doubt["label"], doubt["text"]))
    table += [row for row in _from_before(run) if row[0] not in doubts]
    _write_csv(out, ("id", "label", "was", "text"), table)
    return dict(counts)


def _from_before(run: Run) -> list[Entry]:
    """What the run's own labels file, if it had one, says of its rows, and their other labels."""
    path = run_settings(run).labelling.labels
    if not path:
        return []
    before = list(load_interactions(Path(run.path) / "clean.jsonl"))
    labelled, report = label_from_file(before, path)
    taken = set(report.taken)
    found: list[Entry] = []
    for old, new in zip(before, labelled, strict=True):
        label = NO_LABEL if new.id in taken else new.label
        if label:
            found.append((new.id, label, old.label or "", new.text))
    return found


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows(rows)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
