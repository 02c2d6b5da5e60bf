"""A growing file of states, and an index that says which text is where in it.

    KEY.states   one row of D fp32 numbers a token, texts one after another
    KEY.index    8 bytes that name the form, then 32 bytes a text: its hash (16), its first row (8),
                 its rows (4), and the crc32 of these (4); numbers are little-endian

Rows are on the disk before the entries that name them. A process that is killed leaves rows without
an entry, or half an entry; both are cut off by the next that appends, and what came before them is
valid. Opening, appending and evicting happen under one lock a folder, so that several processes may
use it at once; a file that is evicted while it is open stays readable until it is closed (POSIX).
"""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

FORM = b"TBtrunk1"
LOCK_TIMEOUT_S = 60.0
RESERVE_BYTES = 2**29
"""So much of the disk is left to others, checkpoints before all."""

_ENTRY = struct.Struct("<16sQI")
_CRC = struct.Struct("<I")
_ENTRY_BYTES = _ENTRY.size + _CRC.size


class TrunkFile:
    """The states that one trunk made of texts, on disk; open it in a ``with``.

    Args:
        folder: made if missing; holds the files of several trunks.
        key: names the trunk, as a file name.
        width: D.

    Raises OSError where the folder cannot be used.
    """

    def __init__(self, folder: Path, key: str, width: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.key = key
        self.width = width
        self.row_bytes = 4 * width
        self.n_rows = 0
        self.entries: dict[bytes, tuple[int, int]] = {}
        """(first row, rows) of each text, by its hash."""
        self._lock = FileLock(folder / ".lock", timeout=LOCK_TIMEOUT_S)
        self._index_bytes = 0  # of the valid part
        with self._lock:
            self._states = _open(folder / f"{key}.states")
            try:
                self._index = _open(folder / f"{key}.index")
            except BaseException:
                self._states.close()
                raise
            self._read()
        with suppress(OSError):
            os.utime(folder / f"{key}.states")  # evicted is what was used longest ago

    def __enter__(self) -> TrunkFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._states.close()
        self._index.close()

    @property
    def n_bytes(self) -> int:
        """Bytes of all valid rows."""
        return self.n_rows * self.row_bytes

    def make_room(self, n_bytes: int, *, limit_bytes: int) -> int:
        """Bytes that may be appended here, at most *n_bytes*.

        Files of other trunks are removed where the folder would grow beyond *limit_bytes*, the one
        used longest ago first; this one's own are never.
        """
        with self._lock:
            own = self.folder / f"{self.key}.states"
            others = [path for path in self.folder.glob("*.states") if path != own]
            others.sort(key=lambda path: path.stat().st_mtime_ns)
            sizes = {path: path.stat().st_size for path in others}
            used = self.n_bytes + sum(sizes.values())
            for path in others:
                if used + n_bytes <= limit_bytes:
                    break
                with suppress(OSError):  # open elsewhere (Windows)
                    path.with_suffix(".index").unlink(missing_ok=True)
                    path.unlink()
                    used -= sizes[path]
        free = shutil.disk_usage(self.folder).free - RESERVE_BYTES
        return max(0, min(n_bytes, limit_bytes - used, free))

    def append(self, texts: Sequence[tuple[bytes, int]], states: NDArray[np.float32]) -> None:
        """Add texts, each a hash and its number of tokens, with their *states* (T, D) in order.

        Those that another process has added meanwhile are left out. Raises OSError where the disk
        is full; what was there before stays valid.
        """
        with self._lock:
            self._read()
            index: list[bytes] = []
            rows: list[NDArray[np.float32]] = []
            start, added = 0, {}
            n_rows = self.n_rows
            for name, n_tokens in texts:
                if name not in self.entries and name not in added:
                    entry = _ENTRY.pack(name, n_rows, n_tokens)
                    index.append(entry + _CRC.pack(zlib.crc32(entry)))
                    rows.append(states[start : start + n_tokens])
                    added[name] = (n_rows, n_tokens)
                    n_rows += n_tokens
                start += n_tokens
            if not added:
                return
            _write(self._states, self.n_bytes, np.concatenate(rows).tobytes())
            if self._index_bytes == 0:
                index.insert(0, FORM)
            _write(self._index, self._index_bytes, b"".join(index))
            self._index_bytes += sum(map(len, index))
            self.entries |= added
            self.n_rows = n_rows

    def rows(self) -> NDArray[np.float32]:
        """(all rows, D), mapped and not read; it outlives the file's being closed."""
        if self.n_rows == 0:
            return np.empty((0, self.width), np.float32)
        return np.memmap(self._states, np.float32, mode="r", shape=(self.n_rows, self.width))

    def _read(self) -> None:
        """Take in the entries that were added since the last time, up to the first invalid one."""
        self._index.seek(self._index_bytes)
        content = self._index.read()
        if self._index_bytes == 0:
            if not content.startswith(FORM):
                return  # new, or of another form: written anew
            self._index_bytes, content = len(FORM), content[len(FORM) :]
        size = os.fstat(self._states.fileno()).st_size
        for at in range(0, len(content) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            entry = content[at : at + _ENTRY.size]
            (crc,) = _CRC.unpack_from(content, at + _ENTRY.size)
            name, start, n_tokens = _ENTRY.unpack(entry)
            is_whole = crc == zlib.crc32(entry) and start == self.n_rows
            if not is_whole or (start + n_tokens) * self.row_bytes > size:
                return
            self.entries[name] = (start, n_tokens)
            self.n_rows = start + n_tokens
            self._index_bytes += _ENTRY_BYTES


def _open(path: Path) -> BinaryIO:
    """Open for reading and writing, unbuffered; made where it is missing."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    return os.fdopen(handle, "r+b", buffering=0)


def _write(file: BinaryIO, at: int, content: bytes) -> None:
    """Write *content* from byte *at* on, drop what stood after that, and wait for the disk."""
    if os.fstat(file.fileno()).st_size > at:
        file.truncate(at)
    file.seek(at)
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())
