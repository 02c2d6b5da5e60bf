"""The assistants of the mission, each a thin composition of the floors below, with its routes."""

from tailorbird.assistants import service_desk

__all__ = ["service_desk"]
