"""What the assistant may answer from: documents in searchable pieces, rules, and facts.

A `KnowledgeBase` keeps the pieces in the workspace and finds those that fit a question;
`open_base` gives that of a workspace, `open_encoder` what it compares them with. `documents` reads
single ones, `uploads` takes them in aside, `sentences` cuts their text, and what answers are made
of beside it is in `rules` and `graph`. What documents say is data, never instructions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailorbird.knowledge import documents, graph, rules, uploads
    from tailorbird.knowledge.base import KnowledgeBase
    from tailorbird.knowledge.chunking import sentences
    from tailorbird.knowledge.encoding import open_encoder
    from tailorbird.knowledge.own_support import open_base

__all__ = [
    "KnowledgeBase",
    "documents",
    "graph",
    "open_base",
    "open_encoder",
    "rules",
    "sentences",
    "uploads",
]
_FILES = {
    "KnowledgeBase": "base",
    "open_base": "own_support",
    "open_encoder": "encoding",
    "sentences": "chunking",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the process that reads one document passes this door, too, and would
    # otherwise wait for a database and for NumPy that it never uses.
    if name in ("documents", "graph", "rules", "uploads"):
        return import_module(f"{__name__}.{name}")
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
