"""``tailorbird opinion``: what is said in public: sources, what reads it, and who is told."""

from __future__ import annotations

import typer

from tailorbird.cli import opinion_models, opinion_sources, opinion_watch

app = typer.Typer(
    help="What is said in public: gather it, read it, be told when it turns bad.",
    no_args_is_help=True,
)
for part in (opinion_sources.app, opinion_models.app, opinion_watch.app):
    app.add_typer(part, name=None)  # their verbs are verbs here
