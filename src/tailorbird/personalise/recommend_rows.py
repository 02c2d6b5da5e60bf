"""What a user left in recommendation: what they did with items, and what they were shown."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from tailorbird.personalise.traces import names_of
from tailorbird.store.tables import DailyListRow, EventRow, ImpressionRow


def forget_recommend(session: Session, user: str) -> int:
    """Delete events, shown lists and nightly lists of *user*; how many rows that were.

    A service that runs forgets what it holds in memory within a minute, whether anybody asks or
    not. What the model in use learned from many users stays until the next fit.
    """
    n_rows = 0
    kinds: tuple[Any, ...] = (EventRow, ImpressionRow, DailyListRow)
    for kind in kinds:
        done = session.execute(delete(kind).where(kind.user.in_(names_of(user))))
        n_rows += int(done.rowcount)  # type: ignore[attr-defined]
    return n_rows
