"""Opinion monitoring: what is said in public, how it changes, and who is told when it turns bad.

`gathering` takes posts in from files, feeds, endpoints and webhooks; `reading` finds their topics,
their sentiment and whom they speak of; `watching` finds surges and tells people; `http` shows it.
What stands in this door is loaded when it is asked for: a verb needs one of the rooms, not all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailorbird.assistants.opinion.opening import OpenOpinion, open_opinion
    from tailorbird.assistants.opinion.watching import WatchSettings

__all__ = ["OpenOpinion", "WatchSettings", "open_opinion"]


def __getattr__(name: str) -> Any:
    """What is called *name*."""
    if name in __all__:
        room = "watching" if name == "WatchSettings" else "opening"
        return getattr(import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
