"""The page on folds and labels works: every block is run, in order."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "folds-and-labels.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def as_script(markdown: str) -> str:
    """All blocks as one script of the shell; it stops at the first that fails."""
    parts = ["set -euo pipefail"]
    for language, code in BLOCK.findall(markdown):
        parts.append(code if language == "bash" else f"python - <<'END'\n{code}END\n")
    return "\n".join(parts)


@pytest.mark.weights
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", as_script(PAGE.read_text(encoding="utf-8"))],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=570,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    for sentence in ("are doubtful", "corrected_labels.csv: labels for", "soup", "single best"):
        assert sentence in done.stdout, done.stdout[-4000:]
    with (tmp_path / "corrected_labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(row["label"] != row["was"] for row in rows)
