"""``tailorbird rules``: what the service desk says and does by rule, and the facts it knows."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, print_json
from tailorbird.errors import ConfigError

if TYPE_CHECKING:
    from tailorbird.store import Workspace

app = typer.Typer(help="Rules and facts of the service desk.", no_args_is_help=True)

Files = Annotated[
    list[Path],
    typer.Argument(
        help="Rules (.toml), facts (any other ending), or one of each.", metavar="FILE..."
    ),
]


@app.command()
def show(
    version: Annotated[
        int | None, typer.Option(help="Which version.", show_default="the one in force", min=0)
    ] = None,
    *,
    facts: Annotated[bool, typer.Option("--facts", help="The facts, not the rules.")] = False,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Print rules or facts as they were written, ready for an editor.

    Example: tailorbird rules show > rules.toml
    """
    from tailorbird import api
    from tailorbird.knowledge import rules

    with api.open_workspace(workspace) as space:
        saved = rules.saved_version(space, version)
    if as_json:
        print_json(saved.to_json() | {"rules": saved.rules, "facts": saved.facts})
        return
    print(saved.facts if facts else saved.rules, end="")


@app.command()
def check(
    files: Files, *, workspace: options.Workspace = None, as_json: options.AsJson = False
) -> None:
    """Check FILEs whole, and say what they would change; nothing is saved.

    Example: tailorbird rules check rules.toml facts.txt
    """
    from tailorbird import api
    from tailorbird.knowledge import rules

    with api.open_workspace(workspace) as space:
        texts = _texts(files, space)
        before = rules.load_rules(space)
        intents = _intents(texts[0], space)
    new = rules.RuleSet.read(*texts, intents=intents)
    found: dict[str, Any] = {
        "n_rules": len(new.rules),
        "n_facts": len(new.facts),
        "changes": rules.difference(before, new),
    }
    if as_json:
        print_json(found)
        return
    SCREEN.print(f"[bold green]✓[/] {len(new.rules):,} rules, {len(new.facts):,} facts")
    _list(found["changes"])


@app.command()
def save(
    files: Files,
    *,
    note: Annotated[str, typer.Option(help="What for; kept in the history.")] = "",
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Check FILEs and put them in force, as a new version; a service that runs follows at once.

    Example: tailorbird rules save rules.toml facts.txt --note "the desk closes at 20:00"
    """
    from tailorbird import api
    from tailorbird.knowledge import rules

    with api.open_workspace(workspace) as space:
        before = rules.load_rules(space)
        author, texts = getpass.getuser(), _texts(files, space)
        version = rules.save_rules(
            space,
            *texts,
            author=author,
            note=note,
            based_on=before.version,
            intents=_intents(texts[0], space),
        )
        changes = rules.difference(before, rules.load_rules(space, version))
    if as_json:
        print_json({"version": version, "changes": changes})
        return
    SCREEN.print(f"[bold green]✓[/] version {version} is in force")
    if before.version:  # of the first one all is new
        _list(changes)


@app.command()
def history(*, workspace: options.Workspace = None, as_json: options.AsJson = False) -> None:
    """List the versions, newest first, each with what it changed."""
    from tailorbird import api
    from tailorbird.knowledge import rules

    with api.open_workspace(workspace) as space:
        versions = rules.history(space)
        before = [*(one.read() for one in versions[1:]), rules.Version(0).read()]
    rows: list[dict[str, Any]] = [
        one.to_json() | {"changes": rules.difference(old, one.read())}
        for one, old in zip(versions, before, strict=bool(versions))
    ]
    if as_json:
        print_json({"versions": rows})
        return
    for row in rows:
        said = f": {row['note']}" if row["note"] else ""
        when = row["created"][:16].replace("T", " ")
        SCREEN.print(f"[bold]{row['version']}[/]  {when}  {escape(row['author'] + said)}")
        _list(row["changes"])
    if not rows:
        SCREEN.print("nothing was saved yet; begin with: tailorbird rules save FILE")


@app.command("test")
def try_out(
    text: Annotated[str, typer.Argument(help="What a visitor says.", metavar="TEXT")],
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", help="Rules or facts that are not saved; may repeat."),
    ] = None,
    *,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="A value, as intent=refund or slots.order=OL1; may repeat."),
    ] = None,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Say which rule fits TEXT, what it answers, and what facts alone would answer.

    Example: tailorbird rules test "is the kettle under warranty?" --set intent=warranty_repair
    """
    from tailorbird import api
    from tailorbird.knowledge import rules
    from tailorbird.text import language_of

    with api.open_workspace(workspace) as space:
        tried = rules.RuleSet.read(*_texts(files or [], space))
    told = {"language": language_of(text)} | _values(values or []) | {"text": text}
    ruling, answer = tried.decide(told), tried.facts.ask(text, told["language"])
    from_facts = {"text": answer.text, "facts": list(answer.sources)} if answer else None
    if as_json:
        print_json(ruling.to_json() | {"from_facts": from_facts})
        return
    rule = ruling.rule
    print(f"rule: {rule.name} → {rule.action}" if rule else "rule: none fits")
    for said, facts in (
        (ruling.text, [str(triple) for triple in ruling.triples]),
        *(((answer.text, answer.sources),) if answer else ()),
    ):
        if said:
            print(f"  {said}")
            for fact in facts:
                print(f"    {fact}")
    for line in ruling.notes:
        print(f"  note: {line}")


def _texts(files: list[Path], space: Workspace) -> tuple[str, str]:
    """Rules and facts: those of *files*, and what is in force of what no file is given for."""
    from tailorbird.knowledge import rules

    saved = rules.saved_version(space)
    texts = {"rules": saved.rules, "facts": saved.facts}
    given: dict[str, Path] = {}
    for file in files:
        kind = "rules" if file.suffix == ".toml" else "facts"
        if kind in given:
            raise ConfigError(
                f"{file} and {given[kind]} are both {kind}",
                cure="give one file that ends in .toml, with the rules, and one with the facts",
            )
        given[kind] = file
        try:
            texts[kind] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError("is not UTF-8 text", where=str(file)) from error
    return texts["rules"], texts["facts"]


def _intents(rules_toml: str, space: Workspace) -> tuple[str, ...]:
    """Those of the live bundle, which rules may name; none where there is no bundle."""
    if "intent:" not in rules_toml:
        return ()
    from tailorbird.bundle import registry

    live = registry.live_bundle(space)
    path = live.path / "labels.json" if live is not None else None
    if path is None or not path.is_file():
        return ()
    return tuple(json.loads(path.read_text(encoding="utf-8")))


def _values(given: list[str]) -> dict[str, Any]:
    """``intent=refund`` and ``slots.order=OL1`` as a mapping; numbers become numbers."""
    values: dict[str, Any] = {"slots": {}}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise ConfigError(f"--set {one!r} has no =", cure="write --set intent=refund")
        if name.startswith("slots."):
            values["slots"][name.removeprefix("slots.")] = value
            continue
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def _list(sentences: list[str]) -> None:
    for sentence in sentences:
        SCREEN.print(f"  {sentence}", markup=False)
