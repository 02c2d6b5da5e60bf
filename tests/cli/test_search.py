"""``tailorbird search`` from rows to settings that a build begins with, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from tailorbird import api, runs
from tailorbird.cli import app
from tailorbird.config import load_settings
from tailorbird.errors import StoreError, TailorbirdError
from tailorbird.records import SPLITS
from tailorbird.search import SearchPlan, take_best
from tailorbird.testing import write_tiny_backbone

RUNNER = CliRunner()
WORDS = ["parcel", "refund", "hello", "size"]
FRAMES = ["where is {} {}", "{} please {}", "and my {} {}", "the {} i want {}", "no {} now {}"]
ROWS = [
    {"text": frame.format(word, n), "label": word, "value": WORDS.index(word) + 0.5}
    for n in range(2)
    for frame in FRAMES
    for word in WORDS
]
OVER = ("--over", "method.rank=2,4,8", "--over", "tuning.learning_rate=1e-3..3e-2:log")
SETS = ("tuning.n_epochs=2", "tuning.batch_size=8", "tuning.dtype=float32", "split.ratio=6:3:1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    lines = [json.dumps(row) for row in ROWS]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_tiny_backbone(folder / "tiny")
    return folder


def words_for(folder: Path, workspace: Path, *more: str) -> list[str]:
    sets = [word for setting in SETS for word in ("--set", setting)]
    words = ["search", str(folder / "rows.jsonl"), "--backbone", str(folder / "tiny")]
    return [*words, "--method", "lora", *sets, "--workspace", str(workspace), *more]


def said_by(*words: str) -> dict[str, Any]:
    done = RUNNER.invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.exception
    return dict(json.loads(done.stdout))


def error_of(*words: str) -> str:
    done = RUNNER.invoke(app, list(words))
    assert isinstance(done.exception, TailorbirdError), (done.exception, done.output)
    return str(done.exception)


@pytest.fixture(scope="module")
def searched(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A workspace with one search of five trials, and what it said."""
    workspace = tmp_path_factory.mktemp("workspace")
    return workspace, said_by(*words_for(folder, workspace, *OVER, "--trials", "5"))


def test_search_leaves_settings_that_a_build_begins_with(
    searched: tuple[Path, dict[str, Any]],
) -> None:
    found = searched[1]
    assert (found["n_trials"], found["n_failed"]) == (5, 0)
    best = found["best"]
    settings = load_settings(found["config"])
    assert settings.method.rank == best["settings"]["method.rank"]
    assert settings.tuning.learning_rate == best["settings"]["tuning.learning_rate"]
    assert (settings.method.name, settings.tuning.n_epochs) == ("lora", 2)
    assert found["next"].startswith("tailorbird build ")
    assert found["config"] in found["next"]
    values = [one["value"] for one in found["trials"] if one["state"] == "done"]
    assert best["value"] == max(values) == best["scores"]["accuracy"]
    assert Path(found["page"]).is_file()


def test_first_trial_is_what_a_build_would_do(searched: tuple[Path, dict[str, Any]]) -> None:
    first = searched[1]["trials"][0]
    assert first["settings"]["method.rank"] == 8  # as MethodSettings has it


def test_only_the_winner_keeps_its_weights(searched: tuple[Path, dict[str, Any]]) -> None:
    workspace, found = searched
    jobs = workspace / "runs" / found["run"] / "search" / "jobs"
    kept = sorted(path.stem for path in jobs.glob("*.safetensors"))
    assert kept == [f"trial-{found['best']['trial']:04d}"] == [Path(found["best"]["weights"]).stem]


def test_test_rows_are_never_looked_at(folder: Path, tmp_path: Path) -> None:
    found = []
    for name in ("as split", "without test rows"):
        with api.open_workspace(tmp_path / name) as space:
            settings = load_settings(overrides=[*SETS, f"model.backbone={folder / 'tiny'}"])
            run = runs.start_run(str(folder / "rows.jsonl"), space, settings)
            api.read(run.source, run, settings)
            api.clean(run, settings)
            api.split(run, settings)
            if name != "as split":
                rows = (run.path / "examples.jsonl").read_text("utf-8").splitlines(keepends=True)
                kept = [row for row in rows if json.loads(row)["split"] != "test"]
                assert len(kept) < len(rows)
                (run.path / "examples.jsonl").write_text("".join(kept), encoding="utf-8")
            plan = SearchPlan(over=("tuning.learning_rate=1e-3,1e-2",), n_trials=2)
            found.append(api.search(run, space, plan)["trials"])
    timeless = [
        [{k: v for k, v in one.items() if k not in {"train_s", "core_s"}} for one in part]
        for part in found
    ]
    assert timeless[0] == timeless[1]


def test_a_search_goes_on_for_more_trials(
    folder: Path, tmp_path: Path, searched: tuple[Path, dict[str, Any]]
) -> None:
    said_by(*words_for(folder, tmp_path, *OVER, "--trials", "3"))
    more = said_by("search", "--resume", "--trials", "5", "--workspace", str(tmp_path))
    whole = searched[1]
    assert [one["settings"] for one in more["trials"]] == [
        one["settings"] for one in whole["trials"]
    ]
    assert [one["value"] for one in more["trials"]] == [one["value"] for one in whole["trials"]]


def test_then_build_goes_on_in_the_same_run(folder: Path, tmp_path: Path) -> None:
    over = ("--over", "model.freeze_layers=0,1", "--sampler", "grid", "--then-build")
    found = said_by(*words_for(folder, tmp_path, *over))
    assert found["n_trials"] == 2
    with api.open_workspace(tmp_path) as space:
        run = space.run()
        assert run.name == found["run"]
        assert run.status == "done"
        tuned = run.read_json("tune.json")["settings"]
        assert tuned["freeze_layers"] == found["best"]["settings"]["model.freeze_layers"]
        assert api.current_bundle(space).id == found["bundle"]


def test_rows_of_another_task_are_searched_and_fitted(folder: Path, tmp_path: Path) -> None:
    more = ("--task", "regression", "--over", "tuning.learning_rate=1e-3,1e-2", "--then-build")
    found = said_by(*words_for(folder, tmp_path, *more, "--trials", "2"))
    assert found["metric"] == "r2"
    assert found["next"].startswith("tailorbird fit ")
    assert "test" in found["fit"]
    with api.open_workspace(tmp_path) as space:
        for name, rows in runs.load_examples(space.run()).items():
            assert name in SPLITS
            assert rows


def test_a_run_that_was_built_can_be_searched(folder: Path, tmp_path: Path) -> None:
    words = words_for(folder, tmp_path)
    build = ["build", *words[1:]]
    assert RUNNER.invoke(app, build).exit_code == 0
    with api.open_workspace(tmp_path) as space:
        name = space.run().name
    found = said_by(
        *("search", "--run", name, "--over", "method.rank=2,4", "--trials", "2"),
        *("--workspace", str(tmp_path)),
    )
    assert found["run"] == name
    with api.open_workspace(tmp_path) as space:
        assert take_best(space.run(name)).method.rank == found["best"]["settings"]["method.rank"]


def test_by_loss_and_over_backbones(folder: Path, tmp_path: Path) -> None:
    other = write_tiny_backbone(tmp_path / "other", n_layers=3, seed=1)
    choices = f'model.backbone=["{folder / "tiny"}", "{other}"]'
    more = ("--by-loss", "--sampler", "grid", "--pruner", "none", "--over", choices)
    found = said_by(*words_for(folder, tmp_path / "w", *more))
    assert found["metric"] == "loss"
    losses = {one["settings"]["model.backbone"]: one["loss"] for one in found["trials"]}
    assert len(losses) == 2
    assert found["best"]["value"] == min(losses.values())


def test_wrong_names_are_said_before_anything_is_read(folder: Path, tmp_path: Path) -> None:
    words = words_for(folder, tmp_path)
    assert "did you mean 'rank'?" in error_of(*words, "--over", "method.rnak=2,4")
    assert "use one of tpe" in error_of(*words, "--sampler", "tree")
    assert "use one of none" in error_of(*words, "--pruner", "halving")
    assert "decided before" in error_of(*words, "--over", "split.seed=1,2")
    with api.open_workspace(tmp_path) as space, pytest.raises(StoreError, match="no runs yet"):
        space.run()


def test_one_run_has_one_search(searched: tuple[Path, dict[str, Any]], folder: Path) -> None:
    workspace, found = searched
    again = ("search", "--run", found["run"], "--workspace", str(workspace))
    assert "has a search already" in error_of(*again, *OVER)


def test_two_processes_do_not_search_in_one_run(searched: tuple[Path, dict[str, Any]]) -> None:
    workspace, found = searched
    with FileLock(workspace / "runs" / found["run"] / "search" / "lock"):
        said = error_of("search", "--resume", "--run", found["run"], "-w", str(workspace))
    assert "another process is searching here" in said


def test_a_run_without_rows_or_search_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    place = ("--workspace", str(tmp_path))
    rows = str(folder / "rows.jsonl")
    assert RUNNER.invoke(app, ["read", rows, *place]).exit_code == 0
    assert "has no rows yet" in error_of("search", *place)
    for verb in ("clean", "split"):
        assert RUNNER.invoke(app, [verb, *place]).exit_code == 0
    assert "no search to go on with" in error_of("search", "--resume", *place)


def test_where_every_trial_fails_the_first_reason_is_said(folder: Path, tmp_path: Path) -> None:
    more = ("--over", "tuning.learning_rate=1e30..1e31", "--trials", "2", "--pruner", "none")
    said = error_of(*words_for(folder, tmp_path, *more))
    assert "none of 2 trials came to its end" in said
    with api.open_workspace(tmp_path) as space:
        found = space.run().read_json("search.json")
    assert found["n_failed"] == 2
    assert all(one["error"] for one in found["trials"])
