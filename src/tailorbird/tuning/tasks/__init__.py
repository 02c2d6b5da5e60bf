"""Tasks: a head, losses and scores each; one file a kind, one dictionary.

| name | a row | truth | first score |
| --- | --- | --- | --- |
| single_label | a text | its class | accuracy |
| pairs | two texts | their class | accuracy |

A plug-in adds its own: ``TASKS["mine"] = Task("mine", …)``.
"""

from __future__ import annotations

from collections.abc import Sequence

from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning.tasks.classes import PAIRS, SINGLE_LABEL
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth

TASKS: dict[str, Task] = {task.name: task for task in (SINGLE_LABEL, PAIRS)}


def encode_examples(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """Tokens and truth of *examples*, as the model's task has them."""
    return TASKS[model.spec.task].encode(model, examples)


__all__ = ["TASKS", "EncodedExamples", "Task", "Truth", "encode_examples"]
