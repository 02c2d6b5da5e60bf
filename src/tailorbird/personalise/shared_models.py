"""Models that a workspace keeps and many people's rows went into: what forgetting leaves in them.

Their weights hold no row or word of anybody (what a search was not tuned on lies beside it, and
goes), and nobody can take one person's part out of weights. Tuned once more, without the rows that
are gone by then, each is another.
"""

from __future__ import annotations

import json
from pathlib import Path

from tailorbird.store import Workspace

RERANKER = "reranker.json"
"""Names the folder of the reranker in use, which need not be in the workspace."""
_TUNED_ON_LOGS = {
    "encoders/tuned": "tailorbird knowledge tune LOGS",
    "encoders/reranker": "tailorbird knowledge tune LOGS --reranker",
}
_TUNED_ON_DESK = {"encoders/acceptance": "tailorbird knowledge tune-replies"}
_FITTED_ON_EVENTS = {"recommend/model": "tailorbird recommend fit"}


def tuned_with(
    workspace: Workspace, *, logs: bool = False, desk: bool = False, events: bool = False
) -> dict[str, str]:
    """Kept models that a user's rows may be in, each with the command that makes it anew.

    Args:
        workspace: whose models.
        logs: the user had rows in logs.
        desk: they spoke with the service desk, which logs are made of, too.
        events: they did something with items.
    """
    wanted: dict[str, str] = {}
    if logs or desk:
        wanted |= _TUNED_ON_LOGS
    if desk:
        wanted |= _TUNED_ON_DESK
    if events:
        wanted |= _FITTED_ON_EVENTS
    found = {name: cure for name, cure in wanted.items() if (workspace.path / name).is_dir()}
    elsewhere = _reranker_elsewhere(workspace)
    if elsewhere is not None and (logs or desk):
        found[str(elsewhere)] = _TUNED_ON_LOGS["encoders/reranker"]
    return found


def _reranker_elsewhere(workspace: Workspace) -> Path | None:
    """The reranker in use, where it is not the one below ``encoders``."""
    try:
        named = json.loads((workspace.path / RERANKER).read_text(encoding="utf-8"))["reranker"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = Path(str(named))
    is_here = folder.resolve() == (workspace.path / "encoders" / "reranker").resolve()
    return folder if folder.is_dir() and not is_here else None
