"""Proposed topics, sources, known names, and how the work goes, over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from tailorbird.assistants.opinion.gathering import EntityTable, Gatherer
from tailorbird.assistants.opinion.http.routing import Admin, Agent, Limit, router
from tailorbird.assistants.opinion.http.topic_schemas import (
    Entities,
    Entity,
    NameSent,
    Proposal,
    Proposals,
    Source,
    Sources,
    Status,
    StepShown,
)
from tailorbird.assistants.opinion.proposals import list_proposals
from tailorbird.assistants.opinion.reading import Proposer
from tailorbird.assistants.opinion.rounds import Rounds
from tailorbird.assistants.opinion.sources import list_sources, read_source
from tailorbird.assistants.opinion.waiting import Waiting
from tailorbird.serving.access import note_action
from tailorbird.store import Workspace
from tailorbird.store.tables import ProposalStatus


def topic_routes(workspace: Workspace, proposer: Proposer) -> APIRouter:
    """The routes of proposals."""
    routes = router()

    @routes.get("/proposals", summary="Topics that nobody has named yet")
    def proposals(person: Agent, status: ProposalStatus = "new", limit: Limit = 50) -> Proposals:
        found = list_proposals(workspace, status, limit=limit)
        return Proposals(proposals=[Proposal.of(one) for one in found])

    @routes.post("/proposals/{proposal}/name", summary="Make a topic of it")
    def name(proposal: str, sent: NameSent, person: Admin) -> Proposal:
        row = proposer.name(workspace, proposal, sent.topic, author=person.name)
        note_action(workspace, person, "name topic", row.topic, n_posts=row.n_posts)
        return Proposal.of(row)

    @routes.post("/proposals/{proposal}/dismiss", summary="Propose it no more")
    def dismiss(proposal: str, person: Admin) -> Proposal:
        row = proposer.dismiss(workspace, proposal)
        note_action(workspace, person, "dismiss topic", ", ".join(map(str, row.words[:5])))
        return Proposal.of(row)

    return routes


def source_routes(workspace: Workspace, gatherer: Gatherer, entities: EntityTable) -> APIRouter:
    """Sources and known names; new ones are added by ``tailorbird opinion``.

    A source names a file or an address that this machine reads: that is for whoever sits at it.
    """
    routes = router()

    @routes.get("/sources", summary="Where posts come from, and how that goes")
    def sources(person: Agent) -> Sources:
        return Sources(sources=[Source.of(one) for one in list_sources(workspace)])

    @routes.post("/sources/{source}/pause", summary="Read it no more for now")
    def pause(source: str, person: Admin) -> Source:
        gatherer.pause(source)
        note_action(workspace, person, "pause source", source)
        return Source.of(read_source(workspace, source))

    @routes.post("/sources/{source}/resume", summary="Go on reading it")
    def resume(source: str, person: Admin) -> Source:
        gatherer.pause(source, False)
        note_action(workspace, person, "resume source", source)
        return Source.of(read_source(workspace, source))

    @routes.get("/entities", summary="Known names, and what else they are called")
    def names(person: Agent, limit: Limit = 200) -> Entities:
        return Entities(entities=[Entity.of(one) for one in entities.all()[:limit]])

    return routes


def status_routes(waiting: Callable[[], Waiting], rounds: Rounds) -> APIRouter:
    """How the work beside the service goes."""
    routes = router()

    @routes.get("/status", summary="What waits, and how gathering, reading and telling go")
    def status(person: Agent) -> Status:
        found = waiting()
        return Status(
            n_alerts=found.n_alerts,
            n_proposals=found.n_proposals,
            n_unread=found.n_unread,
            has_model=found.has_model,
            steps=[
                StepShown(name=step.name, last_ok=step.last_ok, error=step.error)
                for step in rounds.steps.values()
            ],
        )

    return routes
