"""Values of slots by a tuned tagger: a run of ``tailorbird fit --task token_classification``.

Its labels are the names of slots; those that rules know too are theirs (`slots.read_slots`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tailorbird.assistants.service_desk.answering.slots import Marked
from tailorbird.errors import ConfigError
from tailorbird.records import Example
from tailorbird.store import Workspace

if TYPE_CHECKING:
    from tailorbird.modeling import TextModel

TASK = "token_classification"
MIN_PROBABILITY = 0.5
"""Of the least sure word of a value."""
N_REMEMBERED = 2048
"""Texts: each message of a conversation is looked at again with every later one."""


class TunedTagger:
    """`FindsSlots` by *model*; threads may share it."""

    def __init__(self, model: TextModel, *, min_probability: float = MIN_PROBABILITY) -> None:
        self._model = model
        self._min_probability = min_probability
        self._known: OrderedDict[str, tuple[Marked, ...]] = OrderedDict()
        self._turn = threading.Lock()

    @classmethod
    def open(cls, name: str, workspace: Workspace) -> TunedTagger:
        """The tagger *name*: a folder that a run or `save_model` left, or a run of *workspace*.

        Raises ConfigError where there is none, or it was tuned for another task.
        """
        from tailorbird.modeling import load_model

        folder = _folder_of(name, workspace)
        model = load_model(folder)
        if model.spec.task != TASK:
            raise ConfigError(
                f"was tuned for the task {model.spec.task}, which marks nothing",
                where=f"desk.slot_tagger = {name!r}",
                cure=f"tailorbird fit ROWS --task {TASK}",
            )
        return cls(model)

    @property
    def names(self) -> tuple[str, ...]:
        """What it may find, by name."""
        return tuple(sorted({tag[2:] for tag in self._model.labels if tag != "O"}))

    def marks(self, texts: Sequence[str]) -> list[tuple[Marked, ...]]:
        """What it finds in each of the *texts*, those it has not seen of late in one pass."""
        with self._turn:
            new = [text for text in dict.fromkeys(texts) if text not in self._known]
            found = dict(zip(new, self._marked(new), strict=True)) if new else {}
            answers = [found[text] if text in found else self._known[text] for text in texts]
            for text, marks in found.items():
                self._known[text] = marks
            while len(self._known) > N_REMEMBERED:
                self._known.popitem(last=False)
        return answers

    def _marked(self, texts: Sequence[str]) -> list[tuple[Marked, ...]]:
        from tailorbird.tuning import tasks

        said = tasks.find_task(TASK).predict(self._model, [Example(text) for text in texts])
        return [
            tuple(
                Marked(one["label"], one["text"], one["start"], one["end"], one["probability"])
                for one in of_text["spans"]
                if one["probability"] >= self._min_probability
            )
            for of_text in said
        ]


def _folder_of(name: str, workspace: Workspace) -> Path:
    """Where the model is: *name* is a folder, or a run, by its whole name or the end of it."""
    path = Path(name).expanduser()
    runs = workspace.runs_path
    named = (
        [runs / name, *sorted(runs.glob(f"*-{name}"), reverse=True)] if path.name == name else []
    )
    for folder in (path, *named):
        for inside in (folder, folder / "model"):
            if (inside / "model.json").is_file():
                return inside
    raise ConfigError(
        "is no model: neither a folder with one, nor a run here",
        where=f"desk.slot_tagger = {name!r}",
        cure=f"tailorbird fit ROWS --task {TASK}, then name its run or the folder it tells",
    )
