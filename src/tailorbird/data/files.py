"""Log files on disk: gzip, text encodings, and folders that hold several of them."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from tailorbird.data.rows import Note
from tailorbird.errors import ConfigError, DataError
from tailorbird.records import SPLITS, SplitName
from tailorbird.text import han_fraction

SAMPLE_BYTES = 1_000_000
"""How much of a file is looked at to find its encoding."""

_SPLIT_FILE = re.compile(
    r"(?:.*[\d_-])?(?P<split>train|training|valid|validation|val|dev|test)(?:-\d+-of-\d+)?",
    re.IGNORECASE,
)
_SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_HIGH_RUN = re.compile(b"[\x80-\xff]{2,}")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of a source and the name that messages call it by."""

    path: Path
    name: str
    split: SplitName | None = None
    encoding: str = ""

    @property
    def suffix(self) -> str:
        """The lower-case suffix, without ``.gz``: ``.csv`` of ``a.csv.gz``."""
        return suffix_of(self.path)

    @property
    def is_compressed(self) -> bool:
        """Whether the file is read through gzip."""
        return self.path.suffix.lower() == ".gz"

    def open_binary(self) -> IO[bytes]:
        """The uncompressed bytes."""
        if self.is_compressed:
            return cast(IO[bytes], gzip.GzipFile(self.path))
        return self.path.open("rb")

    def open_text(self, note: Note, newline: str = "\n") -> io.TextIOWrapper:
        """The decoded text; bytes outside the encoding become lone surrogates, never errors."""
        encoding = self.encoding
        if encoding:
            try:
                codecs.lookup(encoding)
            except LookupError as error:
                raise ConfigError(
                    f"reading.encoding = {encoding!r} is not an encoding",
                    cure="use utf-8, gb18030, big5, …",
                ) from error
        else:
            with self.open_binary() as handle:
                sample = handle.read(SAMPLE_BYTES)
            encoding = detect_encoding(sample)
            if encoding not in ("utf-8", "utf-8-sig"):
                note(f"encoding: {encoding} (detected; the file is not UTF-8)")
        if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
            encoding = "utf-8-sig"  # the same, without a byte order mark in the first field
        return io.TextIOWrapper(
            self.open_binary(),
            encoding=encoding,
            errors="surrogateescape",
            newline=newline,
        )


def suffix_of(path: Path) -> str:
    """The suffix that says the format.

    >>> suffix_of(Path("train.CSV.gz"))
    '.csv'
    """
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def detect_encoding(sample: bytes) -> str:
    """The encoding of the beginning of a file, UTF-8 wherever that is possible.

    >>> detect_encoding("我要退货，谢谢".encode("gbk"))
    'gb18030'
    """
    for bom, name in _BOMS:
        if sample.startswith(bom):
            return name
    if b"\0" in sample and (wide := _wide_encoding(sample)):
        return wide
    lines = [line for line in sample.split(b"\n") if not line.isascii()]
    if len(sample) >= SAMPLE_BYTES:
        lines = lines[:-1]  # the last one may be cut inside a character
    if not lines or _decoded_share(lines, "utf-8") >= 0.5:
        return "utf-8"
    if _decoded_share(lines, "gb18030") >= 0.9:
        text = b"\n".join(lines).decode("gb18030", "ignore")
        if han_fraction([text]) >= 0.05 and _is_common_chinese(text):
            return "gb18030"
    # Accents stand alone among ASCII letters; other scripts, in one byte or two, come in runs.
    n_high = sum(byte > 0x7F for line in lines for byte in line)
    n_in_runs = sum(len(run) for line in lines for run in _HIGH_RUN.findall(line))
    if n_high < 0.2 * sum(map(len, lines)) or n_in_runs < 0.1 * n_high:
        with contextlib.suppress(UnicodeDecodeError):
            b"\n".join(lines).decode("cp1252")
            return "cp1252"  # mostly ASCII letters with an accent here and there: Western text
    import charset_normalizer

    best = charset_normalizer.from_bytes(b"\n".join(lines[:2000])).best()
    return best.encoding if best is not None else "utf-8"


def _wide_encoding(sample: bytes) -> str:
    """UTF-16 without a byte order mark, told by its ASCII signs; empty where it is not that."""
    in_even, in_odd = sample[::2].count(0), sample[1::2].count(0)
    name = "utf-16-le" if in_odd > in_even else "utf-16-be"
    text = sample[: len(sample) // 2 * 2].decode(name, "replace")
    is_text = "\0" not in text and "\n" in text and text.count("\ufffd") <= 1  # cut at the end
    return name if is_text and in_even + in_odd >= 0.02 * len(sample) else ""


def _decoded_share(lines: Sequence[bytes], encoding: str) -> float:
    n_good = 0
    for line in lines:
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            continue
        n_good += 1
    return n_good / len(lines)


def _is_common_chinese(text: str) -> bool:
    """Whether the Chinese characters are mostly of GB 2312 level 1, as real sentences are."""
    n_han = n_common = 0
    for character in text:
        if "\u4e00" <= character <= "\u9fff":
            n_han += 1
            code = character.encode("gb18030")
            n_common += len(code) == 2 and 0xB0 <= code[0] <= 0xD7 and code[1] >= 0xA1
    return n_han > 0 and n_common / n_han >= 0.7


def list_folder(folder: Path, suffixes: Iterable[str], note: Note) -> list[LogFile]:
    """The log files of a folder; files named train, valid/dev, test become given splits.

    Raises DataError where no file is of a known kind or two files claim to be one split.
    """
    known = set(suffixes)
    inside = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    logs = [path for path in inside if suffix_of(path) in known]
    # A plain text beside data is a licence or a note.
    logs = [path for path in logs if suffix_of(path) != ".txt"] or logs
    if not logs:
        found = ", ".join(path.name for path in inside[:8]) or "no file"
        below = sorted(
            p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")
        )
        cure = f"known kinds: {', '.join(sorted(known))}"
        if below:
            cure = f"folders inside are not searched, give one of them: {', '.join(below[:8])}"
        raise DataError(
            f"the folder holds no log file (found: {found})", where=str(folder), cure=cure
        )
    splits = {path: split for path in logs if (split := _split_of(path)) is not None}
    if "train" in splits.values() and len(set(splits.values())) > 1:
        _check_one_file_per_split(splits, folder)
        others = [path.name for path in logs if path not in splits]
        if others:
            note(f"folder: train and test files found, so left out: {', '.join(others)}")
        given = sorted(splits.items(), key=lambda item: (SPLITS.index(item[1]), item[0].name))
        return [LogFile(path, path.name, split) for path, split in given]
    left_out = [path.name for path in inside if path not in logs]
    if left_out:
        note(f"folder: not log files, left out: {', '.join(left_out[:8])}")
    return [LogFile(path, path.name) for path in logs]


def _split_of(path: Path) -> SplitName | None:
    """The split that a part of the name ends with: ``train.csv``, ``a.dev.conll``, ``b17train``."""
    for part in path.name.split("."):
        if match := _SPLIT_FILE.fullmatch(part):
            return _SPLIT_NAMES[match["split"].lower()]
    return None


def _check_one_file_per_split(splits: dict[Path, SplitName], folder: Path) -> None:
    whole = {path: split for path, split in splits.items() if "-of-" not in path.name}
    for split, n_files in Counter(whole.values()).items():
        if n_files > 1:
            names = " and ".join(path.name for path, name in whole.items() if name == split)
            raise DataError(
                f"{names} all look like the {split} split", where=folder.name, cure="keep one"
            )
