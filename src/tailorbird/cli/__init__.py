"""The command ``tailorbird``: one file a verb, heavy imports inside the verbs."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import Annotated, NoReturn

import typer

from tailorbird import __version__
from tailorbird.cli import (
    build,
    doctor,
    fit,
    folds,
    keys,
    knowledge,
    opinion,
    personalise,
    predict,
    recommend,
    rules,
    sample,
    search,
    serve,
    stages,
    up,
    weights,
    why,
    workspace,
)
from tailorbird.errors import StoreError, TailorbirdError

app = typer.Typer(
    name="tailorbird",
    help="From interaction logs to a personalised assistant, by fine-tuning pretrained models.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def version(
    show: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Tailorbird 缝叶莺: logs → tune → test → bundle → serve."""


_MAIN = "The main job"
_STAGES = "Its stages, one by one"
_TASKS = "Other tasks"
_BETTER = "Better models, better labels, for each user"
_ASSISTANTS = "Other assistants"
_AROUND = "Around it"
app.command("build", rich_help_panel=_MAIN)(build.build)
app.command("serve", rich_help_panel=_MAIN)(serve.serve)
app.command("up", rich_help_panel=_MAIN)(up.up)
app.command("predict", rich_help_panel=_MAIN)(predict.predict)
app.command("fit", rich_help_panel=_TASKS)(fit.fit)
app.command("apply", rich_help_panel=_TASKS)(fit.apply)
app.command("personalise", rich_help_panel=_TASKS)(personalise.personalise)
for verb in stages.VERBS:
    app.command(verb.__name__, rich_help_panel=_STAGES)(verb)
app.command("personalise", rich_help_panel=_BETTER)(personalise.personalise)
app.command("search", rich_help_panel=_BETTER)(search.search)
app.command("folds", rich_help_panel=_BETTER)(folds.folds)
app.command("check-labels", rich_help_panel=_BETTER)(folds.check_labels)
app.add_typer(opinion.app, name="opinion", rich_help_panel=_ASSISTANTS)
app.add_typer(recommend.app, name="recommend", rich_help_panel=_ASSISTANTS)
app.command("sample", rich_help_panel=_ASSISTANTS)(sample.sample)
app.command("forget", rich_help_panel=_AROUND)(personalise.forget)
app.command("runs", rich_help_panel=_AROUND)(workspace.runs)
app.command("bundles", rich_help_panel=_AROUND)(workspace.bundles)
app.command("publish", rich_help_panel=_AROUND)(workspace.publish)
app.command("rollback", rich_help_panel=_AROUND)(workspace.rollback)
app.command("why", rich_help_panel=_AROUND)(why.why)
app.command("doctor", rich_help_panel=_AROUND)(doctor.doctor)
app.add_typer(keys.app, name="keys", rich_help_panel=_AROUND)
app.add_typer(knowledge.app, name="knowledge", rich_help_panel=_AROUND)
app.add_typer(weights.app, name="weights", rich_help_panel=_AROUND)
app.add_typer(rules.app, name="rules", rich_help_panel=_AROUND)


def main() -> None:
    """Run the command line; our own errors are one sentence on stderr and exit code 1."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        app()
    except TailorbirdError as error:
        _fail(error)
    except OSError as error:
        _fail(_of_the_system(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _of_the_system(error: OSError) -> TailorbirdError:
    """A full disk, a file that must not be read: the same sentence as for our own errors."""
    cures = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some space",
        errno.EACCES: "make it readable and writable",
        errno.EROFS: "choose a --workspace that can be written",
    }
    return StoreError(
        error.strerror or str(error),
        where=str(error.filename or ""),
        cure=cures.get(error.errno or 0, ""),
    )


def _fail(error: TailorbirdError) -> NoReturn:
    if "--json" in sys.argv:
        kind = type(error).__name__
        facts = {"kind": kind, "message": error.what, "where": error.where, "cure": error.cure}
        print(json.dumps({"error": facts}, ensure_ascii=False))
    else:
        print(f"error: {error}", file=sys.stderr)
    sys.exit(1)
