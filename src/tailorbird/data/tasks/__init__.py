"""Rows of tasks: which column holds what, what a row becomes, how rows are divided."""

from tailorbird.data.tasks.dialogues import load_dialogues, to_dialogues
from tailorbird.data.tasks.folds import assign_folds
from tailorbird.data.tasks.rows import TaskRows, load_rows, mask_example

__all__ = [
    "TaskRows",
    "assign_folds",
    "load_dialogues",
    "load_rows",
    "mask_example",
    "to_dialogues",
]
