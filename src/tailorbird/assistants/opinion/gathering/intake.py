"""The only way in: items become posts, each once, without personal data, and all of them kept."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert, select

from tailorbird.assistants.opinion.gathering.items import Item, Reject, Taken
from tailorbird.assistants.opinion.gathering.stories import SIMILARITY, WINDOW, Stories, told
from tailorbird.data import mask_pii
from tailorbird.errors import StoreError, UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import PostRow, new_id, utc_now
from tailorbird.text import language_of, shorten

MAX_ITEM_BYTES = 256_000
"""Of a title and text in UTF-8: some eighty thousand Chinese characters, a long report."""
MAX_URL_CHARS = 2_000
FUTURE = timedelta(minutes=10)
"""How far the clock of a source may run ahead."""
MAX_WAITING = 20_000
"""Items that are held in memory until they are on disk."""
PATIENCE_S = 10.0
N_TOGETHER = 500
"""Items that are prepared together; several callers' are written in one commit."""


class _Batch:
    """Prepared posts of one caller, on their way to the disk."""

    def __init__(self, rows: list[dict[str, Any]], stories: list[str]) -> None:
        self.rows = rows
        self.stories = stories
        self.taken = Taken()
        self.error: Exception | None = None
        self.is_done = False


class Intake:
    """Takes items in: what `take` has returned for is on disk, and there once.

    A post is known again by its source and its own id, or else its address, or else its text.
    The same story in several sources is kept from each, as copies of the first (`Stories`).
    Thread safe. Callers that come together are written in one commit; where more than
    *max_waiting* items wait, a caller waits too, *patience_s* at most, and then is told to come
    again: nothing that was taken is lost, and what was not may be sent again as a whole.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Callable[[], datetime] = utc_now,
        similarity: float = SIMILARITY,
        window: timedelta = WINDOW,
        max_waiting: int = MAX_WAITING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._workspace = workspace
        self._clock = clock
        self._stories = Stories(similarity=similarity, window=window)
        self._max_waiting = max_waiting
        self._patience_s = patience_s
        self._room = threading.Condition()
        self._n_waiting = 0
        self._writing = threading.Lock()
        self._queue: list[_Batch] = []
        self._caught_up: datetime | None = None
        self.n_commits = 0

    def take(self, source: str, items: Iterable[Item]) -> Taken:
        """What became of *items* once they are on disk.

        Raises UnavailableError where too many wait already, StoreError where the disk fails; what
        was taken of *items* before is known when they come again.
        """
        taken = Taken()
        rest = iter(items)
        while batch := list(islice(rest, min(N_TOGETHER, self._max_waiting))):
            with self._holding(len(batch)):
                taken.add(self._take_batch(source, batch))
        if taken.n_future:
            taken.notes.append(
                f"{taken.n_future} dated in the future, so dated when they were taken; if their "
                "times name no zone, say which they mean, as --time-zone Asia/Shanghai"
            )
        if taken.n_undated:
            taken.notes.append(f"{taken.n_undated} without a date, so dated when they were taken")
        return taken

    @property
    def n_waiting(self) -> int:
        """Items that are being taken at this moment."""
        return self._n_waiting

    @contextmanager
    def _holding(self, n_items: int) -> Iterator[None]:
        """Room for items while they are on their way; UnavailableError where there is none."""
        deadline = time.monotonic() + self._patience_s
        with self._room:
            while self._n_waiting + n_items > self._max_waiting:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not self._room.wait(left_s):
                    raise UnavailableError(
                        f"{self._n_waiting:,} posts are waiting to be written",
                        cure="send these again in a while; what was taken before is known then",
                    )
            self._n_waiting += n_items
        try:
            yield
        finally:
            with self._room:
                self._n_waiting -= n_items
                self._room.notify_all()

    def _take_batch(self, source: str, items: Sequence[Item]) -> Taken:
        taken = Taken()
        keyed: dict[str, Item] = {}
        for number, item in enumerate(items, 1):
            if (refused := _refusal(item, number)) is not None:
                taken.rejects.append(refused)
                continue
            key = key_of(source, item)
            taken.n_known += key in keyed
            keyed.setdefault(key, item)
        with self._workspace.sessions() as session:
            known = _known(session.connection(), list(keyed))
        taken.n_known += len(known)
        rows = []
        for key, item in keyed.items():
            if key not in known:
                rows.append(self._row(source, key, item, taken))
        if rows:
            batch = _Batch(rows, [told(row["title"], row["text"]) for row in rows])
            self._write(batch)
            taken.add(batch.taken)
        return taken

    def _row(self, source: str, key: str, item: Item, taken: Taken) -> dict[str, Any]:
        """A post's columns; what is costly about them is done here, by each caller for itself."""
        now = self._clock()
        text, title = mask_pii(item.text), mask_pii(item.title)
        time_ = item.time
        if time_ is None:
            taken.n_undated += 1
            time_ = now
        elif time_ > now + FUTURE:
            taken.n_future += 1
            time_ = now
        url = item.url if item.url.lower().startswith(("http://", "https://")) else ""
        return {
            "id": new_id(),
            "key": key,
            "source": source,
            "time": time_,
            "taken": now,
            "title": title,
            "text": text,
            "url": url[:MAX_URL_CHARS],
            "language": item.language[:8] or language_of(f"{title} {text}"[:2000]),
            "copy_of": None,
            "model": "",
            "sentiment": "",
            "probabilities": {},
            "topics": {},
            "topic_distance": None,
        }

    def _write(self, batch: _Batch) -> None:
        """Put *batch* on disk, with all that wait beside it."""
        with self._room:
            self._queue.append(batch)
        # Whoever gets the lock writes for everybody; the others find theirs done.
        with self._writing:
            if not batch.is_done:
                with self._room:
                    together, self._queue = self._queue, []
                self._write_together(together)
        if batch.error is not None:
            raise batch.error

    def _write_together(self, batches: Sequence[_Batch]) -> None:
        try:
            self._commit(batches)
        except Exception as error:
            self._stories.forget()
            self._caught_up = None
            for batch in batches:
                batch.error = _of_its_own(error)
        for batch in batches:
            batch.is_done = True

    def _commit(self, batches: Sequence[_Batch]) -> None:
        times = [row["time"] for batch in batches for row in batch.rows]
        with self._workspace.sessions() as session:
            self._stories.load(session.connection(), times)
        with self._workspace.writing() as session:
            connection = session.connection()
            now = self._clock()
            # Other processes take posts into the same workspace; behind the lock they are seen.
            self._stories.catch_up(connection, self._caught_up or now - timedelta(minutes=10))
            known = _known(connection, [row["key"] for batch in batches for row in batch.rows])
            for batch in batches:
                batch.taken = Taken()
                rows = []
                for row, story in zip(batch.rows, batch.stories, strict=True):
                    if row["key"] in known:
                        batch.taken.n_known += 1
                        continue
                    known.add(row["key"])
                    row["taken"] = now
                    row["copy_of"] = self._stories.original(story, row["time"])
                    if row["copy_of"] is None:
                        self._stories.add(row["id"], story, row["time"])
                    batch.taken.n_copies += row["copy_of"] is not None
                    rows.append(row)
                batch.taken.n_new += len(rows)
                if rows:
                    connection.execute(insert(PostRow), rows)
        self._caught_up = now
        self.n_commits += 1


def key_of(source: str, item: Item) -> str:
    """What an item is known by, 64 hexadecimal digits: of its source, and its id, address or text.

    >>> key_of("news", Item("7", text="a")) == key_of("news", Item("7", text="changed"))
    True
    >>> key_of("news", Item("7")) == key_of("blog", Item("7"))
    False
    """
    own = item.id or item.url or f"{item.title}\n{item.text}"
    return hashlib.sha256(f"{source}\0{own}".encode("utf-8", "replace")).hexdigest()


def _refusal(item: Item, number: int) -> Reject | None:
    """Why *item* is not taken; None where it is."""
    n_bytes = len(item.title.encode("utf-8", "replace")) + len(item.text.encode("utf-8", "replace"))
    where = shorten(item.id or item.url or f"item {number}", 120)
    raw = mask_pii(shorten(item.title or item.text[:400], 100))
    if n_bytes > MAX_ITEM_BYTES:
        return Reject(
            where,
            f"is {n_bytes:,} bytes long, at most {MAX_ITEM_BYTES:,} are taken",
            "send the text alone, or its beginning",
            raw,
        )
    if not (item.text.strip() or item.title.strip()):
        return Reject(where, "has no text", "give a text or a title")
    if item.time is not None and item.time.tzinfo is None:
        return Reject(where, f"time {item.time} has no zone", "pass an aware datetime", raw)
    return None


def _known(connection: Connection, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for some in _in_parts(keys, 500):
        found |= set(connection.scalars(select(PostRow.key).where(PostRow.key.in_(some))))
    return found


def _in_parts(values: Sequence[str], n: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), n):
        yield values[start : start + n]


def _of_its_own(error: Exception) -> Exception:
    """An error for each of those who waited together, as one cannot be raised by several."""
    if isinstance(error, StoreError):
        return StoreError(error.what, where=error.where, cure=error.cure)
    return error
