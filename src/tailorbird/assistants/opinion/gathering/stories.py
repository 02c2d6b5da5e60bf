"""Which post was the first to tell a story: near duplicates within a window of time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select

from tailorbird.data.duplicates import NearDuplicateIndex
from tailorbird.store.tables import PostRow

SIMILARITY = 0.8
"""Shared runs of three letters over all: a story with another byline and end still has as many."""
WINDOW = timedelta(days=2)
MIN_WEIGHT = 40
"""Letters of a text that can be a story; a Chinese character counts for three. What is shorter
is said by many people each for themselves, and counts each time."""
MAX_LETTERS = 600
"""Of longer texts the beginning is compared: papers cut a story at its end."""
MAX_TEXTS = 50_000
"""First posts that are compared with; of more, the ones added longest ago are left out."""
_SHELF = 10_000
_NO_LETTERS = re.compile(r"[\W_]+")


def weight_of(text: str) -> int:
    """How many letters a text is worth; a Chinese character says as much as about three.

    >>> weight_of("profit warning"), weight_of("业绩预警")
    (13, 12)
    """
    return sum(3 if character >= "\u2e80" else 1 for character in _letters(text))


@dataclass(slots=True)
class _Shelf:
    """Posts of one slice of time that can be found by what they say."""

    slice: int
    index: NearDuplicateIndex
    ids: list[str] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)


class Stories:
    """Finds the post that first told what another tells, within *window* before or after it.

    The database is the truth: posts of a time that is asked for first are read from there. Not
    thread safe; holds at most about *max_texts* texts.
    """

    def __init__(
        self,
        *,
        similarity: float = SIMILARITY,
        window: timedelta = WINDOW,
        max_texts: int = MAX_TEXTS,
    ) -> None:
        self._similarity = similarity
        self._window = window
        self._max_texts = max_texts
        self._shelves: list[_Shelf] = []
        self._known: set[str] = set()
        self._loaded: set[int] = set()

    def load(self, connection: Connection, times: Iterable[datetime]) -> None:
        """Read the posts near *times* that were never read; those others wrote are added later."""
        wanted = {self._slice(time) + step for time in times for step in (-1, 0, 1)}
        for number in sorted(wanted - self._loaded):
            self._loaded.add(number)
            start = datetime.fromtimestamp(number * self._window.total_seconds(), UTC)
            columns = (PostRow.id, PostRow.title, PostRow.text, PostRow.time)
            query = (
                select(*columns)
                .where(PostRow.copy_of.is_(None))
                .where(PostRow.time >= start, PostRow.time < start + self._window)
                .order_by(PostRow.time.desc())
                .limit(_SHELF)
            )
            for post_id, title, text, time in reversed(connection.execute(query).all()):
                self.add(post_id, told(title, text), time)

    def catch_up(self, connection: Connection, since: datetime) -> None:
        """Add the posts that any process has taken since then."""
        recent = select(PostRow.id).where(PostRow.copy_of.is_(None), PostRow.taken >= since)
        latest = connection.scalars(recent.order_by(PostRow.taken.desc()).limit(_SHELF))
        unknown = [post_id for post_id in latest if post_id not in self._known]
        for start in range(0, len(unknown), 500):
            query = select(PostRow.id, PostRow.title, PostRow.text, PostRow.time).where(
                PostRow.id.in_(unknown[start : start + 500])
            )
            for post_id, title, text, time in connection.execute(query):
                if self._slice(time) in self._loaded:
                    self.add(post_id, told(title, text), time)

    def original(self, text: str, time: datetime) -> str | None:
        """The id of the first post that told the story of *text*; None where it is the first."""
        if not text:
            return None
        here = self._slice(time)
        for shelf in self._shelves:
            if abs(shelf.slice - here) > 1:
                continue
            times = shelf.times

            def is_far(number: int, times: list[datetime] = times) -> bool:
                return abs(times[number] - time) > self._window

            for number in shelf.index.similar(text, skip=is_far):
                return shelf.ids[number]
        return None

    def add(self, post_id: str, text: str, time: datetime) -> None:
        """Let later posts find this one."""
        if not text or post_id in self._known:
            return
        self._known.add(post_id)
        here = self._slice(time)
        shelf = next((one for one in reversed(self._shelves) if one.slice == here), None)
        if shelf is None or len(shelf.ids) >= min(_SHELF, self._max_texts):
            shelf = _Shelf(here, NearDuplicateIndex(self._similarity))
            self._shelves.append(shelf)
        shelf.index.add(len(shelf.ids), text)
        shelf.ids.append(post_id)
        shelf.times.append(time)
        while len(self._known) > self._max_texts and len(self._shelves) > 1:
            oldest = self._shelves.pop(0)
            self._known.difference_update(oldest.ids)

    def forget(self) -> None:
        """Read everything anew when it is needed: what was added did not reach the disk."""
        self._shelves.clear()
        self._known.clear()
        self._loaded.clear()

    def _slice(self, time: datetime) -> int:
        return math.floor(time.timestamp() / self._window.total_seconds())


def told(title: str, text: str) -> str:
    """What of a post is compared: its text, with its title where that says little; else nothing.

    Papers give an agency's story headlines of their own, so a text of some length stands alone.

    >>> told("Oil", "Up.")
    ''
    """
    for part in (text, f"{title} {text}"):
        if weight_of(part) >= MIN_WEIGHT:
            return _letters(part)
    return ""


def _letters(text: str) -> str:
    """The first letters and digits without case; `letters_of` would remember the whole text."""
    return _NO_LETTERS.sub("", text[: 2 * MAX_LETTERS].casefold())[:MAX_LETTERS]
