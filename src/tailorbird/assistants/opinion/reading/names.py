"""The names and aliases that the workspace knows, found in texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import EntityRow


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A name in a text, and whom it stands for."""

    entity: str
    kind: str
    start: int
    end: int


class KnownNames:
    """Finds the watched entities of a workspace by their names, as they were when it was made.

    The longest name wins; Latin letters begin and end a word, in any case.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._owner: dict[str, tuple[str, str]] = {}
        with workspace.sessions() as session:
            for row in session.scalars(select(EntityRow).where(EntityRow.is_watched)):
                for name in (row.name, *map(str, row.aliases)):
                    self._owner.setdefault(name.casefold(), (row.name, row.kind))
        names = sorted(filter(str.strip, self._owner), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_alone, names)), re.IGNORECASE) if names else None

    def find(self, text: str) -> Sequence[NamedPlace]:
        """All of them, in their order."""
        if self._pattern is None:
            return ()
        found = []
        for match in self._pattern.finditer(text):
            owner = self._owner.get(match[0].casefold())
            if owner is not None:  # some letters are alike but for their case fold
                found.append(NamedPlace(*owner, match.start(), match.end()))
        return found


def _alone(name: str) -> str:
    """The pattern of a name that is no part of a longer Latin word."""
    before = r"(?<![A-Za-z0-9])" if name[:1].isascii() and name[:1].isalnum() else ""
    after = r"(?![A-Za-z0-9])" if name[-1:].isascii() and name[-1:].isalnum() else ""
    return before + re.escape(name) + after
