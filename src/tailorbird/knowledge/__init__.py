"""What answers are made of beside templates: rules and facts."""

from tailorbird.knowledge import graph, rules

__all__ = ["graph", "rules"]
