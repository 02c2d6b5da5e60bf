"""The tasks that rows can be of, and what each needs of a row."""

from __future__ import annotations

from typing import Literal

TaskKind = Literal[
    "single_label",
    "binary",
    "multi_label",
    "regression",
    "pairs",
    "token_classification",
    "retrieval",
    "ranking",
    "dialogue",
    "joint",
    "masked",
]

NEEDS: dict[TaskKind, str] = {
    "single_label": "text and label",
    "binary": "text and label",
    "multi_label": "text and labels",
    "regression": "text and value (text2 may be there)",
    "pairs": "text, text2 and label (or value)",
    "token_classification": "text and spans, or tokens and tags",
    "retrieval": "query and passage",
    "ranking": "query and candidates, or query, text and relevance",
    "dialogue": "messages, or instruction, input and output",
    "joint": "text, and labels or label or both",
    "masked": "text",
}
"""Task → the columns a row has, for messages."""
