"""Posts over HTTP: a webhook takes them, timelines count them, people read and correct them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import select

from tailorbird.assistants.opinion.figures import (
    Subject,
    read_entities,
    read_timeline,
    read_topics,
)
from tailorbird.assistants.opinion.finding import Wanted, find_posts, read_post
from tailorbird.assistants.opinion.gathering import Webhooks
from tailorbird.assistants.opinion.gathering.webhook import secret_of
from tailorbird.assistants.opinion.http.post_schemas import (
    Correction,
    Corrections,
    CorrectionSent,
    Post,
    Posts,
    Subjects,
    TakenShown,
    TallyShown,
    TimelineShown,
)
from tailorbird.assistants.opinion.http.routing import (
    Agent,
    Limit,
    Moment,
    NameAsked,
    Sentiment,
    Visitor,
    router,
)
from tailorbird.assistants.opinion.reading import correct
from tailorbird.errors import RequestError
from tailorbird.store import Workspace
from tailorbird.store.tables import OpinionLabelRow, utc_now

WEEK = timedelta(days=7)
MAX_WINDOWS = 2000
POST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        **{key: {"type": "string"} for key in ("id", "title", "url", "language")},
        "time": {"type": "string", "format": "date-time"},
    },
    "required": ["text"],
}
BODY: dict[str, Any] = {
    "required": True,
    "description": 'One post, a list of them, `{"posts": […]}`, or JSON lines; other shapes by '
    "the fields of the source.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"posts": {"type": "array", "items": POST}},
                "required": ["posts"],
            },
            "example": {
                "posts": [
                    {
                        "id": "n-1",
                        "text": "砚湖咖啡又涨价了，失望。",
                        "time": "2026-10-05T09:00:00+08:00",
                    }
                ]
            },
        }
    },
}


def intake_routes(webhooks: Webhooks, took_some: Callable[[], None]) -> APIRouter:
    """The webhook: whoever knows a source's secret may send posts in its name.

    *took_some* is called in the event loop where there was something new.
    """
    routes = router()

    @routes.post(
        "/posts/{source}",
        summary="Take posts of a webhook in",
        description="With the secret of the source, which was printed once as it was added, as "
        "`Authorization: Bearer SECRET` or `X-Tailorbird-Secret: SECRET`; a key of the service is "
        "not needed. The answer says that what is new is on disk.",
        openapi_extra={"requestBody": BODY},
    )
    async def take(source: str, request: Request, person: Visitor) -> TakenShown:
        body = await request.body()
        secret = secret_of(request.headers)
        taken = await asyncio.to_thread(webhooks.receive, source, secret, body)
        if taken.n_new:
            took_some()
        return TakenShown.of(taken)

    return routes


def post_routes(workspace: Workspace) -> APIRouter:
    """Timelines, the posts behind their points, and corrections."""
    routes = router()

    @routes.get("/timeline", summary="What was said of a topic or entity, window by window")
    def timeline(
        person: Agent,
        topic: NameAsked = "",
        entity: NameAsked = "",
        since: Moment | None = None,
        until: Moment | None = None,
        window_h: Annotated[int, Query(ge=1, le=24 * 28, description="Hours of a window.")] = 1,
    ) -> TimelineShown:
        begin, end = _span(since, until)
        if (end - begin) / timedelta(hours=window_h) > MAX_WINDOWS:
            raise RequestError(
                f"has more than {MAX_WINDOWS:,} windows",
                where="window_h",
                cure="ask for longer windows, or for less time",
            )
        found = read_timeline(
            workspace,
            Subject(topic, entity),
            since=begin,
            until=end,
            window=timedelta(hours=window_h),
        )
        return TimelineShown.of(found)

    @routes.get("/subjects", summary="The topics and entities that are spoken of most")
    def subjects(
        person: Agent,
        topic: NameAsked = "",
        entity: NameAsked = "",
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> Subjects:
        begin, end = _span(since, until)
        topics = read_topics(workspace, since=begin, until=end, entity=entity)
        entities = read_entities(workspace, since=begin, until=end, topic=topic)
        return Subjects(
            topics=[TallyShown.of(one) for one in topics],
            entities=[TallyShown.of(one) for one in entities],
        )

    @routes.get("/posts", summary="The posts behind a point, newest first")
    def posts(
        person: Agent,
        topic: NameAsked = "",
        entity: NameAsked = "",
        since: Moment | None = None,
        until: Moment | None = None,
        sentiment: Sentiment | None = None,
        words: Annotated[str, Query(max_length=200)] = "",
        source: NameAsked = "",
        limit: Limit = 50,
        before: Annotated[str, Query(max_length=64)] = "",
    ) -> Posts:
        wanted = Wanted(
            Subject(topic, entity), since, until, sentiment or "", words=words, source=source
        )
        found = find_posts(workspace, wanted, limit=limit, before=before)
        last = found[-1].post.id if len(found) == limit else None
        return Posts(posts=[Post.of(one) for one in found], before=last)

    @routes.get("/posts/{post}", summary="One post")
    def one_post(post: str, person: Agent) -> Post:
        return Post.of(read_post(workspace, post))

    @routes.post("/corrections", summary="Say what is right of a post")
    def correct_post(sent: CorrectionSent, person: Agent) -> Correction:
        label = correct(
            workspace,
            sent.post,
            entity=sent.entity or "",
            sentiment=sent.sentiment or "",
            topics=sent.topics,
            author=person.name,
        )
        return Correction.of(label)

    @routes.get("/corrections", summary="What people said of posts, newest first")
    def corrections(person: Agent, limit: Limit = 50) -> Corrections:
        wanted = select(OpinionLabelRow).order_by(OpinionLabelRow.time.desc(), OpinionLabelRow.id)
        with workspace.sessions() as session:
            found = session.scalars(wanted.limit(limit)).all()
        return Corrections(corrections=[Correction.of(one) for one in found])

    return routes


def _span(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """The time that is meant: a week up to now, where nothing else is said."""
    end = until or utc_now()
    begin = since or end - WEEK
    if begin >= end:
        raise RequestError(
            "is not before until", where="since", cure="give a since that is before until"
        )
    return begin, end
