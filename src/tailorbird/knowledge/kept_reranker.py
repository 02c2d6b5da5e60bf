"""Which reranker a workspace searches with: remembered in a file, followed by every search."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tailorbird.errors import KnowledgeError
from tailorbird.store import Workspace
from tailorbird.store.files import to_json_bytes, write_atomically

if TYPE_CHECKING:
    from tailorbird.knowledge.reranking import TunedReranker

log = logging.getLogger(__name__)

CHOICE = "reranker.json"
"""Remembers in the workspace what orders passages anew; not there: nothing does."""


class KeptReranker:
    """The reranker that *workspace* remembers; true where there is one.

    It follows the choice of any process at the next search, and is loaded when it is first needed.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._file = workspace.path / CHOICE
        self._seen: tuple[int, Path | None] = (-1, None)
        """The version of the file, and the folder it names."""
        self._loaded: tuple[int, TunedReranker] | None = None
        """The version it was loaded for, and the model."""
        self._turn = threading.Lock()

    def __bool__(self) -> bool:
        return self._follow()[1] is not None

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """One a text, higher is better; all 0 where there is no reranker any more."""
        with self._turn:
            version, folder = self._follow()
            if folder is None:
                return [0.0] * len(texts)
            if self._loaded is None or self._loaded[0] != version:
                from tailorbird.knowledge.reranking import TunedReranker

                self._loaded = (version, TunedReranker.load(folder))
            return self._loaded[1].scores(question, texts)

    def _follow(self) -> tuple[int, Path | None]:
        """Version and folder as they are now; never waits for the model."""
        try:
            version = self._file.stat().st_mtime_ns
        except FileNotFoundError:
            version = 0
        if version != self._seen[0]:
            folder = chosen_reranker(self._file.parent) if version else None
            if folder is not None and not (folder / "model.json").is_file():
                log.warning("the reranker is gone, and nothing is put into order: %s", folder)
                folder = None
            self._seen = (version, folder)
        return self._seen


def chosen_reranker(folder: Path) -> Path | None:
    """The folder of the reranker that the workspace in *folder* remembers.

    Raises KnowledgeError where the file that remembers it is damaged.
    """
    file = folder / CHOICE
    try:
        return Path(json.loads(file.read_text(encoding="utf-8"))["reranker"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise KnowledgeError(
            f"does not name a reranker ({error})", where=str(file), cure="remove the file"
        ) from error


def use_reranker(workspace: Workspace, folder: Path | None) -> None:
    """Search with the reranker in *folder* from now on; None: with none.

    Raises KnowledgeError where there is no model of pairs.
    """
    remembered = workspace.path / CHOICE
    if folder is None:
        remembered.unlink(missing_ok=True)
        return
    path = folder.expanduser().absolute()
    if (path / "model" / "model.json").is_file():
        path = path / "model"
    try:
        facts = json.loads((path / "model.json").read_text(encoding="utf-8"))
        task = str(facts["head"]["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KnowledgeError(
            "holds no tuned model",
            where=str(path),
            cure="make one with: tailorbird knowledge tune LOGS --reranker",
        ) from error
    if task != "ranking":
        raise KnowledgeError(
            f"was tuned for the task {task}, and a reranker is of the task ranking", where=str(path)
        )
    write_atomically(remembered, to_json_bytes({"reranker": str(path)}, where=str(remembered)))
