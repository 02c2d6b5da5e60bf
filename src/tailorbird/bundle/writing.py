"""Writing a bundle: into a hidden folder first, which becomes the bundle in one rename."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tailorbird.bundle import templates as answers
from tailorbird.bundle.card import CardFacts, model_card
from tailorbird.bundle.loading import Bundle, load_bundle
from tailorbird.bundle.manifest import (
    NAME,
    FileEntry,
    Manifest,
    check_files,
    entry_of,
    read_manifest,
    refuse_pickle,
)
from tailorbird.errors import BundleError
from tailorbird.store import files

PARTIAL = ".partial-"
STALE_S = 24 * 3600.0
"""Age from which a partial folder belongs to a writer that was killed."""


@dataclass(frozen=True, slots=True)
class BundleContents:
    """What goes into a bundle."""

    model_folder: Path
    """Made by `tailorbird.modeling.save_model`."""
    labels: Sequence[str]
    templates: Mapping[str, Mapping[str, Sequence[str]]]
    settings: Mapping[str, Any]
    report: Mapping[str, Any]
    temperature: float
    threshold: float
    report_html: Path | None = None
    scope: Mapping[str, bytes] = field(default_factory=dict)
    """The files of a `tailorbird.scope.ScopeScorer`; none: the confidence says what is in scope."""
    consume_model: bool = False
    """The files of *model_folder* may be taken instead of copied; the folder is then gone."""


def write_bundle(folder: str | Path, contents: BundleContents) -> Bundle:
    """Make the bundle ``folder/<id>`` and load it; the same content again is found, not copied.

    Whatever interrupts it, the folder then holds the whole bundle or nothing of it. Raises
    BundleError where the contents do not fit together or the disk is full.
    """
    folder = Path(folder).absolute()
    _check(contents)
    with staging_folder(folder) as staging:
        model_files = _place_model(contents, staging / "model")
        texts = _texts(contents, model_files)
        for name, data in texts.items():
            (staging / name).write_bytes(data)
        entries = {name: entry_of(staging / name) for name in texts}
        manifest = Manifest(entries | model_files)
        (staging / NAME).write_bytes(manifest.to_bytes())
        target = settle(staging, folder / manifest.id)
    if contents.consume_model:
        shutil.rmtree(contents.model_folder)
    return load_bundle(target, verify=False)


def adopt_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """Copy a bundle from elsewhere to ``folder/<id>``, checked on arrival."""
    with staging_folder(folder) as staging:
        for name in [*read_manifest(bundle.path).files, NAME]:
            _copy(bundle.path / name, staging / name)
        check_files(staging, read_manifest(staging))
        target = settle(staging, folder / bundle.id)
    return load_bundle(target, verify=False, load_model=bundle.load_model)


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside the bundles, gone afterwards unless `settle` renamed it.

    Also clears away what writers left that were killed long ago. A full or read-only disk
    becomes a BundleError.
    """
    staging = folder / f"{PARTIAL}{uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{PARTIAL}*"):
            if time.time() - left.stat().st_mtime > STALE_S:
                shutil.rmtree(left, ignore_errors=True)
        staging.mkdir()
        yield staging
    except OSError as error:
        raise BundleError(
            f"the bundle cannot be written ({error.strerror})",
            where=str(error.filename or folder),
            cure="free some space or make the folder writable",
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def settle(staging: Path, target: Path) -> Path:
    """Give the finished folder its name, in one step and for good; returns *target*."""
    for path in (staging, *staging.rglob("*")):
        files.sync(path)
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _keep_or_replace(target, staging)
    files.sync(target.parent)
    return target


def _keep_or_replace(target: Path, staging: Path) -> None:
    """The same content is there already: keep it if it is whole, else put the new one there."""
    try:
        check_files(target, read_manifest(target))
    except BundleError:
        damaged = target.with_name(f"{PARTIAL}{uuid4().hex}")
        target.rename(damaged)
        staging.rename(target)
        shutil.rmtree(damaged, ignore_errors=True)


def _check(contents: BundleContents) -> None:
    labels = list(contents.labels)
    where = str(contents.model_folder)
    if not labels or len(set(labels)) != len(labels):
        raise BundleError(f"labels {labels[:5]} are empty or repeated", where=where)
    if not contents.temperature > 0:
        raise BundleError(f"temperature {contents.temperature} is not above 0", where=where)
    if not 0 <= contents.threshold <= 1:
        raise BundleError(f"threshold {contents.threshold} is not between 0 and 1", where=where)
    if not contents.model_folder.is_dir():
        raise BundleError(
            "there is no saved model here", where=where, cure="tune the run first: tailorbird tune"
        )
    page = contents.report_html
    if page is not None and not page.is_file():
        raise BundleError("is missing", where=str(page), cure="evaluate the run first")


def _texts(contents: BundleContents, model_files: Mapping[str, FileEntry]) -> dict[str, bytes]:
    """The files beside the model; they depend on the contents and on nothing else."""
    templates = answers.check(contents.templates, contents.labels, where="templates")
    values = {
        "labels.json": list(contents.labels),
        "templates.json": templates,
        "calibration.json": {
            "temperature": contents.temperature,
            "threshold": contents.threshold,
        },
        "settings.json": contents.settings,
        "report.json": contents.report,
    }
    texts = {name: files.to_json_bytes(value, where=name) for name, value in values.items()}
    if contents.report_html is not None:
        texts["report.html"] = contents.report_html.read_bytes()
    texts |= contents.scope
    facts = CardFacts(
        contents.report,
        contents.settings,
        contents.labels,
        contents.temperature,
        contents.threshold,
        checksums={name: entry.sha256 for name, entry in model_files.items()},
    )
    return texts | {"MODEL_CARD.md": model_card(facts).encode("utf-8")}


def _place_model(contents: BundleContents, target: Path) -> dict[str, FileEntry]:
    """Put the files of the model below *target*; returns their manifest entries."""
    sources = sorted(path for path in contents.model_folder.rglob("*") if path.is_file())
    if not any(path.suffix == ".safetensors" for path in sources):
        raise BundleError(
            "holds no safetensors file", where=str(contents.model_folder), cure="save the model"
        )
    entries: dict[str, FileEntry] = {}
    for source in sources:
        refuse_pickle(source)
        name = source.relative_to(contents.model_folder).as_posix()
        place = target / name
        if not (contents.consume_model and _link(source, place)):
            _copy(source, place)
        entries[f"model/{name}"] = entry_of(place)
    return entries


def _link(source: Path, place: Path) -> bool:
    """Share the bytes of a file that is about to go; False where the disk cannot."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() or source.stat().st_nlink > 1:
        return False  # somebody else could change the bytes later
    try:
        place.hardlink_to(source)
    except OSError:
        return False
    return True


def _copy(source: Path, place: Path) -> None:
    """Copy a file's bytes in the kernel; a file system that can shares them until one changes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not hasattr(os, "copy_file_range"):
        shutil.copyfile(source, place)
        return
    with source.open("rb") as reader, place.open("wb") as writer:
        left = os.fstat(reader.fileno()).st_size
        try:
            while left > 0:
                n_copied = os.copy_file_range(reader.fileno(), writer.fileno(), left)
                if n_copied == 0:
                    break
                left -= n_copied
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
                raise
            reader.seek(0)
            writer.seek(0)
            shutil.copyfileobj(reader, writer, 1 << 20)
