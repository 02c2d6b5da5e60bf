"""What a user installs: pins that fit, one torch everywhere, a wheel with all its files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def requirements() -> list[Requirement]:
    optional = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in optional for line in extra)]
    return [Requirement(line) for line in lines]


def test_every_dependency_is_pinned_to_a_version_that_fits() -> None:
    pinned = pins()
    wrong = [
        str(needed)
        for needed in requirements()
        if not needed.specifier.contains(pinned[needed.name.lower().replace("_", "-")])
    ]
    assert wrong == []


def test_one_torch_that_ordinary_installs_find() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert pins()["torch"] == "2.13.0"
    assert "torch==2.13.0" in PROJECT["dependencies"]
    assert re.findall(r"torch==(\S+)", makefile) == ["2.13.0"]
    assert not [version for version in pins().values() if "+" in version]


def test_wheel_carries_every_file_of_the_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(
        ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for path in ROOT.iterdir():
        if path.is_file() and path.suffix in {".toml", ".md", ""}:
            shutil.copyfile(path, source / path.name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(source / "src").as_posix()
        for path in (source / "src" / "tailorbird").rglob("*")
        if path.is_file()
    }
    assert wanted - packed == set()
    assert any(name.endswith("licenses/LICENSE") for name in packed)
