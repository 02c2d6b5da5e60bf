"""Which bundle is live since when and why: publish, roll back, look back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailorbird.bundle.loading import Bundle, load_bundle
from tailorbird.bundle.writing import adopt_bundle
from tailorbird.errors import CorruptBundleError, StoreError
from tailorbird.store import Workspace
from tailorbird.store.tables import (
    BundleRow,
    DeploymentAction,
    DeploymentRow,
    RunRow,
    utc_now,
)


@dataclass(frozen=True, slots=True)
class BundleRecord:
    """One stretch of time in which a bundle was live."""

    id: str
    path: Path
    action: str
    """``publish`` or ``roll back``: how it came to be live."""
    reason: str
    since: datetime
    until: datetime | None
    """None while it is live."""
    accuracy: float | None
    """On the test split, in [0, 1]."""
    run: str | None
    """The run it came from, where this workspace knows it."""

    @property
    def is_live(self) -> bool:
        """Whether this is what the service answers with now."""
        return self.until is None


def publish(workspace: Workspace, bundle: Bundle, reason: str) -> BundleRecord:
    """Make *bundle* the live one, after checking every byte of it once more.

    A bundle from elsewhere is copied into the workspace first. What is live already stays so.
    An interruption leaves the bundle live that was live before.
    """
    checked = load_bundle(bundle.path, load_model=bundle.load_model)
    if checked.id != bundle.id:
        raise CorruptBundleError(
            f"holds bundle {checked.id}, not {bundle.id} as when it was loaded",
            where=str(bundle.path),
            cure="load it again and look at its report",
        )
    if checked.path.resolve() != (workspace.bundles_path / checked.id).resolve():
        checked = adopt_bundle(checked, workspace.bundles_path)
    with workspace.writing() as session:
        live = _live(session)
        if live is not None and live.bundle_id == checked.id:
            return _record(workspace, session, live)
        _remember(session, checked)
        new = _go_live(session, checked.id, "publish", reason, previous=live)
        return _record(workspace, session, new)


def live_bundle(workspace: Workspace) -> BundleRecord | None:
    """The live bundle, or None where none was published yet."""
    with workspace.sessions() as session:
        live = _live(session)
        return None if live is None else _record(workspace, session, live)


def roll_back(workspace: Workspace, reason: str) -> BundleRecord:
    """Go back to the bundle that was live before this one was published.

    Rolling back again goes one publication further, never forth. Raises StoreError where there
    is nothing to go back to, and CorruptBundleError where that bundle is damaged; the live one
    then stays.
    """
    with workspace.sessions() as session:
        live, earlier = _live_and_earlier(workspace, session)
        path = workspace.bundles_path / earlier.bundle_id
    load_bundle(path)
    with workspace.writing() as session:
        still, _ = _live_and_earlier(workspace, session)
        if still.id != live.id:
            raise StoreError(
                f"bundle {still.bundle_id} was made live in the meantime",
                where=str(workspace.path),
                cure="look at the history and decide again",
            )
        row = session.get_one(DeploymentRow, earlier.id)
        new = _go_live(session, row.bundle_id, "roll back", reason, previous=still)
        new.previous_id = row.previous_id
        return _record(workspace, session, new)


def history(workspace: Workspace) -> list[BundleRecord]:
    """Everything that was ever live, the latest first."""
    with workspace.sessions() as session:
        rows = session.scalars(select(DeploymentRow).order_by(DeploymentRow.id.desc()))
        return [_record(workspace, session, row) for row in rows]


def _live(session: Session) -> DeploymentRow | None:
    return session.scalar(select(DeploymentRow).where(DeploymentRow.is_live.is_(True)))


def _live_and_earlier(
    workspace: Workspace, session: Session
) -> tuple[DeploymentRow, DeploymentRow]:
    live = _live(session)
    if live is None:
        raise StoreError(
            "no bundle is live, so there is nothing to roll back",
            where=str(workspace.path),
            cure="publish one: tailorbird build LOGS",
        )
    if live.previous_id is None:
        raise StoreError(
            f"no bundle was live before {live.bundle_id}, so there is nothing to roll back to",
            where=str(workspace.path),
            cure="publish another one: tailorbird build LOGS",
        )
    return live, session.get_one(DeploymentRow, live.previous_id)


def _go_live(
    session: Session,
    bundle_id: str,
    action: DeploymentAction,
    reason: str,
    *,
    previous: DeploymentRow | None,
) -> DeploymentRow:
    now = utc_now()
    if previous is not None:
        previous.is_live, previous.until = None, now
        session.flush()  # the unique constraint allows no two live ones, not even for a moment
    new = DeploymentRow(
        bundle_id=bundle_id,
        action=action,
        reason=reason,
        since=now,
        previous_id=None if previous is None else previous.id,
    )
    session.add(new)
    session.flush()
    return new


def _remember(session: Session, bundle: Bundle) -> None:
    if session.get(BundleRow, bundle.id) is not None:
        return
    run = bundle.report.get("run", {}).get("name")
    is_known = run is not None and session.get(RunRow, run) is not None
    accuracy = bundle.report.get("test", {}).get("accuracy", {}).get("value")
    session.add(BundleRow(id=bundle.id, run=run if is_known else None, accuracy=accuracy))
    session.flush()


def _record(workspace: Workspace, session: Session, row: DeploymentRow) -> BundleRecord:
    bundle = session.get_one(BundleRow, row.bundle_id)
    return BundleRecord(
        id=row.bundle_id,
        path=workspace.bundles_path / row.bundle_id,
        action=row.action,
        reason=row.reason,
        since=row.since,
        until=row.until,
        accuracy=bundle.accuracy,
        run=bundle.run,
    )
