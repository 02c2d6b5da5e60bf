"""Parquet by record batches, and NumPy arrays without pickle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tailorbird.data.files import LogFile
from tailorbird.data.rows import Note, Row
from tailorbird.errors import DataError, RowError

_BATCH_ROWS = 1_000


def read_parquet(file: LogFile, note: Note) -> Iterator[Row]:
    """Rows of a Parquet file, a thousand at a time; columns of raw bytes are left out."""
    import pyarrow
    import pyarrow.parquet

    with _on_disk(file) as path:
        try:
            source = pyarrow.parquet.ParquetFile(path)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"is not a Parquet file: {error}", where=file.name) from error
        with source:
            schema = source.schema_arrow
            columns = [field.name for field in schema if not _is_bytes(field.type)]
            number = 0
            for batch in source.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, values)


def _is_bytes(kind: Any) -> bool:
    import pyarrow.types

    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def read_npy(file: LogFile, note: Note) -> Iterator[Row]:
    """Rows of a one-dimensional array of strings (column ``text``) or of a structured array.

    Raises DataError for anything else; pickled objects are never loaded.
    """
    import numpy

    with _on_disk(file) as path:
        try:
            array = numpy.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise DataError(
                f"cannot be read without unpickling, which could run foreign code: {error}",
                where=file.name,
                cure="save it with a string dtype, as np.array(texts, dtype=str), or as JSONL",
            ) from error
        names = array.dtype.names
        if array.ndim != 1 or not (names or array.dtype.kind in "US"):
            raise DataError(
                f"holds numbers of shape {array.shape}, not texts",
                where=file.name,
                cure="save a one-dimensional array of strings or a structured array",
            )
        for number, item in enumerate(array, 1):
            found = dict(zip(names, item, strict=True)) if names else {"text": item}
            try:
                yield Row(number, {name: _plain(value) for name, value in found.items()})
            except UnicodeDecodeError:
                problem = RowError("holds bytes that are not UTF-8", cure="save it with dtype=str")
                yield Row(number, raw=str(found), error=problem)


def _plain(value: Any) -> Any:
    """The Python value of a NumPy scalar."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value.item() if hasattr(value, "item") else value


@contextmanager
def _on_disk(file: LogFile) -> Iterator[Path]:
    """The file itself, or an uncompressed copy: these formats are read from their end."""
    if not file.is_compressed:
        yield file.path
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "uncompressed"
        with file.open_binary() as packed, path.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        yield path
