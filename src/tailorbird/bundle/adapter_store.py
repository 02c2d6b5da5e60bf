"""The adapters of all users, in one folder: who has which, and the bytes of each once.

    index.db         SQLite: users, what is known of their adapters, and where the bytes are
    000001.segment   the bytes (`adapter_files`)

An adapter is added by one transaction: its bytes are behind the valid end of a segment before the
index names them. A process that is killed, or a disk that is full, leaves the index as it was and
bytes that nobody names; the next writer puts its own in their place. Several processes may read
and write at once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailorbird.bundle.adapter_files import (
    ALIGNMENT,
    SEGMENT_BYTES,
    Segments,
    StoredAdapter,
    damaged,
    to_record,
    write_peft,
)
from tailorbird.bundle.adapter_index import INDEX, Record, explained, open_index
from tailorbird.errors import StoreError

if TYPE_CHECKING:
    from tailorbird.modeling.adapters.weights import AdapterWeights


class AdapterStore:
    """Adapters by user; close it, or use it in a ``with``.

    Args:
        folder: made if missing. User ids are inside its index and in no file name.
        segment_bytes: a file of adapters that would grow beyond it is followed by another.

    Raises StoreError where the folder cannot be used, is damaged, or was written by a newer
    version.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self._segments = Segments(folder)
        self._lock = threading.RLock()
        self._unsynced: set[int] = set()
        self._seen = 0  # the last state of others' changes that was looked at
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot be made ({error.strerror})", where=str(folder), cure="choose another"
            ) from error
        with explained(self.folder):
            self._index = open_index(folder / INDEX)
            try:
                self._tidy_where_needed()
            except BaseException:
                self._index.close()
                raise

    def __enter__(self) -> AdapterStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """How many users have an adapter."""
        ((n_users,),) = self._read("SELECT count(*) FROM adapter WHERE is_current")
        return int(n_users)

    def users(self) -> list[str]:
        """Who has an adapter, in order."""
        rows = self._read("SELECT user FROM adapter WHERE is_current ORDER BY user")
        return [user for (user,) in rows]

    def hash_of(self, user: str) -> str:
        """The hash of *user*'s adapter; empty where there is none."""
        rows = self._read("SELECT hash FROM adapter WHERE user = ? AND is_current", user)
        return rows[0][0] if rows else ""

    @property
    def stamp(self) -> tuple[int, int]:
        """Another one as soon as anybody has changed the store; asking takes microseconds."""
        ((others,),) = self._read("PRAGMA data_version")
        return int(others), self._index.total_changes

    def add(self, user: str, weights: AdapterWeights) -> str:
        """Make *weights* the adapter of *user*, in place of an earlier one; returns their hash.

        A reader finds the old one or the new one, whole. Does not wait for the disk: what a power
        cut may take until `flush` or `close` is the latest, never what was flushed.

        Raises StoreError where the disk is full; the store is then as it was.
        """
        if not user:
            raise StoreError("a user's id is empty", where=str(self.folder), cure="name the user")
        name, facts = weights.hash, json.dumps(dict(weights.facts), ensure_ascii=False)
        with self._writing() as index:
            known = index.execute("SELECT * FROM record WHERE hash = ?", (name,)).fetchone()
            if known is not None and not self._is_whole(Record(*known)):
                _drop(index, Record(*known))
                known = None
            if known is None:
                content = to_record(weights)
                segment, start = self._append(content)
                row = (name, segment, start, len(content), hashlib.sha256(content).digest())
                index.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", row)
            index.execute(
                "UPDATE adapter SET is_current = 0 WHERE user = ? AND is_current", (user,)
            )
            index.execute("INSERT OR REPLACE INTO adapter VALUES (?, ?, ?, 1)", (user, name, facts))
        return name

    def find(self, user: str) -> StoredAdapter | None:
        """Where the adapter of *user* lies; None where there is none.

        Raises StoreError where it is not there, as after another process has just moved it: ask
        again.
        """
        query = (
            "SELECT record.*, facts FROM adapter JOIN record USING (hash)"
            " WHERE user = ? AND is_current"
        )
        self._let_go_of_moved()
        rows = self._read(query, user)
        if not rows:
            return None
        *fields, facts = rows[0]
        record = Record(*fields)
        path = self._segments.path(record.segment)
        with self._lock:
            try:
                memory = self._segments.map(record.segment, record.start + record.size)
            except FileNotFoundError as error:
                raise damaged(path, "is gone") from error
        known = record.hash, json.loads(facts), path
        return StoredAdapter(*known, record.start, record.size, record.checksum, memory)

    def get(self, user: str) -> AdapterWeights | None:
        """The adapter of *user*, views of mapped memory; None where there is none.

        The tensors stay as they are whatever happens to the store, but for one thing: when the
        user is removed they become zeros. Raises StoreError where the bytes are damaged.
        """
        for attempt in range(5):
            try:
                found = self.find(user)
                return None if found is None else found.weights()
            except StoreError:  # moved or removed after the index was read: it says so now
                if attempt == 4:
                    raise
        return None

    def remove(self, *users: str) -> int:
        """Forget *users*: their ids and the bytes of all their adapters leave the disk.

        Bytes that another user's adapter shares stay. Returns how many of them had one. The room
        is given back by `compact`. Raises StoreError where another process reads for so long that
        the ids could not leave the index's log; all else is done then, and doing it again helps.
        """
        self._checkpoint("TRUNCATE")  # makes room for what follows where the disk is full
        with self._writing(durably=True) as index:
            n_known = 0
            for user in users:
                query = "SELECT record.* FROM adapter JOIN record USING (hash) WHERE user = ?"
                records = index.execute(query, (user,)).fetchall()
                index.execute("DELETE FROM adapter WHERE user = ?", (user,))
                n_known += bool(records)
                for record in map(Record._make, records):
                    if not _is_used(index, record.hash):
                        _drop(index, record)
        self._settle()
        return n_known

    def compact(self) -> int:
        """Give back the room of replaced and removed adapters; returns how many bytes."""
        before = self.n_bytes
        with self._writing(durably=True) as index:
            for (name,) in index.execute(
                "SELECT hash FROM record EXCEPT SELECT hash FROM adapter WHERE is_current"
            ).fetchall():
                index.execute("DELETE FROM adapter WHERE hash = ?", (name,))
                index.execute("DELETE FROM record WHERE hash = ?", (name,))
            used = "SELECT ifnull(sum(size + ?), 0) FROM record WHERE segment = segment.id"
            sparse = f"SELECT id FROM segment WHERE size > ({used})"
            self._rewrite({row[0] for row in index.execute(sparse, (ALIGNMENT,)).fetchall()})
        self._settle()
        return before - self.n_bytes

    @property
    def n_bytes(self) -> int:
        """Size of all segment files."""
        return sum(path.stat().st_size for path in self._segments.found().values())

    def export(self, user: str, folder: Path, backbone: Any) -> None:
        """Write *user*'s adapter to *folder* as PEFT reads it, its head and labels beside it.

        Own rows, which PEFT knows nothing of, are left out.

        Args:
            user: who.
            folder: made if missing.
            backbone: the packed one that it was tuned on; left as it was.

        Raises StoreError where the user has none, ConfigError where PEFT has no form for it.
        """
        weights = self.get(user)
        if weights is None:
            raise StoreError(
                f"user {user!r} has no adapter", where=str(self.folder), cure="personalise first"
            )
        from tailorbird.modeling.adapters.own_rows import without_rows

        write_peft(without_rows(weights)[0], folder, backbone)

    def flush(self) -> None:
        """Return once the disk has everything that was added."""
        with self._lock, explained(self.folder):
            known = {segment for (segment,) in self._index.execute("SELECT id FROM segment")}
            for segment in self._unsynced & known:
                self._segments.sync(segment)
            self._unsynced.clear()
        self._checkpoint("PASSIVE")

    def close(self) -> None:
        """Flush and let go of the files; adapters that were got stay valid."""
        with self._lock:
            try:
                self.flush()
            finally:
                self._segments.forget_maps(set())
                self._index.close()

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._lock, explained(self.folder):
            return self._index.execute(query, values).fetchall()

    @contextmanager
    def _writing(self, *, durably: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction, with the only write lock of the folder from its start."""
        with self._lock, explained(self.folder):
            self._index.execute(f"PRAGMA synchronous = {'FULL' if durably else 'NORMAL'}")
            self._index.execute("BEGIN IMMEDIATE")
            try:
                yield self._index
                self._index.execute("COMMIT")
            except BaseException:
                if self._index.in_transaction:  # a full disk may have ended it already
                    self._index.execute("ROLLBACK")
                raise

    def _append(self, content: bytes, *, beside: Iterable[int] = ()) -> tuple[int, int]:
        """Write *content* behind the last segment but those *beside*; where it is now."""
        index, beside = self._index, set(beside)
        last = index.execute("SELECT id, size FROM segment ORDER BY id DESC LIMIT 1").fetchone()
        segment, size = last or (0, 0)
        start = -(-size // ALIGNMENT) * ALIGNMENT
        if (
            last is None
            or segment in beside
            or (size and start + len(content) > self.segment_bytes)
        ):
            start = 0
            segment = index.execute("INSERT INTO segment (size) VALUES (0)").lastrowid or 0
        self._segments.write(segment, start, content)
        self._unsynced.add(segment)
        index.execute("UPDATE segment SET size = ? WHERE id = ?", (start + len(content), segment))
        return segment, start

    def _rewrite(self, segments: set[int]) -> None:
        """Move the adapters out of *segments* and name these no more."""
        index, new = self._index, set()
        for old in sorted(segments):
            rows = index.execute("SELECT * FROM record WHERE segment = ? ORDER BY start", (old,))
            for record in map(Record._make, rows.fetchall()):
                try:
                    content = self._segments.read(old, record.start, record.size)
                except FileNotFoundError:  # lost: `get` goes on to say so
                    continue
                place = self._append(content, beside=segments)
                index.execute(
                    "UPDATE record SET segment = ?, start = ? WHERE hash = ?", (*place, record.hash)
                )
                new.add(place[0])
            index.execute("DELETE FROM segment WHERE id = ?", (old,))
        for segment in new:  # before the old bytes go
            self._segments.sync(segment)

    def _settle(self) -> None:
        """Let what is named no more leave the disk for good."""
        with self._writing(durably=True) as index:
            for segment, start, size in index.execute("SELECT * FROM dead").fetchall():
                self._segments.overwrite(segment, start, size)
            index.execute("DELETE FROM dead")
            sizes = dict(index.execute("SELECT id, size FROM segment").fetchall())
            for segment, path in self._segments.found().items():
                if segment not in sizes:
                    path.unlink()
                else:
                    self._segments.cut(segment, sizes[segment])
            self._segments.forget_maps(set(sizes))
        if not self._checkpoint("TRUNCATE"):
            raise StoreError(
                "is being read by another process, so that what was removed is still in its "
                "write-ahead log",
                where=str(self.folder / INDEX),
                cure="run it again in a moment",
            )

    def _checkpoint(self, how: str) -> bool:
        """Bring the index's log into the index; whether all of it could be."""
        with self._lock, explained(self.folder):
            (outcome,) = self._index.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
            return not outcome[0]

    def _tidy_where_needed(self) -> None:
        """Finish a removal that was interrupted between the index and the files."""
        known = {segment for (segment,) in self._read("SELECT id FROM segment")}
        if self._segments.found().keys() - known or self._read("SELECT 1 FROM dead LIMIT 1"):
            self._settle()

    def _let_go_of_moved(self) -> None:
        """Unmap what another process has compacted: only then is the room free."""
        ((seen,),) = self._read("PRAGMA data_version")
        if seen != self._seen:
            kept = {segment for (segment,) in self._read("SELECT id FROM segment")}
            with self._lock:
                self._segments.forget_maps(kept)
                self._seen = seen

    def _is_whole(self, record: Record) -> bool:
        try:
            content = self._segments.read(record.segment, record.start, record.size)
        except FileNotFoundError:
            return False
        return hashlib.sha256(content).digest() == record.checksum


def _is_used(index: sqlite3.Connection, name: str) -> bool:
    rows = index.execute("SELECT 1 FROM adapter WHERE hash = ? LIMIT 1", (name,))
    return rows.fetchone() is not None


def _drop(index: sqlite3.Connection, record: Record) -> None:
    index.execute("DELETE FROM record WHERE hash = ?", (record.hash,))
    index.execute("INSERT INTO dead VALUES (?, ?, ?)", record[1:4])
