"""Versions of rules and facts in the workspace: each is kept, none is ever changed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from tailorbird.errors import ConflictError, NotFoundError
from tailorbird.knowledge.rules.ruling import RuleSet
from tailorbird.store import Workspace
from tailorbird.store.tables import RuleSetRow


@dataclass(frozen=True, slots=True)
class Version:
    """One version as it was saved."""

    version: int
    """From 1; 0 is before the first."""
    rules: str = field(default="", repr=False)
    """TOML."""
    facts: str = field(default="", repr=False)
    author: str = ""
    note: str = ""
    created: datetime | None = None

    def read(self) -> RuleSet:
        """Its rules and facts, ready to be used."""
        return RuleSet.read(self.rules, self.facts, version=self.version)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping without the texts."""
        created = self.created.isoformat() if self.created else None
        kept = {"version": self.version, "author": self.author, "note": self.note}
        return kept | {"created": created}


def current_version(workspace: Workspace) -> int:
    """The number of the version in force; 0 where there is none."""
    with workspace.sessions() as session:
        return session.scalar(select(func.max(RuleSetRow.version))) or 0


def saved_version(workspace: Workspace, version: int | None = None) -> Version:
    """A version as it was saved: that in force, or the one asked for.

    Raises NotFoundError where there is no such version.
    """
    number = current_version(workspace) if version is None else version
    with workspace.sessions() as session:
        row = session.get(RuleSetRow, number)
    if row is None and number == 0:
        return Version(0)
    if row is None:
        raise NotFoundError(
            f"there is no version {number} of the rules",
            where="rules",
            cure=f"the latest is {current_version(workspace)}",
        )
    return _version(row)


def load_rules(workspace: Workspace, version: int | None = None) -> RuleSet:
    """The rules in force, or those of any *version*; without any saved, there are none.

    Raises NotFoundError where there is no such version.
    """
    return saved_version(workspace, version).read()


def save_rules(
    workspace: Workspace,
    rules_toml: str,
    facts_text: str,
    *,
    author: str,
    note: str = "",
    based_on: int | None = None,
    intents: Sequence[str] = (),
) -> int:
    """Check rules and facts, together and whole, and put them in force; returns their version.

    What is in force already is not saved again. Raises KnowledgeError where something is wrong;
    what was in force then stays so.

    Args:
        workspace: where versions are kept.
        rules_toml: as `read_rules` reads them.
        facts_text: as `read_graph` reads them.
        author: whoever changed them.
        note: what for.
        based_on: the version that was edited; ConflictError where another is in force by now.
        intents: those that ``intent:NAME`` may name, as of the live bundle; empty: any.
    """
    RuleSet.read(rules_toml, facts_text, intents=intents)
    with workspace.writing() as session:
        latest = session.scalar(select(RuleSetRow).order_by(RuleSetRow.version.desc()).limit(1))
        number = latest.version if latest else 0
        if based_on is not None and based_on != number:
            by = f", by {latest.author}" if latest and latest.author else ""
            raise ConflictError(
                f"version {based_on} was edited, and version {number} is in force by now{by}",
                where="rules",
                cure="look at what was changed, and make your change to that",
            )
        if latest and (latest.rules, latest.facts) == (rules_toml, facts_text):
            return number
        row = RuleSetRow(author=author, note=note, rules=rules_toml, facts=facts_text)
        session.add(row)
        session.flush()
        return row.version


def history(workspace: Workspace) -> list[Version]:
    """All versions, newest first."""
    with workspace.sessions() as session:
        rows = session.scalars(select(RuleSetRow).order_by(RuleSetRow.version.desc()))
        return [_version(row) for row in rows]


class LiveRules:
    """The rules in force, read anew only after they were changed; threads may share it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._rules: RuleSet | None = None

    def __call__(self) -> RuleSet:
        """What is in force now, whichever process saved it."""
        version = current_version(self._workspace)
        with self._lock:
            if self._rules is None or self._rules.version != version:
                self._rules = load_rules(self._workspace)
            return self._rules


def _version(row: RuleSetRow) -> Version:
    return Version(row.version, row.rules, row.facts, row.author, row.note, row.created)
