"""Opinion monitoring of a workspace, opened: posts come in, are read, watched, and told of."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from fastapi import APIRouter

from tailorbird.assistants.opinion.gathering import EntityTable, Gatherer, Intake, Tags, Webhooks
from tailorbird.assistants.opinion.gathering.items import Fetch
from tailorbird.assistants.opinion.http.alert_routes import alert_routes, report_routes
from tailorbird.assistants.opinion.http.post_routes import intake_routes, post_routes
from tailorbird.assistants.opinion.http.topic_routes import (
    source_routes,
    status_routes,
    topic_routes,
)
from tailorbird.assistants.opinion.reading import Judge, Proposer, Reads, open_reader
from tailorbird.assistants.opinion.rounds import Rounds, Step
from tailorbird.assistants.opinion.waiting import Waiting, read_waiting
from tailorbird.assistants.opinion.watching import (
    Deliverer,
    Watcher,
    WatchSettings,
    daily_report,
)
from tailorbird.errors import SourceError
from tailorbird.store import Workspace
from tailorbird.store.tables import utc_now

GATHER_S = 5.0
JUDGE_S = 10.0
WATCH_S = 60.0
DELIVER_S = 30.0
PROPOSE_S = 6 * 3600.0
N_JUDGED = 256
"""Posts that are read before it is looked whether the service stops."""
LIVE = "opinion/live.json"
"""What changes when another reader is put into use."""


class OpensReader(Protocol):
    """Looks for the reader in use."""

    def __call__(self, workspace: Workspace, /) -> Reads | None:
        """The reader; None where there is none yet."""
        ...


class Desk:
    """Reads what waits with the reader in use, and follows when another is put into use."""

    def __init__(self, workspace: Workspace, entities: EntityTable, opens: OpensReader) -> None:
        self._workspace = workspace
        self._entities = entities
        self._opens = opens
        self._turn = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._reads: Reads | None = None

    @property
    def reads(self) -> Reads | None:
        """The reader in use; None where there is none yet."""
        with self._turn:
            stamp = self._seen()
            if stamp != self._stamp:
                self._reads = self._opens(self._workspace)
                self._stamp = stamp
            return self._reads

    @property
    def has_reader(self) -> bool:
        """Whether there is a reader; it is not loaded to tell."""
        with self._turn:
            return self._reads is not None or self._seen() != (0, 0)

    def judge(self) -> int:
        """Read some posts that wait; how many it were."""
        reads = self.reads
        if reads is None:
            return 0
        return Judge(self._workspace, reads, self._entities).judge_waiting(N_JUDGED)

    def propose(self) -> int:
        """Look for topics that nobody has named; how many there are."""
        reads = self.reads
        return len(Proposer().propose(self._workspace, reads)) if reads is not None else 0

    def _seen(self) -> tuple[int, int]:
        try:
            found = (self._workspace.path / LIVE).stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_mtime_ns, found.st_size


@dataclass
class OpenOpinion:
    """Opinion monitoring with all that it works with."""

    workspace: Workspace
    intake: Intake
    webhooks: Webhooks
    gatherer: Gatherer
    entities: EntityTable
    desk: Desk
    watcher: Watcher
    deliverer: Deliverer
    proposer: Proposer = field(default_factory=Proposer)
    rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        """Put the steps in a row: each wakes the next where it did something."""
        self.rounds = Rounds(self._steps())

    def routers(self) -> list[APIRouter]:
        """All routes under ``/v1/opinion``."""

        def report(day: date, language: str) -> str:
            return daily_report(self.workspace, day, "zh" if language == "zh" else "en")

        return [
            intake_routes(self.webhooks, self.took_some),
            post_routes(self.workspace),
            alert_routes(self.workspace),
            report_routes(report),
            topic_routes(self.workspace, self.proposer),
            source_routes(self.workspace, self.gatherer, self.entities),
            status_routes(self.waiting, self.rounds),
        ]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For the lifespan of the application: gather, judge, watch and tell, over and over."""
        async with self.rounds.running():
            yield

    def took_some(self) -> None:
        """Posts came in by a webhook: read them now; call it from the event loop."""
        self.rounds.wake("judge")

    def waiting(self) -> Waiting:
        """What waits for a person, or for a model; call it in a worker thread."""
        return read_waiting(self.workspace, has_model=self.desk.has_reader)

    def _steps(self) -> list[Step]:
        return [
            Step("gather", self._gather, GATHER_S, wakes=("judge",)),
            Step("judge", self.desk.judge, JUDGE_S, wakes=("watch",), is_repeated=True),
            Step("watch", lambda: len(self.watcher.look()), WATCH_S, wakes=("deliver",)),
            Step("deliver", self.deliverer.deliver_due, DELIVER_S),
            Step("propose", self.desk.propose, PROPOSE_S),
        ]

    def _gather(self) -> int:
        return sum(look.taken.n_new for look in self.gatherer.poll_due())


def open_opinion(
    workspace: Workspace,
    settings: WatchSettings | None = None,
    *,
    fetch: Fetch | None = None,
    opens: OpensReader = open_reader,
    tagger: Tags | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> OpenOpinion:
    """Opinion monitoring of *workspace*.

    *settings* are those of the watch and its channels. *fetch* asks the servers of feeds and
    endpoints; without one, those sources fail and say so. *tagger* marks names that are not in the
    table of entities.
    """
    settings = settings or WatchSettings()
    intake = Intake(workspace, clock=clock)
    entities = EntityTable(workspace, tagger=tagger)
    return OpenOpinion(
        workspace=workspace,
        intake=intake,
        webhooks=Webhooks(workspace, intake, clock=clock),
        gatherer=Gatherer(workspace, intake, fetch or _nobody, clock=clock),
        entities=entities,
        desk=Desk(workspace, entities, opens),
        watcher=Watcher(workspace, settings, clock=clock),
        deliverer=Deliverer(workspace, settings.channels, clock=clock),
    )


def _nobody(url: str, headers: Mapping[str, str], *, allow_private: bool = False) -> Any:
    raise SourceError("this service was opened without a way to ask others", where=url)
