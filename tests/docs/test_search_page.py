"""The page about searching works: its blocks are run in order, on a tiny model and few trials."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tailorbird.testing import write_tiny_backbone

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "search.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def as_script(markdown: str, tiny: Path) -> str:
    """All blocks as one script; trials are few and quick, and nothing is installed."""
    parts = ["set -euo pipefail"]
    for language, code in BLOCK.findall(markdown):
        parts.append(code if language == "bash" else f"python - <<'END'\n{code}END\n")
    quick = "--set tuning.n_epochs=1 --set tuning.dtype=float32 --set evaluation.baselines=false"
    script = "\n".join(parts).replace("--method lora", f"--method lora --backbone {tiny} {quick}")
    script = re.sub(r"^pip install .*$", "", script, flags=re.MULTILINE)
    script = script.replace("--trials 16", "--trials 2").replace("--trials 6", "--trials 1")
    return script.replace("--trials 8", "--trials 2").replace("n_trials=9", "n_trials=3")


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    tiny = write_tiny_backbone(tmp_path / "tiny", n_layers=6)
    script = as_script(PAGE.read_text(encoding="utf-8"), tiny)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": path}
    environment.pop("TAILORBIRD_WORKSPACE", None)
    run = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=570,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-4000:]
    for sentence in (
        "search: tuning.learning_rate=",  # what is searched, and why
        "use it: tailorbird build",
        "trial 0: accuracy",
        "n_trials=20, sampler='grid'",
    ):
        assert sentence in run.stdout, run.stdout[-4000:]
