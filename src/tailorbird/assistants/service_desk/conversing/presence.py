"""Who is at the desk: agents whose heartbeat was heard lately."""

from __future__ import annotations

import time
from collections.abc import Callable

AWAY_AFTER_S = 30.0
"""Who has not been heard for so long is not at the desk."""

Clock = Callable[[], float]
"""Seconds that only grow."""


class Presence:
    """Hears heartbeats."""

    def __init__(
        self, clock: Clock = time.monotonic, *, away_after_s: float = AWAY_AFTER_S
    ) -> None:
        self._clock = clock
        self._away_after_s = away_after_s
        self._heard_s: dict[str, float] = {}
        self._last_s = clock()

    def beat(self, agent: str) -> bool:
        """*agent* is there; whether they have just come.

        >>> here = Presence(lambda: 0.0)
        >>> here.beat("ada"), here.beat("ada"), here.agents
        (True, False, ['ada'])
        """
        is_new = agent not in self.agents
        self._last_s = self._heard_s[agent] = self._clock()
        return is_new

    def leave(self, agent: str) -> None:
        """*agent* said that they go."""
        self._heard_s.pop(agent, None)

    @property
    def agents(self) -> list[str]:
        """Who is there, by name."""
        since_s = self._clock() - self._away_after_s
        return sorted(agent for agent, heard_s in self._heard_s.items() if heard_s > since_s)

    @property
    def is_anybody(self) -> bool:
        """Whether anybody is there."""
        return bool(self.agents)

    @property
    def is_nobody_for_long(self) -> bool:
        """Whether nobody has been heard since before a page could have been loaded again.

        A service that has just started has heard nobody yet, and waits as long.
        """
        return self._clock() - self._last_s >= self._away_after_s
