"""Runs as the console reads them: stages, decisions, and a curve that grows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailorbird.console.curves import loss_plot, metric_names, metric_plot
from tailorbird.console.run_facts import Curve, list_runs, page_of_run, read_run
from tailorbird.runs import CURVE
from tailorbird.store import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


def line(step: int, event: str = "step", loss: float | None = 1.0, **metrics: float) -> str:
    row = {"event": event, "step": step, "n_steps": 10, "loss": loss, "metrics": metrics}
    return json.dumps(row) + "\n"


def rows(*lines: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in lines]


def test_the_newest_run_stands_first(workspace: Workspace) -> None:
    for name in ("first", "second"):
        workspace.new_run("logs", name)
    listed, n_all = list_runs(workspace)
    assert [one.row.name.split("-")[-1] for one in listed] == ["second", "first"]
    assert n_all == 2


def test_a_running_run_is_at_its_first_stage_that_left_nothing(workspace: Workspace) -> None:
    run = workspace.new_run("logs")
    run.write_json("read.json", {"decisions": ["text: column 'q' (guessed from its name)"]})
    facts = read_run(workspace, run.name)
    assert facts is not None
    states = {stage.name: stage.state for stage in facts.stages}
    assert states["read"] == "done"
    assert states["clean"] == "now"
    assert states["tune"] == "open"
    assert facts.stages[0].decisions == ("text: column 'q' (guessed from its name)",)
    run.set_status("failed", "no rows")
    failed = read_run(workspace, run.name)
    assert failed is not None
    assert "now" not in {stage.state for stage in failed.stages}


def test_a_file_of_a_stage_cut_short_is_no_error(workspace: Workspace) -> None:
    run = workspace.new_run("logs")
    (run.path / "read.json").write_text('{"decisions": [', encoding="utf-8")
    facts = read_run(workspace, run.name)
    assert facts is not None
    assert facts.stages[0].decisions == ()


def test_no_run_and_no_page_outside_the_workspace_is_found(workspace: Workspace) -> None:
    run = workspace.new_run("logs")
    (run.path / "report.html").write_text("figures", encoding="utf-8")
    (workspace.path / "report.html").write_text("secret", encoding="utf-8")
    assert page_of_run(workspace, run.name, "report") == run.path / "report.html"
    for name, page in (("..", "report"), (run.name, "settings"), (run.name, "../../report")):
        assert page_of_run(workspace, name, page) is None


def test_a_curve_is_read_on_from_where_it_ended(tmp_path: Path) -> None:
    curve = Curve(tmp_path / CURVE)
    assert not curve.read_on()
    curve.path.write_text(line(1) + line(2)[:9], encoding="utf-8")
    assert curve.read_on()
    assert [row["step"] for row in curve.rows] == [1]
    with curve.path.open("a", encoding="utf-8") as file:
        file.write(line(2)[9:] + line(3))
    assert curve.read_on()
    assert [row["step"] for row in curve.rows] == [1, 2, 3]
    assert not curve.read_on()


def test_a_curve_cut_back_to_a_checkpoint_is_read_anew(tmp_path: Path) -> None:
    curve = Curve(tmp_path / CURVE)
    curve.path.write_text(line(1) + line(2) + line(3), encoding="utf-8")
    curve.read_on()
    curve.path.write_text(line(1), encoding="utf-8")
    assert curve.read_on()
    assert [row["step"] for row in curve.rows] == [1]
    curve.path.unlink()
    assert curve.read_on()
    assert curve.rows == []


def test_curves_are_drawn_once_there_are_two_points() -> None:
    assert loss_plot(rows(line(1)), "step") == ""
    drawn = loss_plot(rows(line(1), line(2), line(2, "validation", loss=0.5)), "step")
    assert drawn.startswith("<svg")
    assert drawn.count("<circle") == 1  # the validation


def test_a_loss_that_is_no_number_is_left_out() -> None:
    drawn = loss_plot(rows(line(1), line(2, loss=None), line(3, loss=float("nan")), line(4)), "x")
    assert drawn.startswith("<svg")
    assert "nan" not in drawn


def test_measures_of_other_tasks_are_drawn_too() -> None:
    tested = rows(line(2, "validation", spearman=0.5), line(4, "validation", spearman=0.75))
    assert metric_names(tested) == ("spearman",)
    assert metric_plot(tested, "step").count("<circle") == 2
    assert metric_plot(rows(line(1)), "step") == ""
    both = rows(line(2, "validation", macro_f1=0.5, accuracy=0.6, ece=0.1))
    assert metric_names(both) == ("accuracy", "macro_f1")
