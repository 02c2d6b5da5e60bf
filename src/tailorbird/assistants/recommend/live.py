"""The recommender of a service: its model, what people did lately, and what was shown to them."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from tailorbird.assistant_settings import ListSettings
from tailorbird.assistants.recommend.answers import REWARDS, Answers, as_rows
from tailorbird.assistants.recommend.exploring import Choice, Explorer
from tailorbird.assistants.recommend.histories import Histories, History, with_events
from tailorbird.assistants.recommend.intake import Posted, Taken, keep_events
from tailorbird.assistants.recommend.keeping import drop_old_lists
from tailorbird.assistants.recommend.seam import (
    NOWHERE,
    Diversify,
    Event,
    Item,
    Ranks,
    Reason,
    Scored,
)
from tailorbird.assistants.recommend.shelf import Change, Shelf
from tailorbird.errors import UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import DailyListRow, ImpressionRow
from tailorbird.store.tables.base import new_id, utc_now
from tailorbird.store.writing import Writer

log = logging.getLogger(__name__)

_LEAST = 2
"""Candidates an item of the list, at least: there must be something to choose from."""
CLOCKS_DIFFER = timedelta(minutes=5)
"""So far ahead may the clock of a sender be."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; None: as the settings say."""

    user: str | None = None
    n: int = 20
    diversity: float | None = None
    explore: bool = True
    exclude: frozenset[str] = frozenset()
    recent: tuple[str, ...] = ()
    """Items that somebody without a name has looked at just now, latest last."""
    imagined: tuple[Event, ...] = ()
    """Events that have not happened: what would the list be if they had?"""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list for somebody."""

    impression: str | None
    """Its name in the log; None: it was not shown to anybody."""
    model: str
    user: str | None
    choices: tuple[Choice, ...]
    made: datetime
    is_nightly: bool = False
    """It was made in the night, since there is no model to make one now."""


class Recommender:
    """Makes lists and learns from events; may be used by several threads. Close it after use.

    *model* may be replaced while lists are made: each is made by one model from end to end.
    """

    def __init__(
        self,
        workspace: Workspace,
        model: Ranks | None,
        settings: ListSettings,
        *,
        diversify: Diversify,
        seed: int | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.workspace = workspace
        self.settings = settings
        self.histories = Histories(
            workspace, n_events=settings.n_history, n_users=settings.max_users
        )
        self.shelf = Shelf(workspace)
        self.answers = Answers()
        self.clock = clock
        self._model = model
        self._diversify = diversify
        self._explorer = Explorer(
            n_positions=settings.explore_positions,
            n_pool=settings.explore_pool,
            floor=settings.explore_floor,
            seed=seed,
        )
        self._writer = Writer(workspace)
        self._changing = threading.Lock()

    @property
    def model(self) -> Ranks | None:
        """What ranks now."""
        return self._model

    def load(self) -> None:
        """Read items, and how what was drawn was answered: once, before the first list."""
        self.read_items()
        since = self.clock() - timedelta(days=self.settings.explore_days)
        self.answers.load(self.workspace, since=since)

    def read_items(self) -> None:
        """Know what is on the shelf by now, whoever put it there."""
        with self._changing:
            fresh = self.shelf.read()
            if self._model is not None and fresh:
                self._model = self._with_items(self._model, fresh)

    def replace(self, model: Ranks) -> None:
        """Rank by *model* from now on; lists that are being made are finished by the old one."""
        with self._changing:
            self._model = self._with_items(model, list(self.shelf.items.values()))

    def _with_items(self, model: Ranks, items: Sequence[Item]) -> Ranks:
        """*model* that knows *items*, too; another than the one that lists are being made by."""
        grown = copy.copy(model)
        grown.add_items([one for one in items if one.id not in self.shelf.withdrawn])
        return grown

    def drop_old_lists(self) -> int:
        """Delete lists that were shown longer ago than the settings keep them; how many."""
        days = self.settings.kept_days
        if not days:
            return 0
        before = self.clock() - timedelta(days=days)
        return drop_old_lists(self.workspace, self._writer, before=before)

    def close(self) -> None:
        """Write what still waits."""
        self._writer.close()

    def take(self, posted: Sequence[Posted]) -> Taken:
        """Keep events; once this returns they are on disk, and in the next list.

        Sent again, they are kept once. Raises UnavailableError where nothing can be written.
        """
        new = self._writer.submit(lambda connection: keep_events(connection, posted)).result()
        self.histories.add(one.event for one in new)
        self.answers.note_answered(
            (one.impression, one.event.item, one.event.user)
            for one in new
            if one.impression and one.event.kind in REWARDS
        )
        known = self.shelf.items
        unknown = dict.fromkeys(one.event.item for one in posted if one.event.item not in known)
        return Taken(len(new), len(posted) - len(new), tuple(unknown))

    def put_items(self, items: Sequence[Item]) -> Change:
        """Add or change items; they may be in the next list."""
        change = self.shelf.put(items)
        self.read_items()
        return change

    def withdraw(self, ids: Iterable[str]) -> list[str]:
        """Recommend these no more; those of them that were recommended until now."""
        found = self.shelf.withdraw(ids)
        self.read_items()
        return found

    def recommend(self, wish: Wish) -> Listing:
        """The list for *wish*, kept in the log with how likely each of it was.

        Raises UnavailableError where there is neither a model nor a list of the night.
        """
        listing = self.preview(wish, explore=wish.explore)
        if listing.is_nightly:
            return listing
        impression: str | None = new_id()
        row = {
            "id": impression,
            "time": listing.made,
            "user": wish.user,
            "model": listing.model,
            "items": as_rows(listing.choices),
        }
        if not self._keep_list(row):
            impression = None
        return Listing(impression, listing.model, listing.user, listing.choices, listing.made)

    def preview(self, wish: Wish, *, explore: bool = False) -> Listing:
        """The same for whoever only looks: nothing is kept, and nothing drawn unless wanted."""
        model, now = self._model, self.clock()
        if model is None:
            return self._nightly(wish, now)
        history = self.history_of(wish, now)
        moment = _moment(history, now)
        exclude = self.shelf.withdrawn | history.done | wish.exclude
        settings = self.settings
        scored = model.scores(
            wish.user,
            history.events,
            now=moment,
            exclude=exclude,
            n=max(settings.n_candidates, _LEAST * wish.n),
        )
        scored = [one for one in scored if one.item not in exclude]
        dial = settings.diversity if wish.diversity is None else wish.diversity
        ranked = self._diversify(scored, n=wish.n, dial=dial, caps=settings.caps)
        choices = [Choice(one) for one in ranked]
        if explore and settings.explore_positions:
            listed = {one.item for one in ranked}
            rest = [one for one in scored if one.item not in listed]
            choices = self._explorer.explore(ranked, rest, self.answers.counts)
        # Only what is shown needs a reason, which takes longer to find than its place.
        shown = model.explain(history.events, [one.scored for one in choices], now=moment)
        told = (replace(one, scored=s) for one, s in zip(choices, shown, strict=True))
        return Listing(None, model.id, wish.user, tuple(told), now)

    def history_of(self, wish: Wish, now: datetime) -> History:
        """What whoever wishes did, as far as it is known, and what they are imagined to have."""
        history = self.histories.of(wish.user) if wish.user is not None else History()
        looked = (Event(wish.user or "", item, "click", None, now) for item in wish.recent)
        return with_events(history, (*looked, *wish.imagined), n=self.settings.n_history)

    def _keep_list(self, row: dict[str, Any]) -> bool:
        """Log a list, and whether it will be; nobody who waits for one waits for the disk.

        What a power cut takes of the log is missing whatever would have become of it, so that
        what is judged by the log stays right.
        """

        def check(future: Future[Any]) -> None:
            if future.exception() is not None:
                log.error("a list could not be logged: %s", future.exception())

        try:
            written = self._writer.submit(lambda one: one.execute(insert(ImpressionRow), [row]))
        except UnavailableError as error:
            log.warning("a list is shown that is not logged: %s", error)
            return False
        written.add_done_callback(check)
        drawn = [one["id"] for one in row["items"] if one["explored"]]
        self.answers.note_shown(row["id"], drawn, user=row["user"])
        return True

    def _nightly(self, wish: Wish, now: datetime) -> Listing:
        with self.workspace.sessions() as session:
            row = session.get(DailyListRow, wish.user) if wish.user is not None else None
        if row is None:
            raise UnavailableError(
                "nothing has learned yet what to recommend",
                where="recommend",
                cure="fit it: tailorbird recommend fit; what was posted until then counts",
            )
        gone = self.shelf.withdrawn | wish.exclude
        choices = [Choice(scored_of(one)) for one in row.items if one["id"] not in gone]
        return Listing(None, row.model, wish.user, tuple(choices[: wish.n]), row.made, True)


def _moment(history: History, now: datetime) -> datetime:
    """*now*, or when the last event was where its sender's clock is a little ahead."""
    last = history.events[-1].time if history.events else now
    return last if now < last <= now + CLOCKS_DIFFER else now


def scored_of(row: Mapping[str, Any]) -> Scored:
    """An item of a nightly list."""
    return Scored(row["id"], float(row["score"]), (), {}, NOWHERE, Reason(**row["reason"]))
