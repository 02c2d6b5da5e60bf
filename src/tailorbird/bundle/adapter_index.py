"""The index of an adapter store: its tables, how it is opened, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tailorbird.errors import StoreError
from tailorbird.store import database

INDEX = "index.db"
FORM = 1
"""``PRAGMA user_version`` of an index this version writes."""
BUSY_TIMEOUT_S = 30.0
_CHECKPOINT_PAGES = 4096
"""SQLite waits for the disk once so many pages of 4 KiB were changed."""

_SCHEMA = """
CREATE TABLE segment (id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL);
CREATE TABLE record (
    hash TEXT PRIMARY KEY, segment INTEGER NOT NULL, start INTEGER NOT NULL,
    size INTEGER NOT NULL, checksum BLOB NOT NULL
);
CREATE INDEX record_of_segment ON record (segment);
CREATE TABLE dead (segment INTEGER NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE TABLE adapter (
    user TEXT NOT NULL, hash TEXT NOT NULL, facts TEXT NOT NULL, is_current INTEGER NOT NULL,
    PRIMARY KEY (user, hash)
);
CREATE INDEX adapter_of_record ON adapter (hash);
CREATE UNIQUE INDEX current_of_user ON adapter (user) WHERE is_current;
"""
# AUTOINCREMENT: the number of a segment is never given again, so that nobody takes a new file for
# the one they have mapped. Replaced adapters stay named, so that removing a user finds them all.
# Bytes in `dead` are still to be overwritten.


class Record(NamedTuple):
    """Where the bytes of one adapter are, and the sha256 of them."""

    hash: str
    segment: int
    start: int
    size: int
    checksum: bytes


def open_index(path: Path) -> sqlite3.Connection:
    """A connection that leaves BEGIN to its user; the tables are made where they are missing."""
    index = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        database.use_wal(index)
        index.execute("PRAGMA synchronous = NORMAL")
        index.execute("PRAGMA secure_delete = ON")  # a removed id is overwritten
        index.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        _make_tables(index, path)
    except BaseException:
        index.close()
        raise
    return index


def _make_tables(index: sqlite3.Connection, path: Path) -> None:
    if index.execute("PRAGMA user_version").fetchone()[0] == FORM:
        return
    index.execute("BEGIN IMMEDIATE")
    (found,) = index.execute("PRAGMA user_version").fetchone()
    if found > FORM:
        raise StoreError(
            f"is of form {found}, this version knows up to {FORM}",
            where=str(path),
            cure="a newer Tailorbird wrote it: pip install --upgrade tailorbird",
        )
    if found == 0:
        for statement in _SCHEMA.split(";"):
            index.execute(statement)
        index.execute(f"PRAGMA user_version = {FORM}")
    index.execute("COMMIT")


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Say what a failing disk or index means for the person in front of it."""
    try:
        yield
    except sqlite3.Error as error:
        cures = {
            "full": "free some space; what was there before is as it was",
            "readonly": "make the folder writable",
            "unable to open": "make the folder writable",
            "disk I/O": "look at the disk; what was there before is as it was",
            "locked": "another process writes: try again in a moment",
        }
        cure = next(
            (advice for word, advice in cures.items() if word in str(error)),
            "the index is damaged: put the folder back from a copy, or move it away and "
            "personalise again",
        )
        where = str(folder / INDEX)
        raise StoreError(f"index: {error}", where=where, cure=cure) from error
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            where=str(folder),
            cure="free some space or make the folder writable; what was there before is as it was",
        ) from error
