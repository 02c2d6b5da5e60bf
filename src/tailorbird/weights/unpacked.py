"""Folders in the cache: written once, whole or not at all; what was altered is found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from tailorbird.errors import WeightsError

_FORMAT = 1  # of the folders written here; another number makes them anew


def whole_folder(folder: Path, write: Callable[[Path], Mapping[str, Any]]) -> Path:
    """The *folder* as *write* made it; called only where it is missing or damaged.

    *write* gets an empty folder beside the place, fills it, and returns what ``source.json``
    shall say of it. Two processes may ask at once. Raises WeightsError where nothing can be
    written, and what *write* raises.
    """
    if is_intact(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not is_intact(folder):  # else another process was faster
                _replace(folder, write)
    except OSError as error:
        raise WeightsError(
            f"{folder.name} cannot be written ({error})",
            where=str(folder.parent),
            cure="the workspace needs a folder that can be written and 1 GB of free disk",
        ) from error
    return folder


def is_intact(folder: Path) -> bool:
    """Whether every file of an unpacked model is as it was written.

    Sizes and times say so at a glance; where they differ (the cache was copied), checksums do.
    """
    try:
        source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if source.get("format") != _FORMAT:
        return False
    files = {name: folder / name for name in source["sha256"]}
    if not all(path.is_file() for path in files.values()):
        return False
    with suppress(OSError, ValueError):  # not remembered yet: compute
        if json.loads(_seen_path(folder).read_text(encoding="utf-8")) == _seen(files):
            return True
    if any(file_sha256(path) != source["sha256"][name] for name, path in files.items()):
        return False
    with suppress(OSError):  # a cache that cannot be written is checked at every start
        _remember(folder)
    return True


def file_sha256(*paths: Path) -> str:
    """The checksum of a file, or of several one after another, in hex."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write *content* as JSON; a reader sees the old file or the new one, never a part."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _replace(folder: Path, write: Callable[[Path], Mapping[str, Any]]) -> None:
    """Write the folder anew beside its place, then put it there."""
    for leftover in folder.parent.glob(f".{folder.name}-*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        made = Path(temporary) / "new"
        made.mkdir()
        facts = write(made)
        files = sorted(made.iterdir())
        for path in files:
            path.chmod(0o644)  # safetensors writes for the owner alone; a cache may be shared
            with path.open("rb") as file:
                os.fsync(file.fileno())
        checksums = {path.name: file_sha256(path) for path in files}
        write_json(made / "source.json", {"format": _FORMAT, **facts, "sha256": checksums})
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        made.rename(folder)
        _remember(folder)


def _remember(folder: Path) -> None:
    source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    write_json(_seen_path(folder), _seen({name: folder / name for name in source["sha256"]}))


def _seen(files: Mapping[str, Path]) -> dict[str, list[int]]:
    return {
        name: [path.stat().st_size, path.stat().st_mtime_ns] for name, path in sorted(files.items())
    }


def _seen_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.verified.json")
