"""The one place that puts the service desk together for an application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter

from tailorbird.assistants.service_desk.conversing.attributing import Attributions, Explains
from tailorbird.assistants.service_desk.conversing.audit import Audit
from tailorbird.assistants.service_desk.conversing.books import Books
from tailorbird.assistants.service_desk.conversing.conversations import Conversations
from tailorbird.assistants.service_desk.conversing.desk import Desk
from tailorbird.assistants.service_desk.conversing.drafts import Drafts, Learn
from tailorbird.assistants.service_desk.conversing.events import Events
from tailorbird.assistants.service_desk.conversing.exchange import MAX_UNSURE, Exchange, Respond
from tailorbird.assistants.service_desk.conversing.neighbours import LOOK_S, Neighbours
from tailorbird.assistants.service_desk.conversing.presence import Clock, Presence
from tailorbird.assistants.service_desk.http.conversation_routes import conversation_routes
from tailorbird.assistants.service_desk.http.decision_routes import decision_routes
from tailorbird.assistants.service_desk.http.desk_routes import desk_routes
from tailorbird.assistants.service_desk.http.feedback_routes import feedback_routes
from tailorbird.store import Workspace
from tailorbird.store.writing import Writer

log = logging.getLogger(__name__)

SWEEP_S = 5.0
"""How often it is looked whether somebody waits while nobody is at the desk."""


class ServiceDesk:
    """Conversations, desk, drafts and audit of one workspace.

    *respond* is the assistant: ``await respond(conversation_id, turns, user)`` gives a decision.
    *learn* takes accepted drafts in; ``KnowledgeBase.add`` fits. After *max_unsure* answers in a
    row that the assistant was not sure of a person is asked for; 0: never. *explainer* says which
    words made a message its intent.
    """

    def __init__(
        self,
        workspace: Workspace,
        respond: Respond,
        *,
        learn: Learn | None = None,
        max_unsure: int = MAX_UNSURE,
        explainer: Explains | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.books = Books(workspace, Writer(workspace), Events())
        self.presence = Presence(clock)
        self.conversations = Conversations(self.books)
        self.neighbours = Neighbours(self.books, self.presence)
        self.desk = Desk(self.books, self.presence, self.neighbours)
        self.exchange = Exchange(self.books, respond, self.presence, max_unsure=max_unsure)
        self.drafts = Drafts(self.books, learn)
        self.audit = Audit(self.books)
        self.attributions = Attributions(self.books, explainer)

    def routers(self) -> list[APIRouter]:
        """Everything under ``/v1`` that people of the service desk use."""
        return [
            conversation_routes(self.conversations, self.desk, self.exchange),
            feedback_routes(self.audit, self.conversations, self.drafts),
            desk_routes(self.desk, self.drafts),
            decision_routes(self.audit, self.attributions),
        ]

    @contextlib.asynccontextmanager
    async def running(
        self, *, sweep_s: float = SWEEP_S, look_s: float = LOOK_S
    ) -> AsyncIterator[None]:
        """For the lifespan of the application: makes tickets of what nobody takes, then closes.

        What other processes do is told at most *look_s* seconds later.
        """
        sweeping = asyncio.create_task(self._sweep(sweep_s))
        following = asyncio.create_task(self.neighbours.follow(look_s=look_s))
        try:
            yield
        finally:
            sweeping.cancel()
            following.cancel()
            self.neighbours.leave()
            self.books.events.close()
            await asyncio.to_thread(self.books.writer.close)

    async def _sweep(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.desk.sweep()
            except Exception:
                log.exception("could not look for whom nobody answers; will try again")
