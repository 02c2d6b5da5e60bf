"""``tailorbird folds`` and ``check-labels``: models that check each other, and the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape

from tailorbird.cli import options
from tailorbird.cli.display import SCREEN, Display, print_json, stop_on_interrupt

NFolds = Annotated[int, typer.Option("--folds", help="Parts, each left out once.", min=2)]
NSeeds = Annotated[int, typer.Option("--seeds", help="Models of each part.", min=1)]


def folds(
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    set_: options.Overrides = None,
    n_folds: NFolds = 5,
    n_seeds: NSeeds = 1,
    backbone: options.Backbone = "",
    method: options.Method = "",
    freeze: options.Freeze = "",
    as_json: options.AsJson = False,
) -> None:
    """In place of `tune`: tune folds and seeds, and keep the best model or a soup of them.

    Example: tailorbird folds --folds 5 --seeds 2 --method lora
    """
    from tailorbird import api, folding, runs

    given = options.overrides(
        set_, model_backbone=backbone, method_name=method, model_freeze_layers=freeze
    )
    display = Display(quiet=as_json)
    with api.open_workspace(workspace) as space, stop_on_interrupt(display) as stop:
        current = space.run(run)
        settings = runs.change_settings(current, given)
        found = folding.fold(
            current,
            space,
            settings,
            folding.Folds(n_folds, n_seeds),
            say=display.say,
            stop=stop,
        )
        if found is None:
            current.set_status("interrupted", "stopped while tuning folds")
            words = ("--folds", str(n_folds), "--seeds", str(n_seeds), "--run", current.name)
            _stopped(options.command("folds", *words, workspace=workspace))
        if as_json:
            print_json({"run": current.name, **found})
            return
        SCREEN.print(f"[bold green]✓[/] run {current.name}; next: tailorbird evaluate")


def check_labels(
    *,
    workspace: options.Workspace = None,
    run: options.RunName = "",
    set_: options.Overrides = None,
    n_folds: NFolds = 5,
    n_seeds: NSeeds = 1,
    how: Annotated[
        str,
        typer.Option(
            help="self_confidence, or cleanlab's filters: prune_by_noise_rate, prune_by_class, "
            "both (fewest), confident_learning."
        ),
    ] = "self_confidence",
    method: Annotated[
        str,
        typer.Option(
            "--method", help="What judges: head takes seconds; lora, full … as long as tuning."
        ),
    ] = "head",
    drop: Annotated[
        bool, typer.Option("--drop", help="Write --out, which takes doubtful labels away.")
    ] = False,
    relabel: Annotated[
        bool, typer.Option("--relabel", help="Write --out, with what the models suggest.")
    ] = False,
    sure: Annotated[
        float, typer.Option(help="Probability from which a suggestion is taken.", min=0.0, max=1.0)
    ] = 0.5,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The corrected labels file.", dir_okay=False)
    ] = Path("corrected_labels.csv"),
    as_json: options.AsJson = False,
) -> None:
    """Find rows whose label is probably wrong, by models that were not trained on them.

    Example: tailorbird check-labels --relabel --out corrected_labels.csv
    """
    from tailorbird import api, folding, runs

    if drop and relabel:
        raise typer.BadParameter("give --drop or --relabel, not both")
    display = Display(quiet=as_json)
    with api.open_workspace(workspace) as space, stop_on_interrupt(display) as stop:
        current = space.run(run)
        settings = runs.change_settings(current, set_ or ())
        found = folding.check_labels(
            current,
            space,
            settings,
            folding.Folds(n_folds, n_seeds),
            check=folding.LabelCheck(how, method),
            say=display.say,
            stop=stop,
        )
        if found is None:
            words = ("--folds", str(n_folds), "--seeds", str(n_seeds), "--run", current.name)
            _stopped(options.command("check-labels", *words, workspace=workspace))
        found |= {"page": str(current.path / "doubts.html")}
        if drop or relabel:
            counts = folding.correct_labels(
                current, out, how="relabel" if relabel else "drop", sure=sure
            )
            found |= {"corrected": str(out), **counts}
        if as_json:
            print_json({"run": current.name, **found})
            return
        SCREEN.print(f"[bold green]✓[/] read them: {escape(found['page'])}")
        if drop or relabel:
            again = options.command(
                "build", current.source, "--labels", str(out), workspace=workspace
            )
            for line in _written(found, again):
                SCREEN.print(line, markup=False)


def _written(found: dict[str, Any], again: str) -> list[str]:
    """What the file of corrections holds, and what to do with it."""
    return [
        f"  {found['corrected']}: {found['relabelled']:,} labels changed, "
        f"{found['dropped']:,} taken away; nothing else was touched",
        f"  use it: {again}",
    ]


def _stopped(again: str) -> NoReturn:
    SCREEN.print(f"stopped; go on with: {again}", markup=False)
    raise typer.Exit(130)
