"""``check_labels``: rows whose label is doubtful, by models that were not trained on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tailorbird.config import Settings
from tailorbird.evaluation.doubt_page import write_doubt_page
from tailorbird.evaluation.doubts import Doubt, calibrated, check_way, find_doubts
from tailorbird.folding.members import FOLDS, Folds, Members, Say, prepare
from tailorbird.jobs.folds import Floats, can_be_judged, left_out
from tailorbird.store import Run, Workspace

LABELS = "labels"
"""The folder of the jobs, where they are not those of `fold`."""
DOUBTS, PAGE, SUMMARY = "doubts.jsonl", "doubts.html", "doubts.json"
N_TOLD = 5
"""Labels with the most doubts that are told in a sentence each."""


@dataclass(frozen=True, slots=True)
class LabelCheck:
    """How labels are judged."""

    how: str = "self_confidence"
    """One of `evaluation.doubts.WAYS`."""
    method: str = "head"
    """The way of tuning of those that judge. Heads on pretrained features take seconds, and of
    labels that are partly wrong they find as many as more weights do."""


DEFAULT, HEADS = Folds(), LabelCheck()


def check_labels(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    folds: Folds = DEFAULT,
    *,
    check: LabelCheck = HEADS,
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Find training and validation rows whose label is doubtful; the test split stays closed.

    Leaves ``doubts.jsonl`` (a row each, worst first), ``doubts.html`` and ``doubts.json`` (how
    many, and why). Where *check* names the way that the run is tuned by, folds that `fold` has
    tuned are not tuned again. None where *stop* ended it: another call goes on.
    """
    judged = judge(run, workspace, settings, folds, check=check, say=say, stop=stop)
    if judged is None:
        return None
    members, given = judged.members, judged.members.given
    doubts = judged.doubts(check.how)
    rows = [_row(members, doubt) for doubt in doubts]
    n_right = sum(best == own for best, own in zip(judged.probs.argmax(axis=1), given, strict=True))
    summary: dict[str, Any] = {
        "n_rows": len(given),
        "n_judged": sum(judged.is_judged),
        "n_doubts": len(rows),
        "fraction": len(rows) / len(given),
        "agreement": n_right / len(given),
        "how": check.how,
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


@dataclass(frozen=True)
class Judged:
    """What is thought of the label of every training and validation row."""

    members: Members
    probs: Floats
    """(N + V, C), calibrated, by models that were not trained on the row."""
    is_judged: list[bool]
    """False where those models have not learned the row's label."""

    def doubts(self, how: str = LabelCheck().how) -> list[Doubt]:
        """The rows whose label is doubtful, worst first."""
        return find_doubts(self.probs, self.members.given, judged=self.is_judged, how=how)


def judge(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    folds: Folds = DEFAULT,
    *,
    check: LabelCheck = HEADS,
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Judged | None:
    """Tune the folds, as far as they are not there, and let them judge; see `check_labels`."""
    check_way(check.how)
    folder = FOLDS if check.method == settings.method.name else LABELS
    settings = replace(settings, method=replace(settings.method, name=check.method))
    members = prepare(run, workspace, settings, folds, folder=folder, say=say, stop=stop)
    if members is None:
        return None
    results = members.tune(members.plan.fold_jobs(members.settings), say=say, stop=stop)
    if results is None:
        return None
    said = left_out(members.plan, results, seed=settings.tuning.seed)
    given = members.given
    probs = calibrated(said, given)
    return Judged(members, probs, can_be_judged(members.plan, given))


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
        f"in {summary['agreement']:.1%} (cleanlab, {summary['how']})"
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
