"""Assistants: each a thin composition of the rooms below, with routes of its own; floor 8."""

from tailorbird.assistants import opinion, service_desk

__all__ = ["opinion", "service_desk"]
