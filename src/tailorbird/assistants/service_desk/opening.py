"""The service desk of a workspace, opened: whatever is installed and known is put to use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

from fastapi import APIRouter

from tailorbird.assistants.service_desk.answering.deciding import Attendant
from tailorbird.assistants.service_desk.answering.generating import ModelWriter, Scribe
from tailorbird.assistants.service_desk.answering.parts import Parts, templates_of
from tailorbird.assistants.service_desk.answering.votes import LoggedVotes
from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.assistants.service_desk.http.chat_routes import chat_routes
from tailorbird.assistants.service_desk.http.knowledge_routes import knowledge_routes
from tailorbird.assistants.service_desk.http.rule_routes import rule_routes
from tailorbird.assistants.service_desk.http.widget_routes import widget_routes
from tailorbird.config import DeskSettings, ServingSettings
from tailorbird.knowledge import KnowledgeBase, open_encoder
from tailorbird.knowledge.rules import LiveRules
from tailorbird.serving import Service
from tailorbird.serving.access import note_action
from tailorbird.store import Workspace

log = logging.getLogger(__name__)

KNOWLEDGE_PACKAGES = ("faiss", "bm25s", "rjieba", "networkx", "rule_engine")
"""What the extra `knowledge` brings; without it there are templates alone."""


@dataclass(frozen=True)
class OpenDesk:
    """A service desk with all that it works with."""

    service_desk: ServiceDesk
    attendant: Attendant
    chat: APIRouter
    knowledge: KnowledgeBase | None
    """None where the extra is not installed."""

    def routers(self) -> list[APIRouter]:
        """All routes under ``/v1``, and the widget."""
        workspace = self.service_desk.books.workspace
        found = [*self.service_desk.routers(), self.chat, widget_routes()]
        if self.knowledge is not None:
            note = partial(note_action, workspace)
            found += [knowledge_routes(self.knowledge), rule_routes(workspace, note=note)]
        return found

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For the lifespan of the application."""
        warming = asyncio.create_task(asyncio.to_thread(self._warm_up))
        try:
            async with self.service_desk.running():
                yield
        finally:
            warming.cancel()
            if self.attendant.parts.scribe is not None:
                self.attendant.parts.scribe.close()

    def _warm_up(self) -> None:
        """Load encoder and index before the first visitor has to wait for them."""
        try:
            if self.knowledge is not None and self.knowledge.documents():
                self.knowledge.search("warm up 预热")
        except Exception:
            log.exception("the documents cannot be searched")


def open_service_desk(
    workspace: Workspace, service: Service, settings: DeskSettings, serving: ServingSettings
) -> OpenDesk:
    """The service desk of *workspace*, whose intents *service* understands.

    Raises WeightsError where ``desk.writer`` names no model that writes.
    """
    knowledge = None
    if all(find_spec(package) for package in KNOWLEDGE_PACKAGES):
        knowledge = KnowledgeBase(workspace, open_encoder(workspace))
    else:
        log.warning("no documents and no rules: pip install 'tailorbird[knowledge]'")
    scribe = None
    if settings.writer:
        scribe = Scribe(ModelWriter.load(settings.writer, cache=workspace.cache_path))
    parts = Parts(
        templates=templates_of(service),
        knowledge=knowledge,
        rules=LiveRules(workspace) if knowledge is not None else None,
        encoder=knowledge.encoder if knowledge is not None else None,
        votes=LoggedVotes(workspace),
        scribe=scribe,
    )
    unrecorded = service.without_records()  # decisions keep the same texts
    attendant = Attendant(unrecorded, settings, parts=parts)
    desk = ServiceDesk(
        workspace,
        attendant.respond,
        max_unsure=settings.max_unsure,
        learn=knowledge.add if knowledge is not None else None,
    )
    # Whoever keeps the conversation themselves is promised no colleague, as none would see it.
    stateless = Attendant(unrecorded, settings, parts=replace(parts, has_desk=False))
    chat = chat_routes(stateless, serving=serving, desk=settings, audit=desk.audit)
    return OpenDesk(desk, attendant, chat, knowledge)
