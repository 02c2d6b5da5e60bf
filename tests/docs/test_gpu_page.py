"""The page about GPUs: its blocks run without one, too, and its settings are settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.config import Settings, override_settings

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "gpu.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.weights
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [language for language, _ in blocks] == ["bash", "python"]
    (_, asked), (_, code) = blocks
    looked = CliRunner().invoke(app, [*asked.split()[1:], "--workspace", str(tmp_path / "new")])
    assert looked.exit_code == 0, looked.output
    assert "GPU" in looked.output
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if not torch.cuda.is_available():
        assert re.fullmatch(r"None (bfloat16|float32) 0\n", done.stdout)


def test_settings_of_the_page_are_settings() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"`((?:tuning|model)\.\w+)(?:=(\d+))?`", page)
    assert len(named) >= 4
    for name, value in named:
        override_settings(Settings(), [f"{name}={value or 0}"])
