"""The functions a notebook needs: a build, its stages, and what the workspace remembers of them."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird import api, runs
from tailorbird.bundle import Bundle
from tailorbird.config import (
    EvaluationSettings,
    LabellingSettings,
    ModelSettings,
    ServingSettings,
    Settings,
    SplitSettings,
    TaskSettings,
    TuningSettings,
)
from tailorbird.errors import ConfigError, DataError, StoreError
from tailorbird.records import StepReport
from tailorbird.store import Run, Workspace
from tailorbird.testing import write_tiny_backbone

PHRASES = {
    "refund": "refund order {} please",
    "parcel": "我的包裹{}还没到",
    "size": "change the size of {}",
}
FULL_DISK = Path("/dev/full")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "shop.csv"
    draw = random.Random(0)
    rows = ["text,intent,reply"]
    for _ in range(30):
        for intent, phrase in PHRASES.items():
            thing = "".join(draw.choices(string.ascii_lowercase, k=7))
            rows.append(f"{phrase.format(thing)},{intent},The answer to {intent}.")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    tiny = write_tiny_backbone(tmp_path_factory.mktemp("backbone") / "tiny")
    return Settings(
        model=ModelSettings(backbone=str(tiny), encoder_dropout=0.1),
        tuning=TuningSettings(n_epochs=2, patience=0, dtype="float32"),
        evaluation=EvaluationSettings(n_bootstrap=50, baselines=False),
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with api.open_workspace(tmp_path / "workspace") as opened:
        yield opened


class Listener:
    """Hears a build, and stops it with *error* at the first sentence or stage like *at*."""

    def __init__(self, at: str = "", error: BaseException | None = None) -> None:
        self.at, self.error = at, error
        self.stages: list[str] = []
        self.said: list[str] = []
        self.steps: list[StepReport] = []

    def stage(self, name: str) -> None:
        self.stages.append(name)
        self.say(name)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)
        if self.error is not None and sentence.startswith(self.at):
            raise self.error

    def step(self, report: StepReport) -> None:
        self.steps.append(report)


def stop_after(n_reports: int) -> Callable[[], bool]:
    """Asks a tuning run to stop at its report number *n_reports*, once and not again."""
    seen: list[None] = []

    def stop() -> bool:
        seen.append(None)
        return len(seen) == n_reports

    return stop


@pytest.fixture(scope="module")
def built(
    logs: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Workspace, Bundle, Listener]]:
    """A workspace with one finished build, only to be looked at."""
    listener = Listener()
    with api.open_workspace(tmp_path_factory.mktemp("built")) as opened:
        bundle = api.build(str(logs), opened, settings, listener=listener)
        assert bundle is not None
        yield opened, bundle, listener


def weights(run: Run) -> list[bytes]:
    names = ("model.safetensors", "head.safetensors")
    return [(run.path / "model" / name).read_bytes() for name in names]


def curve(run: Run) -> list[dict[str, Any]]:
    lines = (run.path / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) | {"elapsed_s": None} for line in lines]


def test_a_build_goes_through_every_stage_and_its_bundle_is_live(
    built: tuple[Workspace, Bundle, Listener],
) -> None:
    workspace, bundle, heard = built
    assert tuple(heard.stages) == runs.STAGES
    assert heard.said[-1] == f"bundle: {bundle.id} is live"
    assert [report.step for report in heard.steps if report.event == "validation"] == [8, 16]
    run = workspace.run()
    assert run.status == "done"
    assert all(runs.done(run, stage) for stage in runs.STAGES)
    assert not (run.path / api.CHECKPOINT).exists()
    assert api.current_bundle(workspace).id == bundle.id
    (row,) = api.list_deployments(workspace)
    assert (row["bundle"], row["until"], row["reason"]) == (
        bundle.id,
        "live",
        f"built by run {run.name}",
    )
    (listed,) = runs.list_runs(workspace)
    assert (listed["run"], listed["status"], listed["note"]) == (run.name, "done", "")
    (prediction,) = bundle.predict(["我的包裹abcdefg还没到"])
    assert prediction.intent in PHRASES
    assert prediction.answer == f"The answer to {prediction.intent}."


def test_the_run_remembers_settings_and_decisions(
    built: tuple[Workspace, Bundle, Listener], settings: Settings
) -> None:
    workspace, bundle, heard = built
    run = workspace.run()
    assert runs.run_settings(run) == settings
    assert set(bundle.report["decisions"]) <= set(heard.said)
    assert any(sentence.startswith("batch size: 8 (") for sentence in bundle.report["decisions"])
    assert bundle.report["run"]["fingerprint"] == runs.fingerprint(str(run.source), settings)


def test_the_fingerprint_is_of_logs_and_settings_but_not_of_serving(
    logs: Path, settings: Settings, tmp_path: Path
) -> None:
    copy = tmp_path / logs.name
    copy.write_bytes(logs.read_bytes())
    mark = runs.fingerprint(str(logs), settings)
    assert runs.fingerprint(str(copy), settings) == mark
    assert runs.fingerprint(str(logs), replace(settings, serving=ServingSettings(port=1))) == mark
    assert runs.fingerprint(str(logs), replace(settings, split=SplitSettings(seed=1))) != mark
    copy.write_bytes(logs.read_bytes() + b"hello,size,\n")
    assert runs.fingerprint(str(copy), settings) != mark
    assert runs.fingerprint("postgresql://somewhere/chats", settings) == ""


def test_the_fingerprint_is_of_every_file_of_a_folder_and_of_the_labels(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text("text\nhello\n")
    labels = tmp_path / "labels.csv"
    labels.write_text("text,label\nhello,greeting\n")
    settings = Settings(labelling=LabellingSettings(labels=str(labels)))
    marks = [runs.fingerprint(str(tmp_path / "logs"), settings)]
    (tmp_path / "logs" / "b.csv").write_text("text\nbye\n")
    marks.append(runs.fingerprint(str(tmp_path / "logs"), settings))
    labels.write_text("text,label\nhello,farewell\n")
    marks.append(runs.fingerprint(str(tmp_path / "logs"), settings))
    assert len(set(marks)) == 3


@pytest.mark.parametrize("key", ["labels", "rules"])
def test_a_missing_file_of_labels_stops_a_build_before_its_run(
    key: str, logs: Path, workspace: Workspace, tmp_path: Path
) -> None:
    wanted = {key: str(tmp_path / "nowhere.csv")}
    with pytest.raises(ConfigError, match=rf"no such file; check --{key}"):
        api.build(str(logs), workspace, Settings(labelling=LabellingSettings(**wanted)))
    assert runs.list_runs(workspace) == []


def test_what_is_live_is_known_by_its_logs_and_settings(
    built: tuple[Workspace, Bundle, Listener], logs: Path, settings: Settings, tmp_path: Path
) -> None:
    workspace, bundle, _ = built
    assert api.is_live(workspace, str(logs), settings) == bundle.id
    served = replace(settings, serving=ServingSettings(port=1234))
    assert api.is_live(workspace, str(logs), served) == bundle.id
    other = replace(settings, tuning=replace(settings.tuning, seed=1))
    assert api.is_live(workspace, str(logs), other) == ""
    longer = tmp_path / logs.name
    longer.write_bytes(logs.read_bytes() + b"hello,size,\n")
    assert api.is_live(workspace, str(longer), settings) == ""
    assert runs.unfinished_run(workspace, str(logs), settings) is None


def test_in_an_empty_workspace_nothing_is_live_or_unfinished(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    assert api.is_live(workspace, str(logs), settings) == ""
    assert runs.unfinished_run(workspace, str(logs), settings) is None
    assert runs.list_runs(workspace) == []
    assert api.list_deployments(workspace) == []
    with pytest.raises(StoreError, match=r"no bundle is live yet; tailorbird build LOGS"):
        api.current_bundle(workspace)
    with pytest.raises(StoreError, match="there is no bundle abc"):
        api.go_live(workspace, "abc", "why not")


def test_a_failed_build_says_so_leaves_the_live_bundle_and_goes_on_where_it_was(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    first = api.build(str(logs), workspace, settings)
    assert first is not None
    other = replace(settings, tuning=replace(settings.tuning, seed=1))
    with pytest.raises(RuntimeError):
        api.build(str(logs), workspace, other, listener=Listener("evaluate", RuntimeError("fire")))
    run = workspace.run()
    assert (run.status, run.row().note) == ("failed", "fire")
    assert api.current_bundle(workspace).id == first.id

    unfinished = runs.unfinished_run(workspace, str(logs), other)
    assert unfinished == run
    assert runs.unfinished_run(workspace, str(logs), settings) is None
    heard = Listener()
    second = api.build(str(logs), workspace, other, run=unfinished, listener=heard)
    assert heard.stages == ["evaluate", "bundle"]
    assert second is not None
    assert second.id != first.id
    assert (run.status, run.row().note) == ("done", "")
    assert api.current_bundle(workspace).id == second.id
    assert api.roll_back(workspace, "worse after all") == first.id
    assert api.is_live(workspace, str(logs), settings) == first.id


@pytest.mark.parametrize("n_reports", [1, 8, 9, 17, 18])
def test_a_build_stopped_anywhere_goes_on_to_the_same_model_and_curve(
    n_reports: int,
    built: tuple[Workspace, Bundle, Listener],
    logs: Path,
    settings: Settings,
    workspace: Workspace,
) -> None:
    stop = stop_after(n_reports)
    assert api.build(str(logs), workspace, settings, stop=stop) is None
    run = workspace.run()
    assert (run.status, run.row().note) == ("interrupted", "stopped while tuning")
    assert not runs.done(run, "tune")

    heard = Listener()
    assert api.build(str(logs), workspace, settings, run=run, listener=heard) is not None
    assert heard.stages == ["tune", "evaluate", "bundle"]
    assert any(sentence.startswith("resumed: step ") for sentence in heard.said)
    whole = built[0].run()
    assert curve(run) == curve(whole)
    assert weights(run) == weights(whole)


def test_a_run_that_goes_on_keeps_the_compute_type_it_had(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    timed = replace(settings, tuning=replace(settings.tuning, dtype="auto", n_epochs=1))
    assert api.build(str(logs), workspace, timed, stop=stop_after(4)) is None
    run = workspace.run()
    tensors, facts = tuning_of(run)
    facts["plan"]["dtype"] = "bfloat16"  # as if the processor had been timed otherwise
    save(run, tensors, facts)
    heard = Listener("bundle", RuntimeError("far enough"))
    with pytest.raises(RuntimeError, match="far enough"):
        api.build(str(logs), workspace, timed, run=run, listener=heard)
    assert "compute type: bfloat16 (as before)" in heard.said


def tuning_of(run: Run) -> tuple[Any, Any]:
    from tailorbird.tuning.checkpoint import load_checkpoint

    return load_checkpoint(run.path / api.CHECKPOINT)


def save(run: Run, tensors: Any, facts: Any) -> None:
    from tailorbird.tuning.checkpoint import save_checkpoint

    save_checkpoint(run.path / api.CHECKPOINT, tensors, facts)


def test_ctrl_c_in_any_stage_leaves_an_interrupted_run(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    with pytest.raises(KeyboardInterrupt):
        api.build(str(logs), workspace, settings, listener=Listener("split", KeyboardInterrupt()))
    run = workspace.run()
    assert run.status == "interrupted"
    assert (runs.done(run, "clean"), runs.done(run, "split")) == (True, False)


def test_a_build_that_fails_after_its_look_at_the_test_split_needs_no_second_look(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    listener = Listener("test: accuracy", RuntimeError("the screen is gone"))
    with pytest.raises(RuntimeError):
        api.build(str(logs), workspace, settings, listener=listener)
    bundle = api.build(str(logs), workspace, settings, run=workspace.run())
    assert bundle is not None
    assert len(bundle.report["test_openings"]) == 1


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs a disk that is always full")
def test_a_full_disk_fails_the_stage_and_the_run_goes_on_once_there_is_space(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    run = runs.start_run(str(logs), workspace, settings)
    (run.path / "examples.jsonl").symlink_to(FULL_DISK)
    with pytest.raises(OSError, match="No space left"):
        api.build(str(logs), workspace, settings, run=run)
    assert run.status == "failed"
    assert "No space left" in run.row().note
    assert api.list_deployments(workspace) == []
    (run.path / "examples.jsonl").unlink()
    heard = Listener("tune", RuntimeError("far enough"))
    with pytest.raises(RuntimeError, match="far enough"):
        api.build(str(logs), workspace, settings, run=run, listener=heard)
    assert heard.stages == ["split", "tune"]


def test_a_repeated_stage_makes_the_later_ones_undone(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    api.build(str(logs), workspace, settings)
    run = workspace.run()
    assert list(api.tune(run, workspace, settings, stop=lambda: True))
    assert [stage for stage in runs.STAGES if runs.done(run, stage)] == ["read", "clean", "split"]
    for _ in api.tune(run, workspace, settings, resume=True):
        pass
    with pytest.raises(DataError, match="pass --again to look again"):
        api.evaluate(run, settings)
    report = api.evaluate(run, settings, again=True)
    assert len(report["test_openings"]) == 2

    api.clean(run, settings)
    assert [stage for stage in runs.STAGES if runs.done(run, stage)] == ["read", "clean"]


def test_a_run_whose_settings_changed_on_the_way_is_of_no_settings(
    logs: Path, settings: Settings, workspace: Workspace
) -> None:
    run = runs.start_run(str(logs), workspace, settings)
    assert runs.change_settings(run, []) == settings
    assert runs.unfinished_run(workspace, str(logs), settings) == run
    changed = runs.change_settings(run, ["tuning.seed=7"])
    assert changed.tuning.seed == 7
    assert runs.run_settings(run) == changed
    assert runs.unfinished_run(workspace, str(logs), settings) is None
    assert runs.unfinished_run(workspace, str(logs), changed) is None


def test_a_run_of_other_logs_is_not_gone_on_with(
    logs: Path, settings: Settings, workspace: Workspace, tmp_path: Path
) -> None:
    run = runs.start_run(str(logs), workspace, settings)
    moved = tmp_path / logs.name
    moved.write_bytes(logs.read_bytes())
    runs.check_source(run, str(logs))
    runs.check_source(run, str(moved))
    moved.write_bytes(b"text,intent\nhello,greeting\n")
    with pytest.raises(StoreError, match="name another with --run"):
        runs.check_source(run, str(moved))


def test_rates_are_tried_without_touching_what_the_run_has(
    built: tuple[Workspace, Bundle, Listener], settings: Settings
) -> None:
    workspace, _, _ = built
    run = workspace.run()
    before = {path.name: path.read_bytes() for path in run.path.glob("*.json*")}
    said: list[str] = []
    advice = api.find_rate(run, workspace, settings, say=said.append, n_steps=30)
    assert 1e-7 <= advice["rate"] < 1.0
    assert said[-1].startswith(f"learning rate: {advice['rate']:g} (")
    assert len(run.read_json("rates.json")["points"]) <= 30
    assert "<svg" in (run.path / "rates.html").read_text(encoding="utf-8")
    after = {path.name: path.read_bytes() for path in run.path.glob("*.json*")}
    assert {name: after[name] for name in before} == before


def test_a_build_of_another_task_is_sent_to_fit(logs: Path, workspace: Workspace) -> None:
    settings = Settings(task=TaskSettings(name="pairs"))
    with pytest.raises(ConfigError, match="the task is pairs; tailorbird fit ROWS --task pairs"):
        api.build(str(logs), workspace, settings)


def test_a_build_keeps_a_scope_score_that_answers_as_it_was_measured(
    built: tuple[Workspace, Bundle, Listener],
) -> None:
    workspace, bundle, heard = built
    assert bundle.scope is not None
    report = bundle.report["scope"]
    assert report["threshold"] == bundle.scope.threshold
    assert report["taught_by"] == "in_scope"
    assert set(report["test"]) == {"false_alarm_rate"}
    assert any(
        line.startswith("out of scope: by energy, meaning, wording, at ") for line in heard.said
    )
    examples = runs.load_examples(workspace.run())
    assert report["n_rows"] == len(examples["train"])
    answers = api.current_bundle(workspace).predict([row.text for row in examples["validation"]])
    turned_away = sum(not one.in_scope for one in answers) / len(answers)
    assert turned_away == pytest.approx(report["false_alarm_rate"])
    assert turned_away <= 0.05
    assert {"scope.json", "scope.safetensors"} <= {path.name for path in bundle.path.iterdir()}
    assert "scope score is below" in (bundle.path / "MODEL_CARD.md").read_text("utf-8")


def test_what_is_served_in_bf16_was_measured_in_bf16(
    logs: Path, settings: Settings, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_bf16 = {"bfloat16": torch.bfloat16}  # whatever this processor is quick in
    monkeypatch.setattr("tailorbird.modeling.text_model.quick_dtype", in_bf16.__getitem__)
    halved = replace(settings, model=replace(settings.model, dtype="bfloat16"))
    bundle = api.build(str(logs), workspace, halved)
    assert bundle is not None
    assert bundle.classifier.backbone.compute_dtype == torch.bfloat16
    rows = runs.load_examples(workspace.run())
    for name in ("validation", "test"):
        answers = api.current_bundle(workspace).predict([row.text for row in rows[name]])
        right = [one.intent == row.label for one, row in zip(answers, rows[name], strict=True)]
        assert sum(right) / len(right) == pytest.approx(bundle.report[name]["accuracy"]["value"])
    answers = bundle.predict([row.text for row in rows["validation"]])
    n_turned_away = sum(not one.in_scope for one in answers)
    measured = bundle.report["scope"]["false_alarm_rate"] * len(answers)
    # The threshold is the score of a row; rounding may put that row on either side of it.
    assert abs(n_turned_away - measured) < 1.5


def test_rows_labelled_as_out_of_scope_are_no_class_and_measure_the_score(
    logs: Path, settings: Settings, workspace: Workspace, tmp_path: Path
) -> None:
    words = [a + b for a in "bcdfghjklm" for b in "aeiouxyz"]
    strange = "".join(f"play {word} on the piano,oos,\n" for word in words)
    path = tmp_path / "shop.csv"
    path.write_text(logs.read_text("utf-8") + strange, encoding="utf-8")
    loose = replace(settings, split=SplitSettings(near_duplicate=0.0))
    loose = replace(loose, cleaning=replace(loose.cleaning, near_duplicate=0.0))
    bundle = api.build(str(path), workspace, loose)
    assert bundle is not None
    assert bundle.labels == ("parcel", "refund", "size")
    report = bundle.report["scope"]
    assert (report["taught_by"], set(report["weights"])) == (
        "rows",
        {"energy", "meaning", "wording", "foreign"},
    )
    assert report["test"]["caught"] >= 0.8


def test_the_confidence_alone_decides_where_that_is_wanted(
    built: tuple[Workspace, Bundle, Listener], settings: Settings
) -> None:
    workspace, _, _ = built
    run = workspace.run()
    plain = replace(settings, evaluation=replace(settings.evaluation, scope="confidence"))
    report = api.evaluate(run, plain, again=True)
    assert "scope" not in report
    made = api.bundle(run, workspace, plain, go_live=False)
    assert made.scope is None
    api.evaluate(run, settings, again=True)
    api.bundle(run, workspace, settings, go_live=False)
