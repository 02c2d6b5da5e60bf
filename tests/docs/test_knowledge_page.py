"""The page about knowledge works: its blocks are run in order, on a tiny encoder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "knowledge.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_backbone: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    page = PAGE.read_text(encoding="utf-8")
    page = page.replace(
        "add examples/knowledge",
        f"add examples/knowledge --encoder {tiny_backbone}",
    )
    said = ""
    for language, code in BLOCK.findall(page):
        if language == "python":
            exec(code, {})
            continue
        for line in code.splitlines():
            done = CliRunner().invoke(app, shlex.split(line)[1:])
            assert done.exit_code == 0, (line, done.output, done.exception)
            said += done.output
    assert "zh/returns.md" in said
    assert "0 new or changed, 12 unchanged" in said
    assert "✓ en/membership.md is removed" in said
    assert "holidays.md › 放假" in capsys.readouterr().out
