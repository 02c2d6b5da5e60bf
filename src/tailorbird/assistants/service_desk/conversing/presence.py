"""Who is at the desk: agents whose heartbeat was heard lately, here or by another process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

AWAY_AFTER_S = 30.0
"""Who has not been heard for so long is not at the desk."""
WRITTEN_S = 5.0
"""Heartbeats of one agent are written for other processes so far apart."""

Clock = Callable[[], float]
"""Seconds that only grow."""


class Presence:
    """Hears heartbeats."""

    def __init__(
        self, clock: Clock = time.monotonic, *, away_after_s: float = AWAY_AFTER_S
    ) -> None:
        self._clock = clock
        self.away_after_s = away_after_s
        self._heard_s: dict[str, float] = {}
        self._elsewhere_s: dict[str, float] = {}
        self._written_s: dict[str, float] = {}
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
        self._written_s.pop(agent, None)

    def heard_elsewhere(self, ago_s: Mapping[str, float]) -> None:
        """Agents whom other processes heard, and how long ago; all of them."""
        now_s = self._clock()
        self._elsewhere_s = {agent: now_s - one for agent, one in ago_s.items()}
        self._last_s = max(self._last_s, *self._elsewhere_s.values(), 0.0)

    def is_to_be_written(self, agent: str) -> bool:
        """Whether other processes have not been told of *agent* for a while; they are now."""
        now_s = self._clock()
        is_due = now_s - self._written_s.get(agent, -WRITTEN_S) >= WRITTEN_S
        if is_due:
            self._written_s[agent] = now_s
        return is_due

    @property
    def agents(self) -> list[str]:
        """Who is there, by name."""
        since_s = self._clock() - self.away_after_s
        heard = (*self._heard_s.items(), *self._elsewhere_s.items())
        return sorted({agent for agent, heard_s in heard if heard_s > since_s})

    @property
    def is_anybody(self) -> bool:
        """Whether anybody is there."""
        return bool(self.agents)

    @property
    def is_nobody_for_long(self) -> bool:
        """Whether nobody has been heard since before a page could have been loaded again.

        A service that has just started has heard nobody yet, and waits as long.
        """
        return self._clock() - self._last_s >= self.away_after_s
