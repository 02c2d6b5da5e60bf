"""The stages of a build as verbs of their own: together they are what ``build`` does."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import DataError, StoreError
from tailorbird.testing import write_tiny_backbone

RUNNER = CliRunner()
PHRASES = {
    "refund": "refund order {} please",
    "parcel": "我的包裹{}还没到",
    "size": "change the size of {}",
}
SETTINGS = (
    *("tuning.n_epochs=1", "tuning.dtype=float32"),
    *("evaluation.baselines=false", "evaluation.n_bootstrap=50"),
)
STAGES = ("clean", "split", "tune", "evaluate", "bundle")
OF_THE_RUN = {"report.json", "report.html", "MODEL_CARD.md"}
"""They tell the run's name, its time and how long it took; all else of a bundle is content."""


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Logs and settings as ``build`` and ``read`` take them."""
    folder = tmp_path_factory.mktemp("shop")
    draw = random.Random(0)
    rows = ["text,intent,reply"]
    for _ in range(30):
        for intent, phrase in PHRASES.items():
            thing = "".join(draw.choices(string.ascii_lowercase, k=7))
            rows.append(f"{phrase.format(thing)},{intent},The answer to {intent}.")
    (folder / "shop.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    tiny = write_tiny_backbone(folder / "tiny")
    settings = [word for one in SETTINGS for word in ("--set", one)]
    return [str(folder / "shop.csv"), *settings, "--set", f"model.backbone={tiny}"]


def ask(*words: str) -> dict[str, Any]:
    """Run a verb with ``--json``: one object on stdout and nothing on stderr."""
    done = RUNNER.invoke(app, [*words, "--json"])
    assert done.exit_code == 0, (words, done.exception)
    (line,) = done.stdout.splitlines()
    assert done.stderr == ""
    said: dict[str, Any] = json.loads(line)
    return said


@pytest.fixture(scope="module")
def staged(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A workspace where each stage was run by its own verb, and what each said."""
    workspace = tmp_path_factory.mktemp("staged")
    said = {"read": ask("read", *words, "-w", str(workspace))}
    said |= {stage: ask(stage, "-w", str(workspace)) for stage in STAGES}
    return workspace, said


def files_of(workspace: Path, bundle: str) -> dict[str, Any]:
    manifest = json.loads((workspace / "bundles" / bundle / "manifest.json").read_text("utf-8"))
    files: dict[str, Any] = manifest["files"]
    return files


def test_one_by_one_the_stages_give_the_bundle_that_build_gives(
    staged: tuple[Path, Any], words: list[str], tmp_path: Path
) -> None:
    workspace, said = staged
    built = ask("build", *words, "-w", str(tmp_path))
    mine = files_of(workspace, said["bundle"]["bundle"])
    theirs = files_of(tmp_path, built["bundle"])
    assert mine.keys() == theirs.keys()
    assert {name for name in mine if mine[name] != theirs[name]} <= OF_THE_RUN
    assert {"model/model.safetensors", "model/head.safetensors"} <= mine.keys() - OF_THE_RUN
    for measured in ("test", "validation", "calibration", "data", "decisions"):
        reports = [
            json.loads((place / "bundles" / bundle / "report.json").read_text("utf-8"))[measured]
            for place, bundle in (
                (workspace, said["bundle"]["bundle"]),
                (tmp_path, built["bundle"]),
            )
        ]
        assert reports[0] == reports[1], measured


def test_each_stage_says_what_it_did(staged: tuple[Path, Any]) -> None:
    _, said = staged
    assert len({stage["run"] for stage in said.values()}) == 1
    assert (said["read"]["n_rows"], said["read"]["n_rejected"]) == (90, 0)
    assert said["split"]["labels"] == ["parcel", "refund", "size"]
    assert said["tune"]["settings"]["n_epochs"] == 1
    assert said["evaluate"]["split"] == "test"
    assert Path(said["bundle"]["path"]).is_dir()


def test_in_words_each_stage_names_the_next(words: list[str], tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["read", *words, "-w", str(tmp_path)])
    assert done.stdout == ""
    assert "read: 90 rows → 90 interactions" in done.stderr
    assert done.stderr.endswith("next: tailorbird clean\n")


def test_a_second_look_at_the_test_split_is_refused_without_again(
    staged: tuple[Path, Any],
) -> None:
    workspace, said = staged
    done = RUNNER.invoke(app, ["evaluate", "-w", str(workspace)])
    assert isinstance(done.exception, DataError)
    assert "was already opened" in str(done.exception)
    assert "pass --again" in done.exception.cure
    unchanged = ask("bundle", "-w", str(workspace), "--no-publish")
    assert unchanged["bundle"] == said["bundle"]["bundle"]

    ask("evaluate", "-w", str(workspace), "--again")
    run = workspace / "runs" / said["read"]["run"]
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert len(report["test_openings"]) == 2


def test_edited_answers_make_another_bundle(staged: tuple[Path, Any]) -> None:
    workspace, said = staged
    answers = workspace / "runs" / said["read"]["run"] / "templates.toml"
    edited = workspace / "edited.toml"
    text = answers.read_text("utf-8")
    edited.write_text(text.replace("The answer to size.", "Gladly."), encoding="utf-8")
    before = ask("bundle", "-w", str(workspace), "--no-publish")
    after = ask("bundle", "-w", str(workspace), "--templates", str(edited))
    assert after["bundle"] != before["bundle"]
    mine, theirs = (files_of(workspace, said["bundle"]) for said in (before, after))
    assert {name for name in mine if mine[name] != theirs[name]} == {"templates.json"}


def test_a_stage_without_the_one_before_says_what_is_missing(
    words: list[str], tmp_path: Path
) -> None:
    done = RUNNER.invoke(app, ["clean", "-w", str(tmp_path)])
    assert isinstance(done.exception, StoreError)
    assert "there are no runs yet; tailorbird build LOGS" in str(done.exception)
    run = ask("read", *words, "-w", str(tmp_path))["run"]
    done = RUNNER.invoke(app, ["bundle", "-w", str(tmp_path)])
    assert isinstance(done.exception, StoreError)
    assert "report.json; the stage that writes it has not run" in str(done.exception)
    done = RUNNER.invoke(app, ["clean", "-w", str(tmp_path), "--run", run[:-1]])
    assert isinstance(done.exception, StoreError)
    assert f"did you mean '{run}'?" in done.exception.cure


def test_a_changed_setting_is_remembered_by_the_run(words: list[str], tmp_path: Path) -> None:
    run = ask("read", *words, "-w", str(tmp_path))["run"]
    said = ask("clean", "-w", str(tmp_path), "--set", "cleaning.min_chars=25")
    assert said["n_out"] < 90
    settings = json.loads((tmp_path / "runs" / run / "settings.json").read_text("utf-8"))
    assert settings["cleaning"]["min_chars"] == 25


def test_layers_are_frozen_by_their_own_option(words: list[str], tmp_path: Path) -> None:
    ask("read", *words, "-w", str(tmp_path))
    for stage in ("clean", "split"):
        ask(stage, "-w", str(tmp_path))
    said = ask("tune", "-w", str(tmp_path), "--freeze", "1")
    assert (said["settings"]["freeze_layers"], said["settings"]["n_frozen"]) == (1, 1)
    assert "frozen layers: 1 (as set)" in said["decisions"]
    said = ask("tune", "-w", str(tmp_path), "--freeze", "auto")
    assert said["settings"]["freeze_layers"] == "auto"
    (decision,) = [line for line in said["decisions"] if line.startswith("frozen layers: ")]
    assert "training and 18 validation rows: 0 → " in decision
    done = RUNNER.invoke(app, ["tune", "-w", str(tmp_path), "--freeze", "some"])
    assert "is not a whole number or default or auto" in str(done.exception)
