"""Whose conversations somebody may open."""

from __future__ import annotations

from tailorbird.serving.access import Person


def opened_by(person: Person) -> str | None:
    """Whose conversations *person* sees: visitors their own alone; None: everybody's."""
    return None if person.may("agent") else person.name
