"""Labels are checked by models that did not learn them; correcting them is a file of its own."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tailorbird import api, folding, runs
from tailorbird.config import LabellingSettings, Settings
from tailorbird.errors import ConfigError, StoreError
from tailorbird.store import Run, Workspace


def truth_of(row: dict[str, Any]) -> str:
    return str(row["id"]).split("-")[0]


def doubts_of(run: Run) -> list[dict[str, Any]]:
    lines = (run.path / "doubts.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_injected_noise_is_found_corrected_and_learned_from(
    divided: Run, workspace: Workspace, logs: Path, settings: Settings, tmp_path: Path
) -> None:
    said: list[str] = []
    before = (divided.path / "examples.jsonl").read_bytes()
    found = folding.check_labels(divided, workspace, settings, folding.Folds(3), say=said.append)
    assert found is not None
    doubts = doubts_of(divided)
    wrong = {
        example.interaction_id
        for name in ("train", "validation")
        for example in runs.load_examples(divided)[name]
        if example.label != example.interaction_id.split("-")[0]
    }
    assert len(wrong) >= 8
    caught = {row["id"] for row in doubts} & wrong
    assert len(caught) >= 0.85 * len(wrong)
    assert len(caught) >= 0.7 * len(doubts)
    assert all(row["suggested"] == truth_of(row) for row in doubts if row["id"] in caught)
    assert {row["split"] for row in doubts} <= {"train", "validation"}
    assert any("are doubtful" in sentence for sentence in said)
    page = (divided.path / "doubts.html").read_text("utf-8")
    assert doubts[0]["text"] in page
    # Nothing has changed but for what was asked for.
    assert (divided.path / "examples.jsonl").read_bytes() == before

    out = tmp_path / "corrected.csv"
    counts = folding.correct_labels(divided, out, how="relabel", sure=0.0)
    assert counts == {"relabelled": len(doubts), "dropped": 0}
    corrected = replace(settings, labelling=LabellingSettings(labels=str(out)))
    run = runs.start_run(str(logs), workspace, corrected)
    api.read(str(logs), run, corrected)
    api.clean(run, corrected)
    api.split(run, corrected)
    still_wrong = {
        example.interaction_id
        for part in runs.load_examples(run).values()
        for example in part
        if example.label != example.interaction_id.split("-")[0]
    }
    assert not still_wrong & caught


def test_dropped_rows_are_in_no_split_of_the_next_run(
    divided: Run, workspace: Workspace, logs: Path, settings: Settings, tmp_path: Path
) -> None:
    folding.check_labels(divided, workspace, settings, folding.Folds(2))
    doubtful = {row["id"] for row in doubts_of(divided)}
    assert doubtful
    out = tmp_path / "kept.csv"
    counts = folding.correct_labels(divided, out, how="drop")
    assert counts == {"relabelled": 0, "dropped": len(doubtful)}
    dropped = replace(settings, labelling=LabellingSettings(labels=str(out)))
    run = runs.start_run(str(logs), workspace, dropped)
    api.read(str(logs), run, dropped)
    api.clean(run, dropped)
    api.split(run, dropped)
    used = {row.interaction_id for rows in runs.load_examples(run).values() for row in rows}
    assert not used & doubtful
    # A second round keeps what the first file said, since it stands in for it.
    folding.check_labels(run, workspace, dropped, folding.Folds(2))
    again = tmp_path / "again.csv"
    folding.correct_labels(run, again, how="drop")
    with again.open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row["label"] for row in csv.DictReader(file)}
    assert doubtful <= {name for name, label in rows.items() if label == "[none]"}
    assert used <= rows.keys()


def test_file_of_corrections_is_never_overwritten(
    divided: Run, workspace: Workspace, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="labels have not been checked"):
        folding.correct_labels(divided, tmp_path / "new.csv", how="drop")
    folding.check_labels(divided, workspace, settings, folding.Folds(2))
    mine = tmp_path / "mine.csv"
    mine.write_text("id,label\nx,y\n", encoding="utf-8")
    with pytest.raises(StoreError, match="is there already"):
        folding.correct_labels(divided, mine, how="drop")
    assert mine.read_text(encoding="utf-8") == "id,label\nx,y\n"


def test_other_tasks_are_refused_with_what_to_do(
    divided: Run, workspace: Workspace, settings: Settings
) -> None:
    other = replace(settings, task=replace(settings.task, name="regression"))
    with pytest.raises(ConfigError, match="folds and soups are made for single_label and pairs"):
        folding.check_labels(divided, workspace, other)
