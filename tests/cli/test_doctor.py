"""``tailorbird doctor`` on this machine and on broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import typer
from typer.testing import CliRunner

from tailorbird.cli.doctor import doctor, examine, look_at_torch, look_at_workspace
from tailorbird.modeling.gpu import operations
from tailorbird.store import Workspace

RUNNER = CliRunner()
app = typer.Typer()
app.command()(doctor)


@pytest.mark.weights
def test_machine_that_runs_these_tests_is_ready(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["--workspace", str(tmp_path / "new"), "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["ready"] is True
    found = {finding["topic"]: finding for finding in answer["findings"]}
    assert {"Python", "processor", "torch", "compute type", "GPU", "disk", "packages"} <= set(found)
    assert found["weights e5"]["state"] == "ok"
    assert found["extra dev"]["text"] == "installed"
    assert "will be made by the first build" in found["workspace"]["text"]
    assert not (tmp_path / "new").exists()


def test_everything_that_is_missing_has_a_command() -> None:
    for finding in examine(Path("unused-workspace")):
        if finding.state == "missing" or finding.topic.startswith(("extra", "weights")):
            assert (finding.state == "ok") == (finding.cure == ""), finding


@pytest.mark.parametrize(
    ("why", "state", "said"),
    [
        ("", "ok", "compiled by Triton"),
        ("no C compiler", "note", "no C compiler: single operations, two to three times as many"),
    ],
)
def test_a_gpu_without_a_compiler_of_kernels_is_told(
    monkeypatch: pytest.MonkeyPatch, why: str, state: str, said: str
) -> None:
    properties = SimpleNamespace(name="some GPU", total_memory=80e9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(operations, "why_not", lambda: why)
    found = {finding.topic: finding for finding in look_at_torch()}
    assert found["GPU"].text == "some GPU, 80 GB"
    assert (found["GPU kernels"].state, found["GPU kernels"].text) == (state, said)


def test_workspace_and_its_schema_are_shown(tmp_path: Path) -> None:
    Workspace.open(tmp_path).close()
    (finding,) = look_at_workspace(tmp_path)
    assert finding.state == "ok"
    assert finding.text.startswith(f"{tmp_path}, database schema ")
    assert not finding.text.endswith("None")


def test_file_in_the_place_of_the_workspace_is_missing_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = look_at_workspace(tmp_path / "file")
    assert finding.state == "missing"
    assert finding.text == f"{tmp_path / 'file'}: is not a folder"
    assert finding.cure == "choose another with --workspace or $TAILORBIRD_WORKSPACE"


def test_damaged_database_is_missing_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "tailorbird.db").write_bytes(b"not a database at all" * 100)
    done = RUNNER.invoke(app, ["--workspace", str(tmp_path)])
    assert done.exit_code == 1
    assert "✗  workspace" in done.output
    assert "1 missing: run what stands after the arrows" in done.output
