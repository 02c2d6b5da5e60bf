"""The rules of the house, read from the source: floors, doors, sizes and names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "tailorbird"

FLOORS = {
    "errors": 0,
    "records": 0,
    "config": 0,
    "overriding": 0,
    "assistant_settings": 0,
    "text": 0,
    "apart": 1,
    "store": 1,
    "data": 1,
    "metrics": 1,
    "hardware": 1,
    "weights": 1,
    "scope": 1,
    "runs": 2,
    "modeling": 2,
    "tuning": 3,
    "jobs": 4,
    "plugins": 4,
    "planning": 5,
    "measuring": 5,
    "evaluation": 4,
    "compression": 5,
    "bundle": 6,
    "knowledge": 6,
    "monitoring": 6,
    "serving": 7,
    "personalise": 7,
    "assistants": 8,
    "continual": 8,
    "search": 8,
    "connectors": 9,
    "folding": 8,
    "api": 9,
    "fitting": 10,
    "personalising": 10,
    "console": 10,
    "app": 11,
    "cli": 12,
    "testing": 13,
}
MAX_LINES = 600
MAX_DOOR_NAMES = 8
MAX_SETTINGS_FIELDS = 12
SHAPELESS_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
LOADERS = {"import_module", "find_spec"}
PASSAGES = {
    ("console", "assistants.service_desk"),  # an assistant is a room in a room
    ("console", "evaluation.plots"),  # curves are drawn as those of reports are
    ("console", "serving.access"),  # who looks at a page, and who changes what is live
    ("console", "serving.sessions"),  # one secret signs all cookies
    ("app", "serving.access"),  # which is decided where all is put together
    ("personalise", "evaluation.frame"),  # its page is framed as all pages are
    ("personalise", "evaluation.words"),  # and says the same words in the same way
    ("assistants", "serving.access"),  # who asks, at every route; the door of serving is full
    ("api", "evaluation.explaining"),  # one text of one model; no part of a report
    ("api", "serving.explainer"),  # and what it was taught that is like it
    ("serving", "evaluation.explaining"),  # the words behind one answer, beside the answering
    ("serving", "evaluation.neighbours"),  # and the rows near it
    ("console", "evaluation.explaining"),  # which are shown
    ("console", "evaluation.neighbours"),
    ("console", "serving.explainer"),
    ("assistants", "knowledge.tuning"),  # pairs are tuned alike, whether of passages or replies
    ("assistants", "evaluation.gains"),  # and kept where they win
    ("assistants", "serving.explainer"),  # of a decision that was written down
    ("assistants", "serving.routing"),  # and its OpenAPI document says how it is refused
    ("assistants", "store.writing"),  # many small changes, few commits; the door is full
    ("bundle", "store.database"),  # two SQLite files of one workspace, one way to open them
    ("assistants", "modeling.generation"),  # an answer is written token by token
    ("personalise", "bundle.rewriting"),  # only who is forgotten makes bundles anew
    ("assistants", "bundle.manifest"),  # what reads posts is kept under its checksum
    ("assistants", "bundle.writing"),  # as bundles are, in one step
    ("assistants", "data.reading"),  # items and events are read as rows are
    ("assistants", "data.rows"),  # and shaped as they are
    ("assistants", "data.values"),  # as are their fields
    ("cli", "assistants.recommend"),  # what its verbs do
    ("assistants", "data.duplicates"),  # one story in many papers is known as copies of rows are
    ("assistants", "evaluation.frame"),  # a daily report is framed as all pages are
    ("assistants", "evaluation.plots"),  # drawn as reports are
    ("assistants", "evaluation.words"),  # and says the same words in the same way
    ("assistants", "knowledge.words"),  # words that tell what texts are about, in one way
    ("assistants", "serving.access"),  # every route asks who may use it
    ("assistants", "serving.schemas"),  # and all refusals have one form
    ("measuring", "evaluation.scope"),  # a part of one stage
    ("api", "evaluation.rate_page"),  # the plot of one verb; no part of a report
    ("folding", "evaluation.doubt_page"),  # the page of one verb; no part of a report
    ("folding", "evaluation.doubts"),  # what one verb finds; the same
    ("folding", "evaluation.gains"),  # two models on the same rows, before there is a report
    ("folding", "evaluation.intervals"),  # scores of folds, which no report has
    ("folding", "data.labelling"),  # the word of a labels file that takes labels away
    ("search", "evaluation.search_page"),  # and the page of another
    ("jobs", "tuning.loop"),  # several runs that share one step
    ("jobs", "tuning.gradients"),  # and their gradients
    ("jobs", "data.batching"),  # in parts that fit
    ("cli", "modeling.gpu"),  # whether a GPU's kernels can be compiled
    ("cli", "knowledge.tuning"),  # what one verb does
    ("cli", "knowledge.reranking"),  # or does with another word
    ("cli", "knowledge.kept_reranker"),  # and what another verb chooses
    ("knowledge", "evaluation.gains"),  # a tuned search against the one before it
    ("planning", "tuning.plan"),  # the way of tuning, before there is a plan
    ("planning", "tuning.freeze_search"),  # the trials of one number of the plan
    ("assistants", "serving.schemas"),  # and how refusals look
    ("testing", "tuning.gradients"),  # a contract looks at the gradients of one batch
    ("tuning", "modeling.chat_tokens"),  # conversations are of one task alone
    ("tuning", "modeling.generation"),  # and so is writing on
    ("tuning", "data.batching"),  # batches are made for the loop alone
}
"""The imports past a door, each with its reason."""
OPEN_ROOMS = {"metrics"}
"""Rooms whose files are doors: pure functions, found by the file that is called as their task."""

FILES = sorted(PACKAGE.rglob("*.py"))
ROOTS = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}


def imported_modules(tree: ast.AST, module: str) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of the project, those inside functions too.

    ``from tailorbird.store import Run`` gives ``store.Run``: a name may be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level]
                base = ".".join(["tailorbird", *parents, *([base] if base else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in LOADERS:
            names = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
        else:
            continue
        for name in names:
            if isinstance(name, str) and name.startswith("tailorbird."):
                yield node.lineno, name.removeprefix("tailorbird.")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def wrong_imports(source: str, module: str) -> list[str]:
    """What *module* may not import: rooms above it, rooms beside it, rooms nobody knows."""
    room = module.split(".")[0]
    wrong = []
    for line, name in imported_modules(ast.parse(source), module):
        other = name.split(".")[0]
        if other == room or name == "__version__":
            continue
        if other not in FLOORS:
            wrong.append(f"line {line}: {other} is no room of the house")
        elif FLOORS[other] > FLOORS[room]:
            wrong.append(f"line {line}: {room} ({FLOORS[room]}) imports {other} above it")
        elif FLOORS[other] == FLOORS[room] != 0:
            wrong.append(f"line {line}: {room} imports {other} beside it")
    return wrong


def past_the_doors(source: str, module: str) -> list[str]:
    """Imports of what another room does not name in its door."""
    room = module.split(".")[0]
    past = []
    for line, name in imported_modules(ast.parse(source), module):
        other, _, inside = name.partition(".")
        if other == room or not inside or not (PACKAGE / other).is_dir():
            continue
        part = inside.split(".")[0]
        if other in OPEN_ROOMS and (PACKAGE / other / f"{part}.py").is_file():
            continue
        if part not in door_names(other) and (room, f"{other}.{part}") not in PASSAGES:
            past.append(f"line {line}: {name} is not named in the door of {other}")
    return past


def found_in(findings: dict[Path, list[str]]) -> dict[str, list[str]]:
    """Only the files with findings, by module."""
    return {module_of(path): lines for path, lines in findings.items() if lines}


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def door_names(room: str) -> list[str]:
    """``__all__`` of a room; empty where it has none."""
    for node in ast.parse(read(PACKAGE / room / "__init__.py")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def rooms() -> list[str]:
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def test_imports_go_down_only() -> None:
    wrong = {
        path: wrong_imports(read(path), module_of(path)) for path in FILES if path not in ROOTS
    }
    assert found_in(wrong) == {}


@pytest.mark.parametrize(
    ("source", "module", "wrong"),
    [
        ("from tailorbird.serving import Service", "tuning.loop", "tuning (3) imports serving"),
        ("def f():\n    import tailorbird.api", "bundle.card", "line 2: bundle (6) imports api"),
        ("from tailorbird import weights", "data.reading", "data imports weights beside it"),
        ("from ..cli import main", "serving.routes", "serving (7) imports cli above it"),
        ("from tailorbird.helpers import x", "api", "helpers is no room of the house"),
        ("x.import_module('tailorbird.cli')", "app", "app (11) imports cli above it"),
    ],
)
def test_the_floor_rule_finds_what_is_wrong(source: str, module: str, wrong: str) -> None:
    (found,) = wrong_imports(source, module)
    assert wrong in found


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("from tailorbird import __version__, records", "api"),
        ("from tailorbird.errors import DataError", "text"),
        ("from tailorbird.cli.options import Workspace", "cli.build"),
        ("from .loading import Bundle\nfrom ..store import Run", "bundle.writing"),
        ("import torch", "modeling.encoder"),
    ],
)
def test_the_floor_rule_lets_the_rest_pass(source: str, module: str) -> None:
    assert wrong_imports(source, module) == []


def test_the_door_rule_tells_doors_from_windows() -> None:
    assert past_the_doors("from tailorbird.store import Workspace", "api") == []
    (found,) = past_the_doors("from tailorbird.modeling.encoder import attend", "api")
    assert found == "line 1: modeling.encoder.attend is not named in the door of modeling"


def test_an_open_room_is_entered_by_its_files() -> None:
    assert past_the_doors("from tailorbird.metrics.ranking import ndcg", "api") == []
    (found,) = past_the_doors("from tailorbird.metrics import ndcg", "api")
    assert "metrics.ndcg is not named" in found


def test_rooms_are_entered_by_their_door() -> None:
    assert found_in({path: past_the_doors(read(path), module_of(path)) for path in FILES}) == {}


def test_every_passage_is_in_use() -> None:
    used = {
        (module_of(path).split(".")[0], ".".join(name.split(".")[:2]))
        for path in FILES
        for _, name in imported_modules(ast.parse(read(path)), module_of(path))
    }
    assert PASSAGES - used == set()


@pytest.mark.parametrize("room", rooms())
def test_doors_have_at_most_eight_names(room: str) -> None:
    assert len(door_names(room)) <= MAX_DOOR_NAMES


def test_every_room_is_on_a_floor() -> None:
    found = {path.stem for path in PACKAGE.glob("*.py")} | set(rooms())
    assert found - {"__init__", "__main__"} <= set(FLOORS)


def test_files_are_short_enough_to_read() -> None:
    lengths = {module_of(path): len(read(path).splitlines()) for path in FILES}
    assert {module: n for module, n in lengths.items() if n > MAX_LINES} == {}


def test_no_file_is_called_after_nothing() -> None:
    parts = {part for path in FILES for part in module_of(path).split(".")}
    assert parts & SHAPELESS_NAMES == set()


def test_settings_are_small_and_inherit_from_nothing() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
                n_fields = sum(isinstance(line, ast.AnnAssign) for line in node.body)
                is_section = node.name != "Settings"  # which has one field a section
                assert n_fields <= MAX_SETTINGS_FIELDS or not is_section, node.name
                assert node.bases == [], node.name
