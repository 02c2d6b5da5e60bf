"""``/v1/recommend``, ``/v1/events`` and ``/v1/items``.

Agents, which a shop's own programs are, name any user; visitors name nobody but themselves, since
a list and its reasons tell what somebody did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator

from tailorbird.assistants.recommend.http import schemas
from tailorbird.assistants.recommend.intake import Posted
from tailorbird.assistants.recommend.live import (
    CLOCKS_DIFFER,
    Listing,
    Recommender,
    Wish,
)
from tailorbird.assistants.recommend.names import kept_name
from tailorbird.assistants.recommend.reasons import Language, sentence_of
from tailorbird.assistants.recommend.seam import Event
from tailorbird.errors import ForbiddenError, RequestError
from tailorbird.serving.access import Person, needs
from tailorbird.serving.routing import Agent, Visitor, router

Admin = Annotated[Person, needs("admin")]
User = Annotated[
    str,
    Query(min_length=1, max_length=200, description="As your own system calls them."),
    AfterValidator(schemas.named),
]
NoteAction = Callable[..., None]
"""``note(person, action, target, **detail)``, called after something was changed."""

N_UNKNOWN = 20


def _note_nothing(person: Person, action: str, target: str, **detail: Any) -> None:
    """Keep nothing."""


def recommend_routes(
    recommender: Recommender, *, note: NoteAction = _note_nothing
) -> list[APIRouter]:
    """All routes of recommendation; *note* hears of changed items."""
    return [_lists(recommender), _events(recommender), _items(recommender, note)]


def _lists(recommender: Recommender) -> APIRouter:
    routes = router("/v1/recommend", "recommend")

    @routes.post("", summary="A list for somebody, best first")
    def recommend(person: Visitor, request: schemas.RecommendRequest) -> schemas.RecommendResponse:
        if request.user is not None:
            _may_name(person, request.user)
        wish = Wish(
            user=kept_name(request.user) if request.user is not None else None,
            n=request.n,
            diversity=request.diversity,
            explore=request.explore,
            exclude=frozenset(request.exclude),
            recent=tuple(request.recent),
        )
        return told(recommender.recommend(wish), recommender, request.language, request.user)

    @routes.get("/history", summary="What a user did lately, newest first")
    def history(
        person: Agent, user: User, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> schemas.HistoryResponse:
        known = recommender.histories.of(kept_name(user)).events
        title = recommender.shelf.title
        latest = [schemas.HistoryEvent.of(one, title(one.item)) for one in known[::-1][:limit]]
        return schemas.HistoryResponse(user=user, events=latest)

    @routes.get("/list", summary="What a user would be shown now; nothing is kept or drawn")
    def preview(
        person: Agent,
        user: User,
        n: Annotated[int, Query(ge=1, le=schemas.MAX_LIST)] = 20,
        diversity: Annotated[float | None, Query(ge=0, le=1)] = None,
        language: Literal["zh", "en"] = "en",
    ) -> schemas.RecommendResponse:
        wish = Wish(user=kept_name(user), n=n, diversity=diversity)
        return told(recommender.preview(wish), recommender, language, user)

    return routes


def _events(recommender: Recommender) -> APIRouter:
    routes = router("/v1/events", "recommend")

    @routes.post("", summary="What people did with items; it counts from the next list on")
    def take(person: Visitor, request: schemas.EventsRequest) -> schemas.EventsResponse:
        now = recommender.clock()
        posted = []
        for place, one in enumerate(request.events):
            _may_name(person, one.user)
            if one.time is not None and one.time > now + CLOCKS_DIFFER:
                raise RequestError(
                    f"{one.time.isoformat()} is in the future",
                    where=f"events[{place}].time",
                    cure="send the moment with its zone, or leave it out for now",
                )
            event = Event(kept_name(one.user), one.item, one.kind, one.value, one.time or now)
            posted.append(Posted(event, one.id, one.impression))
        taken = recommender.take(posted)
        unknown = list(taken.unknown_items[:N_UNKNOWN])
        return schemas.EventsResponse(
            n_new=taken.n_new, n_known=taken.n_known, unknown_items=unknown
        )

    return routes


def _items(recommender: Recommender, note: NoteAction) -> APIRouter:
    routes = router("/v1/items", "recommend")

    @routes.put("", summary="Add or change items; they may be in the next list")
    def put(person: Admin, request: schemas.ItemsRequest) -> schemas.ItemsResponse:
        change = recommender.put_items([one.to_item() for one in request.items])
        if change.n_new or change.n_changed:
            facts = {"n_new": change.n_new, "n_changed": change.n_changed}
            note(person, "put items", f"{len(request.items)} items", **facts)
        return schemas.ItemsResponse(
            n_new=change.n_new,
            n_changed=change.n_changed,
            n_unchanged=change.n_unchanged,
            n_without_text=change.n_without_text,
        )

    @routes.post("/withdraw", summary="Recommend items no more")
    def withdraw(person: Admin, request: schemas.WithdrawRequest) -> schemas.WithdrawResponse:
        found = recommender.withdraw(request.items)
        if found:
            note(person, "withdraw items", f"{len(found)} items")
        return schemas.WithdrawResponse(withdrawn=found)

    return routes


def told(
    listing: Listing, recommender: Recommender, language: Language, user: str | None
) -> schemas.RecommendResponse:
    """*listing* as it goes out, for whoever was asked for as *user*."""
    title = recommender.shelf.title
    items = []
    for choice in listing.choices:
        reason = choice.scored.reason
        sentence = sentence_of(reason, language, title=title)
        why = schemas.Why(kind=reason.kind, item=reason.item, feature=reason.feature, text=sentence)
        items.append(
            schemas.Recommended(
                item=choice.scored.item,
                title=title(choice.scored.item),
                score=choice.scored.score,
                reason=why,
                propensity=choice.propensity,
                explored=choice.is_explored,
            )
        )
    return schemas.RecommendResponse(
        impression=listing.impression,
        model=listing.model,
        user=user,
        made=listing.made,
        items=items,
    )


def _may_name(person: Person, user: str) -> None:
    if not person.may("agent") and user != person.name:
        raise ForbiddenError(
            f"{person.name} is {person.role}, and may name no other user",
            where="user",
            cure="leave the user out and send what they looked at as recent, or use an agent's key",
        )
