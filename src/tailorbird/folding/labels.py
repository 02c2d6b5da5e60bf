"""``check_labels``: rows whose label is doubtful; ``correct_labels``: a labels file without them.

Each row is judged by models that were not trained on it. Nothing of the run or the logs changes: a
corrected file is a file of its own, which another build takes with ``--labels``.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tailorbird.config import Settings
from tailorbird.data.labelling import NO_LABEL
from tailorbird.errors import DataError, StoreError
from tailorbird.evaluation.doubt_page import write_doubt_page
from tailorbird.evaluation.doubts import Doubt, calibrated, find_doubts
from tailorbird.folding.members import Members, Say, prepare
from tailorbird.runs import load_examples, run_settings
from tailorbird.store import Run, Workspace
from tailorbird.tuning.folds import can_be_judged, left_out

DOUBTS, PAGE, SUMMARY = "doubts.jsonl", "doubts.html", "doubts.json"
N_TOLD = 5
"""Labels with the most doubts that are told in a sentence each."""


def check_labels(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    *,
    n_folds: int = 5,
    n_seeds: int = 1,
    how: str = "prune_by_class",
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Find training and validation rows whose label is doubtful; the test split stays closed.

    Leaves ``doubts.jsonl`` (a row each, worst first), ``doubts.html`` and ``doubts.json`` (how
    many, and why). Folds that were tuned before, by this or by `fold`, are not tuned again. None
    where *stop* ended it: another call goes on.
    """
    members = prepare(
        run, workspace, settings, n_folds=n_folds, n_seeds=n_seeds, say=say, stop=stop
    )
    if members is None:
        return None
    results = members.tune(members.plan.fold_jobs(members.settings), say=say, stop=stop)
    if results is None:
        return None
    said, given = left_out(members.plan, results, seed=settings.tuning.seed), members.given
    judged = can_be_judged(members.plan, given)
    doubts = find_doubts(calibrated(said.log_probs, given), given, judged=judged, how=how)
    rows = [_row(members, doubt) for doubt in doubts]
    n_right = sum(
        best == own for best, own in zip(said.log_probs.argmax(axis=1), given, strict=True)
    )
    summary: dict[str, Any] = {
        "n_rows": len(given),
        "n_judged": sum(judged),
        "n_doubts": len(rows),
        "fraction": len(rows) / len(given),
        "agreement": n_right / len(given),
        "how": how,
        "by_label": _by_label(members, rows),
    }
    decisions = _in_words(summary)
    for sentence in decisions:
        say(sentence)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (Path(run.path) / DOUBTS).write_text("".join(lines), encoding="utf-8")
    write_doubt_page(Path(run.path) / PAGE, rows, decisions)
    run.write_json(SUMMARY, summary | {"decisions": decisions})
    return summary


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
    table, counts = [], Counter[str]({"relabelled": 0, "dropped": 0})
    for doubt in doubts.values():
        is_sure = how == "relabel" and doubt["suggested_prob"] > sure
        counts["relabelled" if is_sure else "dropped"] += 1
        label = doubt["suggested"] if is_sure else NO_LABEL
        table.append((doubt["id"], label, doubt["label"], doubt["text"]))
    if run_settings(run).labelling.labels:
        table += [
            (row.interaction_id, row.label, row.label, row.text)
            for rows in load_examples(run).values()
            for row in rows
            if row.interaction_id not in doubts
        ]
    _write_csv(out, ("id", "label", "was", "text"), table)
    return dict(counts)


def _row(members: Members, doubt: Doubt) -> dict[str, Any]:
    row, labels = members.pool[doubt.row], members.plan.labels
    second = {"second": row.second} if row.second else {}
    return {
        "id": row.interaction_id,
        "split": "train" if doubt.row < len(members.plan.fold_of) else "validation",
        "text": row.text,
        **second,
        "label": labels[doubt.given],
        "suggested": labels[doubt.suggested],
        "label_prob": round(doubt.given_prob, 4),
        "suggested_prob": round(doubt.suggested_prob, 4),
        "score": round(doubt.score, 4),
    }


def _by_label(members: Members, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each label with doubts: its rows, its doubts, and what they mostly look like."""
    n_rows = Counter(row.label for row in members.pool)
    found = []
    for label, n in Counter(row["label"] for row in rows).most_common():
        looks = Counter(row["suggested"] for row in rows if row["label"] == label)
        other, n_other = looks.most_common(1)[0]
        found.append(
            {
                "label": label,
                "n_rows": n_rows[label],
                "n_doubts": n,
                "mostly_like": other,
                "n_like": n_other,
            }
        )
    return found


def _in_words(summary: Mapping[str, Any]) -> list[str]:
    told = [
        f"labels: {summary['n_doubts']:,} of {summary['n_rows']:,} are doubtful "
        f"({summary['fraction']:.1%}); models that were not trained on a row agree with its label "
        f"in {summary['agreement']:.1%}, and the count is cleanlab's ({summary['how']})"
    ]
    n_unjudged = summary["n_rows"] - summary["n_judged"]
    if n_unjudged:
        told.append(f"{n_unjudged:,} rows are not judged: no other fold has their label")
    told += [
        f"{part['label']}: {part['n_doubts']} of {part['n_rows']} rows look like another "
        f"label, {part['n_like']} of them like {part['mostly_like']}"
        for part in summary["by_label"][:N_TOLD]
    ]
    return told


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
