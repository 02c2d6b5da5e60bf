"""Connectors: other people's systems behind our small Protocols; some need an extra."""

from tailorbird.connectors.tracking import TRACKERS, open_tracker
from tailorbird.connectors.web import Web

__all__ = ["TRACKERS", "Web", "open_tracker"]
