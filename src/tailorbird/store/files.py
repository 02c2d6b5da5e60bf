"""Files that are either the old ones or the new ones, whatever interrupts the writing."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from tailorbird.errors import StoreError


def write_atomically(path: Path, data: bytes) -> None:
    """Put *data* at *path* in one step: temporary file, fsync, rename, fsync of the folder.

    Raises StoreError where the disk is full or the folder cannot be written; the old file, if
    there was one, is then still there.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # mkstemp gives 0600
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
        sync(path.parent)
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            where=str(path),
            cure="free some space or make the folder writable",
        ) from error


def sync(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, survive a power cut (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_json_bytes(value: Any, *, where: str) -> bytes:
    """Indented UTF-8 JSON, Chinese left readable.

    Raises StoreError for NaN and infinity, which JSON does not have.

    >>> to_json_bytes({"意图": 1}, where="a.json").decode()
    '{\\n  "意图": 1\\n}\\n'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    except ValueError as error:
        raise StoreError(
            f"a value cannot be written as JSON ({error})",
            where=where,
            cure="store null where a number is not defined",
        ) from error
    return (text + "\n").encode("utf-8")
