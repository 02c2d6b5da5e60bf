"""Connectors: other people's systems behind our small Protocols; each needs an extra."""

from tailorbird.connectors.tracking import TRACKERS, open_tracker

__all__ = ["TRACKERS", "open_tracker"]
