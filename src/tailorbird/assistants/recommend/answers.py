"""What people made of the lists that they were shown: what exploring learns from."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from sqlalchemy import select

from tailorbird.assistants.recommend.exploring import Choice, Counts
from tailorbird.store import Workspace
from tailorbird.store.tables import EventRow, ImpressionRow

REWARDS: Mapping[str, float] = MappingProxyType(
    {"click": 1.0, "comment": 1.0, "share": 1.0, "purchase": 1.0}
)
"""What an answer to a list is worth. Browsing past is none, and a rating is an opinion: it may be
that the item should not have been shown."""
MAX_REMEMBERED = 50_000
"""So many of the latest lists are remembered; answers to older ones teach nothing."""


@dataclass(slots=True)
class _Shown:
    """The items at the drawn positions of one list, and which of them were answered."""

    user: bytes | None
    """A code of who was shown it, which a restart makes worthless; None: nobody in particular."""
    items: frozenset[str]
    answered: set[str] = field(default_factory=set)


class Answers:
    """Counts how often items were shown at drawn positions, and answered; for several threads.

    Only drawn positions count: where the ranking chose, what is shown high is clicked for that.
    """

    def __init__(self, *, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max_remembered = max_remembered
        self._lists: OrderedDict[str, _Shown] = OrderedDict()
        self._shown: dict[str, int] = {}
        self._answered: dict[str, int] = {}
        self._n_shown = self._n_answered = 0
        self._secret = secrets.token_bytes(16)
        self._lock = threading.Lock()

    @property
    def counts(self) -> Counts:
        """What is known by now; goes on changing."""
        return Counts(self._shown, self._answered, self._n_shown, self._n_answered)

    def load(self, workspace: Workspace, *, since: datetime) -> None:
        """Count anew what the tables say of lists *since* then."""
        lists = (
            select(ImpressionRow)
            .where(ImpressionRow.time >= since)
            .order_by(ImpressionRow.time.desc())
            .limit(self._max_remembered)
        )
        told = select(EventRow.impression, EventRow.item, EventRow.user).where(
            EventRow.impression.is_not(None), EventRow.kind.in_(REWARDS), EventRow.time >= since
        )
        with workspace.sessions() as session:
            rows = session.scalars(lists).all()
            answers = [(str(name), item, user) for name, item, user in session.execute(told)]
        fresh = Answers(max_remembered=self._max_remembered)
        for row in reversed(rows):
            drawn = [one["id"] for one in row.items if one.get("explored")]
            fresh.note_shown(row.id, drawn, user=row.user)
        fresh.note_answered(answers)
        with self._lock:
            self._secret = fresh._secret
            self._lists, self._shown, self._answered = fresh._lists, fresh._shown, fresh._answered
            self._n_shown, self._n_answered = fresh._n_shown, fresh._n_answered

    def note_shown(self, impression: str, items: Iterable[str], *, user: str | None = None) -> None:
        """The list *impression* had *items* at its drawn positions; None: it was nobody's."""
        shown = frozenset(items)
        if not shown:
            return
        with self._lock:
            self._lists[impression] = _Shown(self._code(user), shown)
            for item in shown:
                self._shown[item] = self._shown.get(item, 0) + 1
            self._n_shown += len(shown)
            while len(self._lists) > self._max_remembered:
                self._lists.popitem(last=False)

    def note_answered(self, answers: Iterable[tuple[str, str, str]]) -> None:
        """A list, an item of it, and the user who took that up; each item of a list counts once.

        Who answers a list that was somebody else's teaches nothing.
        """
        with self._lock:
            for impression, item, user in answers:
                shown = self._lists.get(impression)
                if shown is None or item not in shown.items or item in shown.answered:
                    continue
                if shown.user not in (None, self._code(user)):
                    continue
                shown.answered.add(item)
                self._answered[item] = self._answered.get(item, 0) + 1
                self._n_answered += 1

    def _code(self, user: str | None) -> bytes | None:
        """Tells users apart and names none of them: who is forgotten is not held by name here."""
        if user is None:
            return None
        name = user.encode("utf-8", "surrogatepass")
        return blake2b(name, digest_size=12, key=self._secret).digest()


def as_rows(choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """A list as `ImpressionRow.items` keeps it."""
    rows = []
    for choice in choices:
        row: dict[str, Any] = {
            "id": choice.scored.item,
            "score": round(float(choice.scored.score), 6),
            "propensity": choice.propensity,
            "explored": choice.is_explored,
            "reason": choice.scored.reason.kind,
        }
        if choice.pool:
            row["pool"] = [list(pair) for pair in choice.pool]
        rows.append(row)
    return rows
