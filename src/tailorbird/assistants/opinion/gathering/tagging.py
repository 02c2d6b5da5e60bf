"""Names that no table knows, marked by a tuned tagger of tokens.

It is what ``tailorbird fit ROWS --task token_classification`` leaves; which of its labels mean a
company, a person, a product or a place says `entities`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tailorbird.errors import ConfigError, StoreError
from tailorbird.records import Example, Span
from tailorbird.store import Workspace

if TYPE_CHECKING:
    from tailorbird.modeling import TextModel

TASK = "token_classification"
MIN_PROBABILITY = 0.5
"""Of the least sure word of a name."""


class TunedTags:
    """`Tags` by a model of the task token_classification; threads take turns."""

    def __init__(self, model: TextModel, *, min_probability: float = MIN_PROBABILITY) -> None:
        self._model = model
        self._min_probability = min_probability
        self._turn = threading.Lock()

    @classmethod
    def open(cls, name: str, workspace: Workspace) -> TunedTags:
        """The tagger *name*: a run of *workspace*, or the folder of a run or of a model.

        Raises ConfigError where there is none, or it was tuned for another task.
        """
        from tailorbird.modeling import load_model

        model = load_model(_folder_of(name, workspace))
        if model.spec.task != TASK:
            raise ConfigError(
                f"was tuned for the task {model.spec.task}, which marks no names",
                where=f"tagger {name!r}",
                cure=f"tailorbird fit ROWS --task {TASK}",
            )
        return cls(model.make_ready())

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """The marked parts of each text that it is sure of, in order."""
        from tailorbird.tuning.tasks import find_task

        with self._turn:
            said = find_task(TASK).predict(self._model, [Example(text) for text in texts])
        return [
            [
                Span(one["start"], one["end"], one["label"])
                for one in of_text["spans"]
                if one["probability"] >= self._min_probability
            ]
            for of_text in said
        ]


def _folder_of(name: str, workspace: Workspace) -> Path:
    path = Path(name).expanduser()
    for folder in (path, path / "model"):
        if (folder / "model.json").is_file():
            return folder
    try:
        folder = workspace.run(name).path / "model"
    except StoreError as error:
        raise ConfigError(
            "is neither a folder with a model nor a run here",
            where=f"tagger {name!r}",
            cure=f"tailorbird fit ROWS --task {TASK}, then name its run or the folder it tells",
        ) from error
    if not (folder / "model.json").is_file():
        raise ConfigError(
            "is a run without a model", where=f"tagger {name!r}", cure="name one that was finished"
        )
    return folder
