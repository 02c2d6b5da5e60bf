"""The example of the page on jobs runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "many-models.md"


@pytest.mark.weights
def test_the_example_of_the_page_on_jobs_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for line in ("ada done ('parcel', 'refund')", "bo done ('parcel', 'refund')"):
        assert line in done.stdout
    assert (tmp_path / "jobs" / "ada.npy").is_file()
