"""What people thought of the templates they were answered with, read from the log of decisions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy import select

from tailorbird.assistants.service_desk.answering.variants import Votes
from tailorbird.store import Workspace, tables

MAX_ROWS = 20_000
"""Newest rated decisions that count."""


class LoggedVotes:
    """The votes in *workspace*, read again every *refresh_s* seconds at most.

    `votes` never waits for the database: it answers from what was read last, and `refresh`, which
    whoever can wait calls (`Attendant` in a worker thread), reads on.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        refresh_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._refresh_s = refresh_s
        self._clock = clock
        self._read_at = float("-inf")
        self._lock = threading.Lock()
        self._votes: dict[str, dict[str, tuple[int, int]]] = {}

    def votes(self, intent: str) -> Votes:
        """Of the templates of *intent*, as they were read last."""
        return self._votes.get(intent, {})

    @property
    def is_stale(self) -> bool:
        """Whether `refresh` would read."""
        return self._clock() - self._read_at >= self._refresh_s

    def refresh(self) -> None:
        """Read the votes again where they are old; several threads at once read once."""
        with self._lock:
            if not self.is_stale:
                return
            self._votes = self._read()
            self._read_at = self._clock()

    def _read(self) -> dict[str, dict[str, tuple[int, int]]]:
        row = tables.DecisionRow
        asked = (
            select(row.intent, row.why, row.feedback)
            .where(row.kind == "template", row.feedback.is_not(None))
            .order_by(row.time.desc())
            .limit(MAX_ROWS)
        )
        found: dict[str, dict[str, tuple[int, int]]] = {}
        with self._workspace.sessions() as session:
            for intent, why, feedback in session.execute(asked):
                key = (why.get("template") or {}).get("variant")
                if key and feedback:
                    of_intent = found.setdefault(intent, {})
                    accepted, disliked = of_intent.get(key, (0, 0))
                    of_intent[key] = (accepted + (feedback > 0), disliked + (feedback < 0))
        return found
