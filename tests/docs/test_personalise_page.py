"""The page about personalising works: its blocks are run in order, on a tiny model."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.bundle import registry
from tailorbird.cli import app
from tailorbird.store import Workspace
from tailorbird.testing import write_tiny_backbone

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "personalise.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = "--set evaluation.baselines=false --set evaluation.n_bootstrap=10"


def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILORBIRD_WORKSPACE", raising=False)
    (tmp_path / "examples" / "logs").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "logs" / "ratings.jsonl", tmp_path / "examples" / "logs")
    tiny = write_tiny_backbone(tmp_path / "tiny")
    page = PAGE.read_text(encoding="utf-8")
    page = page.replace("ratings.jsonl --", f"ratings.jsonl --backbone {tiny} {QUICK} --")
    said = ""
    for language, code in BLOCK.findall(page):
        if language == "python":
            exec(code, {})
            continue
        for line in code.replace("\\\n", " ").splitlines():
            if "tailorbird serve" not in line:  # it would not end
                done = CliRunner().invoke(app, shlex.split(line)[1:])
                assert done.exit_code == 0, (line, done.output, done.exception)
                said += done.output
    assert "no bundle: an assistant learns one label a text" in said  # of numbers
    assert "nothing of theirs was found" in said
    assert "users have something of their own" in capsys.readouterr().out
    with Workspace.open(tmp_path / "stars") as workspace:
        live = registry.live_bundle(workspace)
        assert live is not None
        assert (workspace.adapters_path / live.id / "index.db").is_file()
