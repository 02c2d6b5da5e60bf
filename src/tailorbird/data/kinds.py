"""Kinds of files that are no logs, by name and by first bytes, and what to do with each."""

from __future__ import annotations

from collections.abc import Collection

from tailorbird.data.files import LogFile
from tailorbird.errors import DataError

_UNPACK = "unpack it and give the file or folder inside"
_TABLE = "save the sheet as CSV, in UTF-8"
_LINES = "write CSV with a first line of column names, or one JSON object a line (.jsonl)"
_DATABASE = "give it as a URL, as sqlite:///shop.db, with --table"

_CURES = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst"), _UNPACK),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _TABLE),
    **dict.fromkeys((".txt", ".log", ".md", ".conll", ".xml", ".html"), _LINES),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), _DATABASE),
    ".npz": "save one array of strings as .npy",
    ".pkl": "pickles can run foreign code: save it as JSONL, CSV or Parquet",
    ".pickle": "pickles can run foreign code: save it as JSONL, CSV or Parquet",
}

# The first bytes of a file, what they say it is, and the cure.
_STARTS = (
    (b"PK\x03\x04", "a ZIP archive (.xlsx files are, too)", f"{_UNPACK}, or {_TABLE}"),
    (b"\x1f\x8b", "gzipped", "give its name the ending .gz"),
    (b"%PDF-", "a PDF", _LINES),
    (b"\x89PNG", "a picture", "give a file of texts"),
    (b"\xff\xd8\xff", "a picture", "give a file of texts"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", _TABLE),
    (b"SQLite format 3\0", "an SQLite database", _DATABASE),
    (b"PAR1", "a Parquet file", "give its name the ending .parquet"),
    (b"\x93NUMPY", "a NumPy array", "give its name the ending .npy"),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ", "an xz archive", _UNPACK),
)
_OWN = {b"PAR1": ".parquet", b"\x93NUMPY": ".npy"}


def check_kind(file: LogFile, known: Collection[str]) -> None:
    """Raise DataError where *file* is of no *known* kind, or is not what its name says."""
    if file.suffix not in known:
        cure = _CURES.get(file.path.suffix.lower()) or _CURES.get(file.suffix)
        listed = f"known kinds, each also as .gz: {', '.join(known)}"
        raise DataError(
            f"files of kind {file.suffix!r} are not read"
            if file.suffix
            else "the name has no ending such as .csv that says the kind of file",
            where=file.name,
            cure=f"{cure}; {listed}" if cure else listed,
        )
    if not file.path.is_file():
        raise DataError("is no regular file", where=file.name, cure="write it to a file first")
    with file.path.open("rb") as handle:
        start = handle.read(16)
    if file.is_compressed:
        if start and not start.startswith(b"\x1f\x8b"):
            raise DataError(
                "is not gzipped, whatever its name says",
                where=file.name,
                cure="take .gz off its name",
            )
        return
    for magic, kind, cure in _STARTS:
        if start.startswith(magic) and _OWN.get(magic) != file.suffix:
            raise DataError(f"is {kind}, whatever its name says", where=file.name, cure=cure)
