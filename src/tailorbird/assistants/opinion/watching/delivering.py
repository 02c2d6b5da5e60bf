"""Alerts on their way to people: mail, chat tools, webhooks, whatever apprise knows.

An alert is sent once to each channel, and tried again with growing waits until it has arrived. A
row in the tables says how far each has come, so a restart loses none. It arrives at least once: a
process that dies between sending and writing sends again.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailorbird.assistants.opinion.watching.handling import is_silent
from tailorbird.assistants.opinion.watching.wording import language_of_alert, message
from tailorbird.errors import ConfigError, missing_extra
from tailorbird.store import Workspace
from tailorbird.store.tables import AlertRow, DeliveryRow, SilenceRow, utc_now

MAX_TRIES = 20
"""With waits up to six hours: four days."""
_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=6)
_AT_WORK = timedelta(minutes=5)
"""Nobody else takes a delivery for so long once it was taken."""

KINDS = {"notice": "info", "warning": "warning", "critical": "failure"}
"""Level → what apprise calls it."""


class Sends(Protocol):
    """Sends one message; the error, or nothing where it has arrived."""

    def __call__(self, url: str, title: str, body: str, level: str) -> str:
        """The *level* is one of `alerts.LEVELS`."""
        ...


def wait_before(n_tries: int) -> timedelta:
    """How long to wait after so many tries.

    >>> [wait_before(n).total_seconds() / 60 for n in (1, 2, 3, 20)]
    [1.0, 2.0, 4.0, 360.0]
    """
    return min(_LONGEST_WAIT, _FIRST_WAIT * int(2 ** min(n_tries - 1, 30)))


class Deliverer:
    """Sends what is due; may run in several processes."""

    def __init__(
        self,
        workspace: Workspace,
        channels: Mapping[str, str],
        *,
        clock: Callable[[], datetime] = utc_now,
        send: Sends | None = None,
    ) -> None:
        self.workspace = workspace
        self.channels = dict(channels)
        self.clock = clock
        self.send = send or send_by_apprise

    def deliver_due(self) -> int:
        """Queue what is new, send what is due; how many messages have arrived.

        Open alerts that nobody has acknowledged and no silence covers are sent; alerts of one
        group go as one message. A channel that is not in the settings any more is left waiting.
        """
        if not self.channels:
            return 0
        self._queue()
        n_arrived, tried = 0, set[str]()
        while (taken := self._take(tried)) is not None:
            delivery, title, body, level = taken
            tried.add(delivery.id)
            error = self.send(self.channels[delivery.channel], title, body, level)
            n_arrived += not error
            self._note(delivery.id, error)
        return n_arrived

    def _queue(self) -> None:
        now = self.clock()
        with self.workspace.writing() as session:
            silences = _silences(session, now)
            new = session.scalars(
                select(AlertRow).where(AlertRow.status == "new").order_by(AlertRow.created)
            )
            open_alerts = [row for row in new if not is_silent(row, silences)]
            groups = [row.group for row in open_alerts]
            known = session.execute(
                select(AlertRow.group, DeliveryRow.channel)
                .join(DeliveryRow, DeliveryRow.alert_id == AlertRow.id)
                .where(AlertRow.group.in_(groups))
            )
            seen = {(group, channel) for group, channel in known}
            for row in open_alerts:
                for channel in self.channels:
                    if (row.group, channel) not in seen:
                        seen.add((row.group, channel))
                        session.add(DeliveryRow(alert_id=row.id, channel=channel, next_try=now))

    def _take(self, tried: set[str]) -> tuple[DeliveryRow, str, str, str] | None:
        """The next delivery that is due, so marked that no other process takes it."""
        now = self.clock()
        with self.workspace.writing() as session:
            silences = _silences(session, now)
            due = session.execute(
                select(DeliveryRow, AlertRow)
                .join(AlertRow, AlertRow.id == DeliveryRow.alert_id)
                .where(
                    DeliveryRow.next_try <= now,
                    DeliveryRow.arrived.is_(None),
                    DeliveryRow.channel.in_(list(self.channels)),
                    DeliveryRow.id.not_in(tried),
                )
                .order_by(DeliveryRow.next_try)
            )
            for delivery, alert in due:
                if is_silent(alert, silences):
                    continue
                delivery.n_tries += 1
                delivery.next_try = now + _AT_WORK
                together = session.scalars(
                    select(AlertRow)
                    .where(AlertRow.group == alert.group, AlertRow.id != alert.id)
                    .order_by(AlertRow.created)
                    .limit(5)
                )
                title, body = message([alert, *together], language_of_alert(alert))
                return delivery, title, body, alert.level
        return None

    def _note(self, delivery: str, error: str) -> None:
        now = self.clock()
        with self.workspace.writing() as session:
            row = session.get(DeliveryRow, delivery)
            if row is None:  # the alert was deleted meanwhile
                return
            row.error = error
            if not error:
                row.arrived, row.next_try = now, None
            elif row.n_tries >= MAX_TRIES:
                row.next_try = None
            elif row.next_try is not None:  # else it was acknowledged meanwhile
                row.next_try = now + wait_before(row.n_tries)


def _silences(session: Session, now: datetime) -> list[SilenceRow]:
    return list(session.scalars(select(SilenceRow).where(SilenceRow.until > now)))


def send_by_apprise(url: str, title: str, body: str, level: str) -> str:
    """Send through the service that *url* names; what went wrong, without the URL.

    Raises MissingExtraError where apprise is not installed.
    """
    import_apprise()
    import apprise

    service = apprise.Apprise()
    if not service.add(url):
        return "apprise does not know this kind of address"
    capture: Any = apprise.LogCapture  # which has no types
    with capture(level=logging.WARNING, fmt="%(message)s") as log:
        kind = apprise.NotifyType(KINDS[level])
        has_arrived = service.notify(title=title, body=body, notify_type=kind)
        said = log.getvalue().strip()
    if has_arrived:
        return ""
    return _without(said, url) or "the receiver did not take it"


def import_apprise() -> None:
    """Load apprise and its services; MissingExtraError where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of modules that its services load
        try:
            import apprise
        except ImportError as error:
            raise missing_extra("apprise", extra="monitor") from error
        apprise.Apprise.instantiate("json://localhost")


def check_channels(channels: Mapping[str, str]) -> None:
    """Raise ConfigError for an address that apprise does not know; it is not shown."""
    import_apprise()
    import apprise

    wrong = [name for name, url in channels.items() if not apprise.Apprise().add(url)]
    if wrong:
        raise ConfigError(
            f"apprise does not know the kind of address of {', '.join(sorted(wrong))}",
            where="channels",
            cure="as mailto://user:password@host, json://host/path or slack://…",
        )


def _without(said: str, secret: str, parts: Sequence[str] = ()) -> str:
    """What the log says, without the address or its parts that may be secret."""
    rest = secret.partition("://")[2]
    for part in sorted({secret, rest, *rest.replace("@", "/").split("/")}, key=len, reverse=True):
        if len(part) > 3:
            said = said.replace(part, "…")
    return said[:500]
