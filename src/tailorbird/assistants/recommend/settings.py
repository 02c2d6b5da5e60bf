"""How lists are made and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tailorbird.config import setting
from tailorbird.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ListSettings:
    """How lists are made and shown."""

    n_candidates: int = setting(
        60, "Best candidates that a list is chosen from, at least twice as many as it has items."
    )
    n_history: int = setting(200, "Latest events of a user that a list is made from.")
    max_users: int = setting(20_000, "Users whose histories are held in memory.")
    diversity: float = setting(
        0.2, "How much a list is spread, in [0, 1]; 0: the best alone, one like another."
    )
    max_per: str = setting(
        "", "Most items of a list that share a tag, as 'tea=3, *=5'; * is any other tag."
    )
    explore_positions: int = setting(
        2, "Positions of a list that are drawn, to learn what else is liked; 0: none."
    )
    explore_pool: int = setting(8, "Items that such a position is drawn from.")
    explore_floor: float = setting(
        0.1, "Share of draws that give every item of the pool the same chance, in [0, 1]."
    )
    explore_days: int = setting(30, "Days for which it counts how what was drawn was answered.")
    follow_s: float = setting(
        10.0, "Seconds after which a new model, and items that others wrote, are taken over."
    )

    @property
    def caps(self) -> Mapping[str, int]:
        """``max_per`` by tag; ConfigError where it cannot be read.

        >>> ListSettings(max_per="tea=3, *=5").caps
        {'tea': 3, '*': 5}
        """
        found: dict[str, int] = {}
        for part in filter(None, (one.strip() for one in self.max_per.split(","))):
            name, equals, number = part.partition("=")
            if not equals or not number.strip().isdecimal() or not int(number):
                raise ConfigError(
                    f"recommend.max_per: {part!r} is not of the form tag=number",
                    cure="write as 'tea=3, *=5'",
                )
            found[name.strip()] = int(number)
        return found
