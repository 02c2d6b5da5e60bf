"""The manifest: every file of a bundle with its size and sha256; its own hash is the id."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tailorbird.errors import BundleError, CorruptBundleError

FORMAT = "tailorbird-bundle/1"
NAME = "manifest.json"
PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
"""Files that may hold a pickle, which runs code when it is read."""

_MEND = "build it again, or roll back to another bundle"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the manifest says about one file."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every file of a bundle but the manifest itself, by its path with forward slashes."""

    files: Mapping[str, FileEntry]

    @property
    def id(self) -> str:
        """16 hex digits that depend on nothing but names and bytes of the files."""
        return hashlib.sha256(_canonical(self._content())).hexdigest()[:16]

    def to_bytes(self) -> bytes:
        """The manifest file; the same files give the same bytes."""
        return _canonical({"id": self.id, **self._content()}, indent=2) + b"\n"

    def _content(self) -> dict[str, Any]:
        rows = {
            name: {"sha256": entry.sha256, "size_bytes": entry.size_bytes}
            for name, entry in self.files.items()
        }
        return {"format": FORMAT, "files": rows}


def entry_of(path: Path) -> FileEntry:
    """Size and sha256 of a file, read as a stream."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(digest, os.fstat(file.fileno()).st_size)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in *folder*, checked for sense but not yet against the files.

    Raises CorruptBundleError where it is missing, cut short, altered, or names a path outside.
    """
    path = folder / NAME
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CorruptBundleError(
            f"has no {NAME} that can be read ({error.strerror})",
            where=str(folder),
            cure="name a folder made by: tailorbird bundle",
        ) from error
    try:
        table = json.loads(raw)
        kind, stated_id = table["format"], table["id"]
        files = {
            name: FileEntry(str(row["sha256"]), int(row["size_bytes"]))
            for name, row in table["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptBundleError(
            f"is cut short or not a manifest ({type(error).__name__}: {error})",
            where=str(path),
            cure=_MEND,
        ) from error
    if kind != FORMAT:
        raise BundleError(
            f"has format {kind!r}, this version reads {FORMAT!r}",
            where=str(path),
            cure="load it with the version of Tailorbird that wrote it",
        )
    for name in files:
        _check_name(name, path)
    manifest = Manifest(files)
    if raw != manifest.to_bytes() or stated_id != manifest.id:
        raise CorruptBundleError(
            f"was altered: its content gives the id {manifest.id}, it says {stated_id}",
            where=str(path),
            cure=_MEND,
        )
    return manifest


def check_files(folder: Path, manifest: Manifest, *, verify: bool = True) -> None:
    """Compare the files of *folder* with its manifest; without *verify*, names and sizes only.

    Raises CorruptBundleError for the first file that is missing, extra, linked or altered.
    """
    found = set(files_in(folder)) - {NAME}
    for name in sorted(manifest.files.keys() - found):
        raise CorruptBundleError("is missing", where=str(folder / name), cure=_MEND)
    for name in sorted(found - manifest.files.keys()):
        raise CorruptBundleError(
            "is not listed in the manifest",
            where=str(folder / name),
            cure="nobody should add files to a bundle: move it away",
        )
    for name, expected in manifest.files.items():
        path = folder / name
        size_bytes = path.stat().st_size
        if size_bytes != expected.size_bytes:
            raise CorruptBundleError(
                f"has {size_bytes:,} bytes, the manifest says {expected.size_bytes:,}",
                where=str(path),
                cure=_MEND,
            )
        if verify and entry_of(path) != expected:
            raise CorruptBundleError(
                "was altered: its sha256 differs from the manifest", where=str(path), cure=_MEND
            )


def files_in(folder: Path) -> Iterator[str]:
    """Relative paths of all files below *folder*, with forward slashes.

    Raises BundleError for a link, which could lead outside, and for what may hold a pickle.
    """
    for root, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(root, name)
            if path.is_symlink():
                raise CorruptBundleError(
                    "is a link", where=str(path), cure="a bundle holds plain files only"
                )
            if path.is_dir():
                continue
            refuse_pickle(path)
            yield path.relative_to(folder).as_posix()


def refuse_pickle(path: Path) -> None:
    """Raise BundleError where the suffix says that *path* may hold a pickle."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise BundleError(
            f"{path.suffix} files may hold a pickle, which can run code when it is read",
            where=str(path),
            cure="save the weights as safetensors",
        )


def _check_name(name: str, manifest: Path) -> None:
    pure = PurePosixPath(name)
    is_plain = name == pure.as_posix() and not pure.is_absolute() and name not in (".", NAME)
    if not is_plain or ".." in pure.parts or "\\" in name or ":" in name or "\0" in name:
        raise CorruptBundleError(
            f"names {name!r}, which is not a plain path inside the bundle",
            where=str(manifest),
            cure="do not use this bundle: nobody's build writes such a path",
        )
    refuse_pickle(manifest.parent / name)


def _canonical(value: Any, indent: int | None = None) -> bytes:
    separators = (",", ":") if indent is None else None
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, indent=indent, separators=separators
    ).encode("utf-8")
