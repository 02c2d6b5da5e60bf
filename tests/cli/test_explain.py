"""``predict --explain``, and the page about it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tailorbird.bundle import BundleContents, registry, write_bundle
from tailorbird.cli import app
from tailorbird.config import ModelSettings
from tailorbird.modeling import build_model, save_model
from tailorbird.store import Workspace
from tailorbird.weights import resolve_backbone

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "explaining.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def workspace(tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose live bundle knows nothing, and says why."""
    torch.manual_seed(0)
    backbone = resolve_backbone(str(tiny_backbone), cache=tmp_path)
    model = build_model(backbone, ["refund", "shipping", "other"], settings=ModelSettings())
    save_model(model, tmp_path / "model", backbone=tiny_backbone)
    contents = BundleContents(
        tmp_path / "model", model.labels, {}, {}, {}, temperature=2.0, threshold=0.0
    )
    monkeypatch.setenv("TAILORBIRD_WORKSPACE", str(tmp_path / "ws"))
    with Workspace.open(tmp_path / "ws") as space:
        registry.publish(space, write_bundle(space.bundles_path, contents), "a test")
    return tmp_path / "ws"


def test_every_block_of_the_page_runs(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for language, code in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            exec(code, {})
            continue
        for line in code.splitlines():
            done = CliRunner().invoke(app, shlex.split(line)[1:])
            assert done.exit_code == 0, (line, done.output, done.exception)
            said.append(done.stdout)
    shown, as_json, _ = said[0], json.loads(said[1]), capsys.readouterr()
    assert "  why: where is my parcel\n" in shown
    assert len(re.findall(r"(?:\S+ [+-]\d\.\d\d(?:   |$)){4}", shown, re.MULTILINE)) == 2
    (why,), (prediction,) = as_json["explanations"], as_json["predictions"]
    assert why["label"] == prediction["intent"]
    assert why["probability"] == pytest.approx(prediction["confidence"], abs=1e-6)
    assert [word["text"] for word in why["words"]] == ["where", "is", "my", "parcel"]


def test_without_explain_nothing_is_explained(workspace: Path) -> None:
    done = CliRunner().invoke(app, ["predict", "hello", "--json"])
    assert set(json.loads(done.stdout)) == {"predictions", "bundle"}
    assert "why:" not in CliRunner().invoke(app, ["predict", "hello"]).stdout
