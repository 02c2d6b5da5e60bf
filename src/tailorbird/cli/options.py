"""The options that several verbs share, and what they turn into."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

Workspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        envvar="TAILORBIRD_WORKSPACE",
        help="Folder of runs, bundles and the database.",
        show_default="~/.tailorbird",
        file_okay=False,
    ),
]
RunName = Annotated[str, typer.Option("--run", help="Name of the run.", show_default="the latest")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file of settings; see configs/.", dir_okay=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting, as tuning.n_epochs=2; repeat for more."),
]
ApiKey = Annotated[
    str,
    typer.Option(
        envvar="TAILORBIRD_API_KEY",
        help="Key that clients send; needed where others than this machine can connect.",
    ),
]
Port = Annotated[
    int | None,
    typer.Option("--port", help="Port to listen on.", show_default="8420", min=0, max=65535),
]
Track = Annotated[
    list[str] | None,
    typer.Option("--track", help="Draw the curves elsewhere too: tensorboard; repeat for more."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]
Logs = Annotated[
    str, typer.Argument(help="File, folder or database URL with the logs.", metavar="LOGS")
]
TextColumn = Annotated[str, typer.Option("--text", help="Column with the person's words.")]
LabelColumn = Annotated[str, typer.Option("--label", help="Column with the intent.")]
UserColumn = Annotated[str, typer.Option("--user", help="Column with the user.")]
TimeColumn = Annotated[str, typer.Option("--time", help="Column with the time.")]
ReplyColumn = Annotated[str, typer.Option("--reply", help="Column with the answer.")]
Roles = Annotated[str, typer.Option("--roles", help="Foreign role names, as bot=assistant.")]
Table = Annotated[str, typer.Option("--table", help="Table, where LOGS is a database URL.")]
LabelsFile = Annotated[str, typer.Option("--labels", help="CSV or JSONL with labels for rows.")]
RulesFile = Annotated[str, typer.Option("--rules", help="TOML labelling rules.")]
SplitBy = Annotated[str, typer.Option("--split", help="random, user or time.")]
Backbone = Annotated[
    str, typer.Option("--backbone", help="auto, minilm, e5, a folder or a hub name.")
]

Method = Annotated[
    str,
    typer.Option(
        "--method", help="full, head, bitfit, lora, adalora, bottleneck, prefix or prompt."
    ),
]
Freeze = Annotated[
    str,
    typer.Option(
        "--freeze",
        help="Lowest layers left as pretrained: a number; default; auto: as many as cost no score.",
    ),
]


def overrides(set_: list[str] | None, **shortcuts: str) -> list[str]:
    """``--set`` values after the shortcut options, which win over a config file but not ``--set``.

    >>> overrides(["split.seed=1"], reading_text="query", reading_label="")
    ['reading.text=query', 'split.seed=1']
    """
    given = [f"{key.replace('_', '.', 1)}={value}" for key, value in shortcuts.items() if value]
    return [*given, *(set_ or [])]


def command(verb: str, *words: str, workspace: Path | None = None) -> str:
    """A command line to copy, in the same workspace.

    >>> command("build --resume", "my logs.jsonl", workspace=Path("here"))
    "tailorbird build --resume 'my logs.jsonl' --workspace here"
    """
    place = ["--workspace", str(workspace)] if workspace else []
    return f"tailorbird {verb} {shlex.join([*words, *place])}".rstrip()
