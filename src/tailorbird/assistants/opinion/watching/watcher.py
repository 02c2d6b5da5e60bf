"""The live watch: looks at each window once it has passed, and keeps the alerts in the tables."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailorbird.assistants.opinion.watching.alerts import Alert, Ledger
from tailorbird.assistants.opinion.watching.posts import StoredPosts
from tailorbird.assistants.opinion.watching.series import (
    Window,
    first_moment,
    first_waiting,
    start_of,
    window_of,
    windows_of,
)
from tailorbird.assistants.opinion.watching.settings import WatchSettings
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, utc_now

Clock = Callable[[], datetime]
_LONGEST_HISTORY = timedelta(days=400)
"""How far back a watch that starts reads; so far it gives what it would have given then."""
_LONGEST_WAIT = timedelta(hours=6)
"""A window with posts that nobody has judged is looked at after so long all the same."""


class Watcher:
    """Finds surges of negative news, each once; whole again after a restart.

    What it knows of the series is in memory and made anew from the tables when it starts: posts
    that came later than their window counted for nothing then, and count after a restart. Alerts
    are known by their series and window, and one that overlaps an alert of the same series in the
    tables is that alert; so looking again, or from another process, tells nothing twice.
    """

    def __init__(
        self, workspace: Workspace, settings: WatchSettings | None = None, *, clock: Clock = utc_now
    ) -> None:
        self.workspace = workspace
        self.settings = settings or WatchSettings()
        self.clock = clock
        self._ledger: Ledger | None = None
        self._next = 0
        self._looking = threading.Lock()

    def look(self) -> list[AlertRow]:
        """Judge the windows that have passed since the last look; alerts that are new or changed.

        To be called every minute or so; without a new window it costs one query.
        """
        with self._looking:
            try:
                changed = self._judge()
                return self._keep(changed) if changed else []
            except BaseException:
                self._ledger = None  # what was judged may not have been kept: begin anew
                raise

    def _judge(self) -> list[Alert]:
        window_s = self.settings.window_s
        now = self.clock()
        if self._ledger is None:
            first = first_moment(self.workspace)
            if first is None:
                return []
            self._next = window_of(max(first, now - _LONGEST_HISTORY), window_s)
            self._ledger = Ledger(self.settings, StoredPosts(self.workspace))
        end = self._end(now)
        if end <= self._next:
            return []
        windows = windows_of(self.workspace, self._next, end, window_s=window_s)
        changed: dict[str, Alert] = {}
        for number in range(self._next, end):
            for alert in self._ledger.step(number, windows.get(number, Window())):
                changed[alert.id] = alert
        self._next = end
        return list(changed.values())

    def _end(self, now: datetime) -> int:
        """The window before which all are ready: settled, and their posts judged."""
        settled = window_of(now - timedelta(seconds=self.settings.settle_s), self.settings.window_s)
        begin = start_of(self._next, self.settings.window_s)
        waiting = first_waiting(self.workspace, begin, start_of(settled, self.settings.window_s))
        if waiting is None:
            return settled
        ready = window_of(waiting, self.settings.window_s)
        return max(ready, min(settled, window_of(now - _LONGEST_WAIT, self.settings.window_s)))

    def _keep(self, alerts: Iterable[Alert]) -> list[AlertRow]:
        with self.workspace.writing() as session:
            rows = [_kept(session, alert) for alert in alerts]
        return [row for row in rows if row is not None]


def _kept(session: Session, alert: Alert) -> AlertRow | None:
    """The row of an alert, written where it says something new; None where it does not."""
    row = session.get(AlertRow, alert.id) or _same_rise(session, alert)
    if row is None:
        row = AlertRow(
            id=alert.id,
            created=alert.created,
            topic=alert.topic,
            entity=alert.entity,
            since=alert.since,
            until=alert.until,
            level=alert.level,
            status="closed" if alert.is_over else "new",
            story=alert.story,
            group=alert.group,
        )
        session.add(row)
        return row
    up = "acknowledged" if row.acknowledged_by else "new"
    if row.status == "closed" and not row.story.get("end"):
        up = "closed"  # by a person, who need not hear of it again
    values = {
        "since": alert.since,
        "until": alert.until,
        "level": alert.level,
        "story": alert.story,
        "status": "closed" if alert.is_over else up,
    }
    if all(getattr(row, name) == value for name, value in values.items()):
        return None
    for name, value in values.items():
        setattr(row, name, value)
    return row


def _same_rise(session: Session, alert: Alert) -> AlertRow | None:
    """An alert of the same series and time: found under other settings, or with fewer posts."""
    return session.scalars(
        select(AlertRow)
        .where(
            AlertRow.topic == alert.topic,
            AlertRow.entity == alert.entity,
            AlertRow.since < alert.until,
            AlertRow.until > alert.since,
        )
        .order_by(AlertRow.created)
    ).first()
