"""Which model a workspace recommends with: the one that was fitted last."""

from __future__ import annotations

import json
from pathlib import Path

from tailorbird.errors import StoreError
from tailorbird.store import Workspace


def model_path(workspace: Workspace) -> Path:
    """Where `tailorbird recommend fit` puts the model."""
    return workspace.path / "recommend" / "model"


def live_id(workspace: Workspace) -> str:
    """The id of the model in use; empty where nothing was fitted yet.

    Raises StoreError where its manifest cannot be read.
    """
    path = model_path(workspace) / "manifest.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["id"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "does not say which model it is",
            where=str(path),
            cure="fit it again: tailorbird recommend fit",
        ) from error
