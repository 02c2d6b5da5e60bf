"""Looks at every source when it is due, one failing source beside the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from tailorbird.assistants.opinion.gathering.intake import Intake
from tailorbird.assistants.opinion.gathering.items import Cursor, Fetch, Reject, Taken
from tailorbird.assistants.opinion.gathering.polite import Politely
from tailorbird.assistants.opinion.gathering.source_table import Added, SourceTable, open_source
from tailorbird.errors import SourceError, StoreError, TailorbirdError, UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import SourceRow, utc_now

log = logging.getLogger(__name__)

N_TOGETHER = 4
"""Sources that are looked at at the same time."""
LOOK_S = 5.0
"""How often it is looked which sources are due."""
MAX_LOOKS = 100
"""At one source with more to give, before the others have their turn."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one look at a source went."""

    source: str
    taken: Taken
    error: str = ""
    next_poll: datetime | None = None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


class Gatherer:
    """The sources of a workspace, and what takes their posts in.

    *fetch* asks web servers (`tailorbird.connectors.Web`); it is made polite here. A source that
    fails is left alone for longer and longer, at most an hour, and read on from where it was.
    """

    def __init__(
        self,
        workspace: Workspace,
        intake: Intake,
        fetch: Fetch,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.table = SourceTable(workspace, clock=clock)
        self.intake = intake
        self._fetch = fetch if isinstance(fetch, Politely) else Politely(fetch)

    def add_source(
        self,
        name: str,
        kind: str,
        address: str = "",
        *,
        settings: Mapping[str, Any] | None = None,
        every_s: int = 900,
    ) -> Added:
        """Keep a source; see `SourceTable.add`."""
        return self.table.add(name, kind, address, settings=settings, every_s=every_s)

    def remove(self, name: str) -> None:
        """Forget a source; its posts stay."""
        self.table.remove(name)

    def pause(self, name: str, is_paused: bool = True) -> None:
        """Look at a source no more, or again."""
        self.table.pause(name, is_paused)

    def sources(self) -> list[SourceRow]:
        """Every source, by name."""
        return self.table.all()

    def poll(self, name: str) -> Look:
        """Look at one source now, due or not; NotFoundError where there is none."""
        return self._look(self.table.get(name))

    def poll_due(self) -> list[Look]:
        """Look once at every source that is due."""
        due = self.table.due()
        if not due:
            return []
        with ThreadPoolExecutor(min(N_TOGETHER, len(due)), "tailorbird-gather") as pool:
            return list(pool.map(self._look, due))

    async def run(self, *, look_s: float = LOOK_S) -> None:
        """Look at what is due, for ever; cancelling it lets the looks under way end."""
        while True:
            try:
                await asyncio.to_thread(self.poll_due)
            except (StoreError, UnavailableError) as error:
                log.error("sources cannot be looked at: %s", error)
            except Exception:
                log.exception("looking at sources failed")
            await asyncio.sleep(look_s)

    def _look(self, row: SourceRow) -> Look:
        taken = Taken()
        cursor: Cursor = dict(row.cursor)
        notes: list[str] = []
        wait_s = 0.0
        try:
            source = open_source(row, self._fetch)
            for _ in range(MAX_LOOKS):
                polled = source.poll(cursor)
                taken.add(self.intake.take(row.name, polled.items))
                taken.rejects += polled.rejects
                notes += [note for note in polled.notes if note not in notes]
                # Only now: whatever is interrupted before is read, and known, again.
                cursor, wait_s = dict(polled.cursor), polled.wait_s
                next_poll = self.table.went_well(row.name, cursor, wait_s=wait_s)
                if not polled.has_more:
                    break
        except TailorbirdError as error:
            wait_s = error.wait_s if isinstance(error, SourceError) else 0.0
            return self._failed(row, taken, str(error), wait_s)
        except Exception as error:  # of one source; the others go on
            log.exception("source %s failed", row.name)
            return self._failed(row, taken, f"failed: {type(error).__name__}; the log says why")
        for reject in taken.rejects[:20]:
            log.warning("source %s: %s", row.name, _without_text(reject))
        return Look(row.name, taken, "", next_poll, tuple(notes))

    def _failed(self, row: SourceRow, taken: Taken, error: str, wait_s: float = 0.0) -> Look:
        next_poll = self.table.failed(row.name, error, wait_s=wait_s)
        log.warning("source %s: %s; next look at %s", row.name, error, next_poll.isoformat())
        return Look(row.name, taken, error, next_poll)


def _without_text(reject: Reject) -> str:
    """What a log may say: not what people wrote."""
    return f"{reject.where}: {reject.cause}"
