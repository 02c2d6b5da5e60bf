"""Assistants: each a thin composition of the rooms below, with routes of its own; floor 8.

Each is loaded when it is asked for: one does not pay for what the others need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailorbird.assistants import opinion, service_desk

__all__ = ["opinion", "service_desk"]


def __getattr__(name: str) -> Any:
    """The assistant called *name*."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
