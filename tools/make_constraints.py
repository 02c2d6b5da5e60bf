"""Write constraints.txt anew: every version of one resolve of the core and all extras.

Nothing is installed; pip is asked what it would install. The packages that ship weights stay as
they are, because their checksums are known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
WEIGHTS_HEADING = "# Packages that ship pretrained weights"
HEADING = (
    "# Every version, pinned: one resolve of the core, every extra and the peers we compare with.\n"
    "# Made anew by: make constraints\n"
)


def resolve(requirement: str) -> list[str]:
    """``name==version`` of all that pip would install for *requirement* into an empty place."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report)]
        subprocess.run(
            [sys.executable, "-m", "pip", *command, requirement, "setuptools"], cwd=ROOT, check=True
        )
        packages = json.loads(report.read_text(encoding="utf-8"))["install"]
    pins = {}
    for package in packages:
        name = package["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        # A local build ("+cpu") cannot be found by an ordinary install; the public version can.
        pins[name] = package["metadata"]["version"].partition("+")[0]
    return [f"{name}=={version}" for name, version in sorted(pins.items()) if name != "tailorbird"]


def main() -> None:
    """Resolve, then replace all of the file but the weights."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = ",".join(project["optional-dependencies"])
    before = CONSTRAINTS.read_text(encoding="utf-8")
    weights = before[before.index(WEIGHTS_HEADING) :]
    pins = resolve(f".[{extras}]")
    CONSTRAINTS.write_text(HEADING + "\n".join(pins) + "\n" + weights, encoding="utf-8")
    changed = sorted(set(pins) - set(before.splitlines()))
    print(f"{len(pins)} versions, {len(changed)} new: {' '.join(changed)}")


if __name__ == "__main__":
    main()
