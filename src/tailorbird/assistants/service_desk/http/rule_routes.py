"""``/v1/rules``: the rules and facts in force, their versions, and what they would make of a text.

Agents read; admins change, and try out what they have not saved yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from tailorbird.assistants.service_desk.http.rule_schemas import (
    Changes,
    History,
    Ruled,
    Rules,
    RulesChange,
    RulesTest,
    Saved,
)
from tailorbird.knowledge import rules
from tailorbird.serving.access import Person, needs
from tailorbird.store import Workspace
from tailorbird.text import language_of

Agent = Annotated[Person, needs("agent")]
Admin = Annotated[Person, needs("admin")]
Number = Annotated[int, Query(ge=0, lt=2**31)]
NoteAction = Callable[..., None]
"""``note(person, action, target, **detail)``, called after something was changed."""
Intents = Callable[[], Sequence[str]]


def _note_nothing(person: Person, action: str, target: str, **detail: Any) -> None:
    """Keep nothing."""


def rule_routes(
    workspace: Workspace, *, note: NoteAction = _note_nothing, intents: Intents = tuple
) -> APIRouter:
    """The routes of rules and facts; *note* hears of every change.

    A rule may name the *intents* of what is served now; none: any.
    """
    router = APIRouter(prefix="/v1/rules", tags=["rules"])

    @router.get("", summary="The rules and facts in force, or of any version")
    def read(person: Agent, version: Number | None = None) -> Rules:
        saved = rules.saved_version(workspace, version)
        return Rules.of(saved, saved.read())

    @router.put("", summary="Check new rules and facts, and put them in force")
    def save(change: RulesChange, person: Admin) -> Saved:
        before = rules.load_rules(workspace)
        version = rules.save_rules(
            workspace,
            change.rules,
            change.facts,
            author=person.name,
            note=change.note,
            based_on=change.based_on,
            intents=intents(),
        )
        changes = rules.difference(before, rules.load_rules(workspace, version))
        if version != before.version:
            note(person, "change rules", f"version {version}", changes=changes, note=change.note)
        return Saved(version=version, changes=changes)

    @router.get("/history", summary="All versions, newest first")
    def history(person: Agent) -> History:
        return History.of(rules.history(workspace))

    @router.get("/changes", summary="What changed between two versions, in sentences")
    def changes(
        person: Agent, old: Number, new: Number | None = None, language: Literal["zh", "en"] = "en"
    ) -> Changes:
        before, after = (rules.load_rules(workspace, number) for number in (old, new))
        found = rules.difference(before, after, language)
        return Changes(old=before.version, new=after.version, changes=found)

    @router.post("/test", summary="What rules and facts make of a message; nothing is said or kept")
    def test(test: RulesTest, person: Admin) -> Ruled:
        saved = rules.saved_version(workspace)
        tried = rules.RuleSet.read(
            saved.rules if test.rules is None else test.rules,
            saved.facts if test.facts is None else test.facts,
            version=saved.version,
            intents=intents() if test.rules is not None else (),
        )
        values = test.values.model_dump(exclude_none=True) | {"text": test.text}
        language = values.setdefault("language", language_of(test.text))
        ruling, answer = tried.decide(values), tried.facts.ask(test.text, language)
        return Ruled.of(ruling, answer, tried.version)

    return router
