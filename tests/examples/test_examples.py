"""The numbered examples run as they stand, with a tiny backbone in place of the real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tailorbird.testing import write_tiny_backbone

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[0-9][0-9]_*.py"))
SAID = {"01_build_and_ask": "I want my money back\n  "}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    tiny = write_tiny_backbone(tmp_path / "tiny")
    done = subprocess.run(
        [sys.executable, str(path), f"model.backbone={tiny}", "tuning.n_epochs=1"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert SAID.get(path.stem, "") in done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80
