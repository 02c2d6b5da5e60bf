"""The tutorial works: every block is run, in order, as a newcomer would."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-hour.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def as_script(markdown: str) -> str:
    """All blocks as one script of the shell; it stops at the first that fails."""
    parts = ["set -euo pipefail"]
    for language, code in BLOCK.findall(markdown):
        parts.append(code if language == "bash" else f"python - <<'END'\n{code}END\n")
    return "\n".join(parts)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.weights
def test_every_block_of_the_first_hour_runs(tmp_path: Path) -> None:
    assert shutil.which("curl"), "the tutorial calls the service with curl"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = as_script(TUTORIAL.read_text(encoding="utf-8")).replace("8420", str(free_port()))
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
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
        "damaged_item",  # the teapot that came in pieces
        "Mia takes over in a minute",  # the answer that was edited
        '"intent":"payment_failed"',  # over HTTP
        "rules.toml: labels for",
    ):
        assert sentence in run.stdout, run.stdout[-4000:]


def test_only_blocks_of_bash_and_python_are_run() -> None:
    markdown = "```console\n$ rm -r x\n```\n\n```bash\necho a\n```\n\n```python\nprint(1)\n```\n"
    assert as_script(markdown).splitlines()[1:] == [
        "echo a",
        "",
        "python - <<'END'",
        "print(1)",
        "END",
    ]
