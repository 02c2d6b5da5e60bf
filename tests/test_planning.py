"""A build that tries how many layers may stay frozen: once a run, and said with the reason."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tailorbird import api, runs
from tailorbird.config import (
    EvaluationSettings,
    MethodSettings,
    ModelSettings,
    Settings,
    TuningSettings,
)
from tailorbird.store import Run, Workspace
from tailorbird.testing import write_tiny_backbone

PHRASES = {"refund": "refund order {} please", "parcel": "我的包裹{}还没到"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "shop.csv"
    draw = random.Random(0)
    rows = ["text,intent"]
    for _ in range(20):
        for intent, phrase in PHRASES.items():
            thing = "".join(draw.choices(string.ascii_lowercase, k=7))
            rows.append(f"{phrase.format(thing)},{intent}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    tiny = write_tiny_backbone(tmp_path_factory.mktemp("backbone") / "tiny", n_layers=3)
    return Settings(
        model=ModelSettings(backbone=str(tiny), encoder_dropout=0.1, freeze_layers="auto"),
        tuning=TuningSettings(n_epochs=2, patience=0, dtype="float32"),
        evaluation=EvaluationSettings(n_bootstrap=50, baselines=False),
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with api.open_workspace(tmp_path / "workspace") as opened:
        yield opened


def prepared(logs: Path, workspace: Workspace, settings: Settings) -> Run:
    """A run that has everything but tuning behind it."""
    run = runs.start_run(str(logs), workspace, settings)
    api.read(str(logs), run, settings)
    api.clean(run, settings)
    api.split(run, settings)
    return run


def tune(run: Run, workspace: Workspace, settings: Settings, **options: Any) -> list[str]:
    """Tune, and return what was said."""
    said: list[str] = []
    for _ in api.tune(run, workspace, settings, say=said.append, **options):
        pass
    return said


def when_there(run: Run, name: str) -> Callable[[], bool]:
    """Stops as soon as the run has a file with something in it."""
    return lambda: (run.path / name).is_file() and (run.path / name).stat().st_size > 0


def weights(run: Run) -> list[bytes]:
    return [path.read_bytes() for path in sorted((run.path / "model").glob("*.safetensors"))]


def test_the_number_is_found_said_and_kept(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    run = prepared(logs, workspace, settings)
    said = tune(run, workspace, settings)
    at = said.index("frozen  score  seconds/epoch   memory")
    assert said[at - 1] == (
        "trying how many layers may stay frozen, on 28 training and 8 validation rows, "
        "2 epochs each"
    )
    assert [line.split()[:2] for line in said[at + 1 : at + 4]] == [
        ["0", "1.000"],
        ["1", "1.000"],
        ["2", "1.000"],
    ]
    kept = run.read_json("tune.json")
    assert kept["settings"]["n_frozen"] == 2
    (decision,) = [line for line in kept["decisions"] if line.startswith("frozen layers")]
    assert decision.startswith("frozen layers: 2 (the most within 0.005 of tuning all, for ")
    assert decision in said
    trials = run.read_json("freeze.json")["trials"]
    assert [trial["n_frozen"] for trial in trials] == [0, 1, 2]


def test_a_run_that_goes_on_does_not_try_again(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    whole = prepared(logs, workspace, settings)
    tune(whole, workspace, settings)
    run = prepared(logs, workspace, settings)
    said = tune(run, workspace, settings, stop=when_there(run, "metrics.jsonl"))
    assert not runs.done(run, "tune")
    before = (run.path / "freeze.json").read_bytes()
    assert any(line.startswith("trying how many") for line in said)
    said = tune(run, workspace, settings, resume=True)
    assert "frozen layers: as tried before (freeze.json of the run)" in said
    assert any(line.startswith("resumed: step ") for line in said)
    assert (run.path / "freeze.json").read_bytes() == before
    assert weights(run) == weights(whole)


def test_a_search_that_was_stopped_goes_on_with_the_trial_it_was_in(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    run = prepared(logs, workspace, settings)
    said = tune(run, workspace, settings, stop=when_there(run, "freeze.json"))
    assert [line.split()[0] for line in said[-2:]] == ["frozen", "0"]
    assert not runs.done(run, "tune")
    (first,) = run.read_json("freeze.json")["trials"]
    said = tune(run, workspace, settings, resume=True)
    trials = run.read_json("freeze.json")["trials"]
    assert trials[0] == first
    assert [trial["n_frozen"] for trial in trials] == [0, 1, 2]
    assert runs.done(run, "tune")


def test_other_settings_and_a_repeated_stage_try_anew(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    run = prepared(logs, workspace, settings)
    tune(run, workspace, settings, stop=when_there(run, "freeze.json"))
    other = replace(settings, tuning=replace(settings.tuning, learning_rate=1e-3))
    said = tune(run, workspace, other, resume=True)
    assert [line.split()[0] for line in said if line.endswith(" MB")] == ["0", "1", "2"]
    assert run.read_json("freeze.json")["settings"]["tuning"]["learning_rate"] == 1e-3
    api.split(run, settings)
    assert not (run.path / "freeze.json").exists()


def test_where_there_is_nothing_to_try_the_reason_is_the_methods(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    run = prepared(logs, workspace, settings)
    said = tune(run, workspace, replace(settings, method=MethodSettings(name="head")))
    assert "frozen layers: 3 (method head tunes no layer)" in said
    assert not (run.path / "freeze.json").exists()


def test_a_second_tuning_at_another_rate_finds_the_states_of_the_first(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    set_ = replace(settings, model=replace(settings.model, freeze_layers=2))
    run = prepared(logs, workspace, set_)
    said = tune(run, workspace, set_)
    assert any("states of 28 texts computed once" in line for line in said)
    faster = replace(set_, tuning=replace(set_.tuning, learning_rate=1e-3))
    said = tune(run, workspace, faster)
    assert "frozen layers: states of all 28 texts were there already" in said
    assert "frozen layers: states of all 8 texts were there already" in said
    assert len([*(workspace.cache_path / "trunk").glob("*.states")]) == 1
    none = replace(set_, model=replace(set_.model, trunk_cache_mb=0, trunk_file_mb=0))
    said = tune(run, workspace, none)
    assert sum("computed in every epoch" in line for line in said) == 2


def test_too_many_layers_are_a_sentence(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    set_ = replace(settings, model=replace(settings.model, freeze_layers=4))
    run = prepared(logs, workspace, set_)
    with pytest.raises(ValueError, match=r"freeze_layers = 4, and the backbone has 3 layers; set"):
        tune(run, workspace, set_)
    assert json.loads((run.path / "settings.json").read_text())["model"]["freeze_layers"] == 4
