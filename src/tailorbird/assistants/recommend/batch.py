"""Lists for everybody, made in the night: looked up in an instant, and there without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from tailorbird.assistants.recommend.live import Listing, Recommender, Wish
from tailorbird.errors import UnavailableError
from tailorbird.store import Workspace
from tailorbird.store.tables import DailyListRow, EventRow

N_TOGETHER = 100
"""Lists of so many users are written at once, and so many are lost where the power goes."""
FRESH_H = 20.0
"""A list that the same model made so lately is not made again."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one night."""

    n_made: int
    n_kept: int
    """They were fresh: of a run that was interrupted."""


def make_lists(
    recommender: Recommender,
    *,
    n: int = 20,
    fresh_h: float = FRESH_H,
    say: Callable[[int], None] = lambda _: None,
) -> Made:
    """Make and keep a list of *n* for every user with an event; begin again where it stopped.

    *say* hears how many are done, now and then. Raises UnavailableError without a model.
    """
    model = recommender.model
    if model is None:
        raise UnavailableError(
            "nothing has learned yet what to recommend",
            where="recommend batch",
            cure="fit it: tailorbird recommend fit",
        )
    workspace = recommender.workspace
    fresh_since = recommender.clock() - timedelta(hours=fresh_h)
    n_made = n_kept = 0
    for users in users_in_parts(workspace):
        with workspace.sessions() as session:
            fresh = select(DailyListRow.user).where(
                DailyListRow.user.in_(users),
                DailyListRow.model == model.id,
                DailyListRow.made >= fresh_since,
            )
            done = set(session.scalars(fresh))
        wanted = [user for user in users if user not in done]
        lists = [recommender.preview(Wish(user=user, n=n)) for user in wanted]
        with workspace.writing() as session:
            for one in lists:
                session.merge(_row_of(one))
        n_made, n_kept = n_made + len(wanted), n_kept + len(done)
        say(n_made + n_kept)
    return Made(n_made, n_kept)


def users_in_parts(workspace: Workspace, *, n: int = N_TOGETHER) -> Iterator[list[str]]:
    """All users with an event, in order, *n* at a time; nothing is locked in between."""
    last = ""
    while True:
        users = select(EventRow.user).where(EventRow.user > last).distinct()
        with workspace.sessions() as session:
            part = list(session.scalars(users.order_by(EventRow.user).limit(n)))
        if not part:
            return
        yield part
        last = part[-1]


def _row_of(listing: Listing) -> DailyListRow:
    assert listing.user is not None
    items: list[dict[str, Any]] = [
        {
            "id": one.scored.item,
            "score": round(float(one.scored.score), 6),
            "reason": {
                "kind": one.scored.reason.kind,
                "item": one.scored.reason.item,
                "feature": one.scored.reason.feature,
            },
        }
        for one in listing.choices
    ]
    return DailyListRow(user=listing.user, made=listing.made, model=listing.model, items=items)
