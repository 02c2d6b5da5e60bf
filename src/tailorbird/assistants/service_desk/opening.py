"""The service desk of a workspace, opened: whatever is installed and known is put to use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Protocol

from fastapi import APIRouter

from tailorbird.assistant_settings import DeskSettings
from tailorbird.assistants.service_desk.answering.acceptance import KeptAcceptance
from tailorbird.assistants.service_desk.answering.deciding import Attendant
from tailorbird.assistants.service_desk.answering.generating import ModelWriter, Scribe
from tailorbird.assistants.service_desk.answering.parts import Parts, templates_of
from tailorbird.assistants.service_desk.answering.tagging import TunedTagger
from tailorbird.assistants.service_desk.answering.votes import LoggedVotes
from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.assistants.service_desk.http.chat_routes import chat_routes
from tailorbird.assistants.service_desk.http.knowledge_routes import knowledge_routes
from tailorbird.assistants.service_desk.http.rule_routes import rule_routes
from tailorbird.assistants.service_desk.http.widget_routes import widget_routes
from tailorbird.config import ServingSettings
from tailorbird.knowledge import KnowledgeBase, open_base
from tailorbird.knowledge.rules import LiveRules
from tailorbird.serving import Service
from tailorbird.serving.access import note_action
from tailorbird.store import Workspace

log = logging.getLogger(__name__)

KNOWLEDGE_PACKAGES = ("faiss", "bm25s", "rjieba", "networkx", "rule_engine")
"""What the extra `knowledge` brings; without it there are templates alone."""


FOLLOW_S = 30.0
"""How often it is looked whether documents changed so that what judges them is to be fitted."""
REST = 3.0
"""Fitting rests so many times as long as it computes: visitors' searches come first."""


class Follows(Protocol):
    """Something that is fitted to the documents."""

    def follow(self, *, rest: float = 0.0) -> bool:
        """Fit it where they changed, resting *rest* times as long; called in a worker thread."""
        ...

    def close(self) -> None:
        """End what is being fitted."""
        ...


@dataclass(frozen=True)
class OpenDesk:
    """A service desk with all that it works with."""

    service_desk: ServiceDesk
    attendant: Attendant
    chat: APIRouter
    knowledge: KnowledgeBase | None
    """None where the extra is not installed."""
    support: Follows | None = None
    intents: Callable[[], Sequence[str]] = tuple
    """Those of what is served now; none where that is not known."""

    def routers(self) -> list[APIRouter]:
        """All routes under ``/v1``, and the widget."""
        workspace = self.service_desk.books.workspace
        found = [*self.service_desk.routers(), self.chat, widget_routes()]
        if self.knowledge is not None:
            note = partial(note_action, workspace)
            found.append(knowledge_routes(self.knowledge))
            found.append(rule_routes(workspace, note=note, intents=self.intents))
        return found

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For the lifespan of the application; begins once a search takes no longer than others."""
        await asyncio.to_thread(self._warm_up)
        if self.knowledge is not None:
            self.knowledge.uploads.start()  # what a process before this one had not done
        following = asyncio.create_task(self._follow())
        try:
            async with self.service_desk.running():
                yield
        finally:
            following.cancel()
            if self.support is not None:
                self.support.close()
            if self.knowledge is not None:
                await asyncio.to_thread(self.knowledge.uploads.close)
            if self.attendant.parts.scribe is not None:
                self.attendant.parts.scribe.close()

    def _warm_up(self) -> None:
        """Load what searches and rules need before a visitor has to wait for it: seconds."""
        rules, knowledge = self.attendant.parts.rules, self.knowledge
        search = partial(knowledge.search, "warm up") if knowledge is not None else None
        for load in (rules, search):
            try:
                if load is not None:
                    load()
            except Exception:
                log.exception("rules or documents could not be read; tried again when asked")

    async def _follow(self) -> None:
        """Fit what judges the documents to them, now and whenever they change."""
        while self.support is not None:
            try:
                await asyncio.to_thread(self.support.follow, rest=REST)
            except Exception:
                log.exception("what judges the documents could not be fitted to them")
            await asyncio.sleep(FOLLOW_S)


def open_service_desk(
    workspace: Workspace, service: Service, settings: DeskSettings, serving: ServingSettings
) -> OpenDesk:
    """The service desk of *workspace*, whose intents *service* understands.

    Raises WeightsError where ``desk.writer`` names no model that writes, and ConfigError where
    ``desk.slot_tagger`` names none that marks.
    """
    knowledge = support = None
    if all(find_spec(package) for package in KNOWLEDGE_PACKAGES):
        knowledge, support = open_base(workspace, process=service.process)
    else:
        log.warning("no documents and no rules: pip install 'tailorbird[knowledge]'")
    scribe = None
    if settings.writer:
        scribe = Scribe(ModelWriter.load(settings.writer, cache=workspace.cache_path))
    tagger = TunedTagger.open(settings.slot_tagger, workspace) if settings.slot_tagger else None
    parts = Parts(
        templates=templates_of(service),
        knowledge=knowledge,
        rules=LiveRules(workspace) if knowledge is not None else None,
        encoder=knowledge.encoder if knowledge is not None else None,
        votes=LoggedVotes(workspace),
        acceptance=KeptAcceptance(workspace),
        scribe=scribe,
        finder=tagger,
    )
    unrecorded = service.without_records()  # decisions keep the same texts
    attendant = Attendant(unrecorded, settings, parts=parts)
    desk = ServiceDesk(
        workspace,
        attendant.respond,
        max_unsure=settings.max_unsure,
        learn=knowledge.add if knowledge is not None else None,
        explainer=service.explainer,
    )
    # Whoever keeps the conversation themselves is promised no colleague, as none would see it.
    stateless = Attendant(unrecorded, settings, parts=replace(parts, has_desk=False))
    chat = chat_routes(stateless, serving=serving, desk=settings, audit=desk.audit)
    return OpenDesk(desk, attendant, chat, knowledge, support, partial(_intents_of, service))


def _intents_of(service: Service) -> tuple[str, ...]:
    return tuple(sorted(getattr(service.engine.predictor, "labels", ())))
