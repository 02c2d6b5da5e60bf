"""Tasks: a head, losses and scores each; one file a kind, one dictionary.

| name | a row | truth | losses, the default first | scores, the first chooses |
| --- | --- | --- | --- | --- |
| single_label | a text | its class | cross_entropy, focal | accuracy, macro_f1 |
| pairs | two texts | their class | cross_entropy, focal | accuracy, macro_f1 |
| binary | a text or two | one of two classes | binary_cross_entropy | f1, precision, recall, … |
| multi_label | a text or two | its labels | binary_cross_entropy | micro_f1, macro_f1, … |
| regression | a text or two | a number | mse | r2, spearman, mae, rmse |
| token_classification | a text | its spans | cross_entropy, focal | span_f1, precision, recall |
| retrieval | query, passage | they belong together | mnrl, mnrl_symmetric, cosine | recall_at_1 … |
| ranking | query, candidates | their relevance | listwise, pairwise, margin | ndcg_at_10, mrr, … |
| joint | a text or two | its class and its labels, or either | nll | joint, micro_f1, accuracy, … |
| masked | a text | its own hidden words | cross_entropy | likelihood, perplexity, … |

A plug-in adds its own, see `tailorbird.plugins`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from tailorbird.errors import ConfigError, TuningError
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.text import shorten
from tailorbird.tuning.tasks.binary import BINARY
from tailorbird.tuning.tasks.classes import PAIRS, SINGLE_LABEL
from tailorbird.tuning.tasks.dialogue import DIALOGUE
from tailorbird.tuning.tasks.joint import JOINT
from tailorbird.tuning.tasks.masked import MASKED
from tailorbird.tuning.tasks.multi_label import MULTI_LABEL
from tailorbird.tuning.tasks.ranking import RANKING
from tailorbird.tuning.tasks.regression import REGRESSION
from tailorbird.tuning.tasks.retrieval import RETRIEVAL
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth
from tailorbird.tuning.tasks.token_classification import TOKEN_CLASSIFICATION

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        SINGLE_LABEL,
        PAIRS,
        BINARY,
        MULTI_LABEL,
        REGRESSION,
        TOKEN_CLASSIFICATION,
        RETRIEVAL,
        RANKING,
        DIALOGUE,
        JOINT,
        MASKED,
    )
}


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
    """Tokens and truth of *examples*, as the model's task has them.

    Raises TuningError where the task is a plug-in's that is not there, or an example has no truth.
    """
    spec = model.spec
    if spec.task not in TASKS:
        raise TuningError(
            f"the task {spec.task!r} is none of {', '.join(TASKS)}",
            cure=f"it is of the plug-in {spec.plugin or '(it does not say which)'}: install that "
            "package, or name its file with --plugin",
        )
    encoded = TASKS[spec.task].encode(model, examples)
    return replace(encoded, names=[e.interaction_id or shorten(e.text, 40) for e in examples])


__all__ = ["TASKS", "EncodedExamples", "Task", "Truth", "encode_examples", "find_task"]
