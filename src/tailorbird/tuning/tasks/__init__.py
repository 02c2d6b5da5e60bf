"""Tasks: a head, losses and scores each; one file a kind, one dictionary.

| name | a row | truth | first score |
| --- | --- | --- | --- |
| single_label | a text | its class | accuracy |
| pairs | two texts | their class | accuracy |

A plug-in adds its own: ``TASKS["mine"] = Task("mine", …)``.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from tailorbird.errors import ConfigError
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.text import shorten
from tailorbird.tuning.tasks.classes import PAIRS, SINGLE_LABEL
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth

TASKS: dict[str, Task] = {task.name: task for task in (SINGLE_LABEL, PAIRS)}


def find_task(name: str) -> Task:
    """The task called *name*.

    Raises ConfigError that lists the names where there is none.
    """
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=1)
        raise ConfigError(
            f"task.name = {name!r} is no task",
            cure=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(TASKS)}",
        )
    return TASKS[name]


def encode_examples(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """Tokens and truth of *examples*, as the model's task has them."""
    encoded = TASKS[model.spec.task].encode(model, examples)
    return replace(encoded, names=[e.interaction_id or shorten(e.text, 40) for e in examples])


__all__ = ["TASKS", "EncodedExamples", "Task", "Truth", "encode_examples", "find_task"]
