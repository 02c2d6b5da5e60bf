"""Changing what is live from the console: the registry does it, and who did it is remembered."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from tailorbird.bundle import load_bundle, registry
from tailorbird.errors import StoreError
from tailorbird.serving.access import Person, note_action
from tailorbird.store import Workspace
from tailorbird.store.tables import AdminActionRow, DeploymentRow

PUBLISH, ROLL_BACK = "publish bundle", "roll back bundle"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One stretch of time in which a bundle was live, and who made it so."""

    record: registry.BundleRecord
    who: str
    """Empty: it was not done here."""


def promote(workspace: Workspace, bundle_id: str, *, person: Person, reason: str) -> None:
    """Make *bundle_id* live, after checking every byte of it.

    Raises StoreError where the workspace holds no such bundle or no reason is given, and
    CorruptBundleError where it is damaged; what was live then stays so.
    """
    _check_reason(reason)
    folder = workspace.bundles_path / bundle_id
    if bundle_id not in {path.name for path in workspace.bundles_path.iterdir()}:
        raise StoreError(f"there is no bundle {bundle_id!r}", where=str(workspace.bundles_path))
    record = registry.publish(workspace, load_bundle(folder), reason)
    _note(workspace, person, PUBLISH, record)


def roll_back(workspace: Workspace, *, person: Person, reason: str, expected: str = "") -> None:
    """Go back to the bundle that was live before; see `registry.roll_back`.

    With *expected*, only where that is the bundle it would go back to: another person may have
    been faster.
    """
    _check_reason(reason)
    if expected and earlier_bundle(workspace) != expected:
        raise StoreError(
            f"what would come back is no longer {expected}",
            where=str(workspace.path),
            cure="look at the history and decide again",
        )
    _note(workspace, person, ROLL_BACK, registry.roll_back(workspace, reason))


def earlier_bundle(workspace: Workspace) -> str:
    """The id that rolling back would make live; empty where there is nothing to go back to."""
    with workspace.sessions() as session:
        live = session.scalar(select(DeploymentRow).where(DeploymentRow.is_live.is_(True)))
        if live is None or live.previous_id is None:
            return ""
        return session.get_one(DeploymentRow, live.previous_id).bundle_id


def deployments(workspace: Workspace) -> list[Deployment]:
    """Everything that was ever live, the latest first, with who made it so."""
    with workspace.sessions() as session:
        done = select(AdminActionRow).where(AdminActionRow.action.in_((PUBLISH, ROLL_BACK)))
        names = {
            (row.target, row.detail.get("since", "")): row.who for row in session.scalars(done)
        }
    return [
        Deployment(record, names.get((record.id, record.since.isoformat()), ""))
        for record in registry.history(workspace)
    ]


def _note(workspace: Workspace, person: Person, action: str, record: registry.BundleRecord) -> None:
    since = record.since.isoformat()
    note_action(workspace, person, action, record.id, reason=record.reason, since=since)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise StoreError("no reason is given", where="reason", cure="say why in a sentence")
