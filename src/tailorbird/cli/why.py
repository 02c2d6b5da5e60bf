"""``tailorbird why``: a decision of the assistant, told in sentences."""

from __future__ import annotations

from typing import Annotated

import typer

from tailorbird.cli import options
from tailorbird.cli.display import print_json


def why(
    decision: Annotated[
        str, typer.Argument(help="Id of a decision, or of a conversation for its last one.")
    ],
    *,
    workspace: options.Workspace = None,
    as_json: options.AsJson = False,
) -> None:
    """Say why the assistant said what it said: intent, candidates, rule, sources, bundle, adapter.

    Every answer over HTTP carries the id of its decision.
    """
    from tailorbird import api
    from tailorbird.assistants.service_desk.conversing.audit import find_or_latest
    from tailorbird.assistants.service_desk.conversing.explaining import explain
    from tailorbird.assistants.service_desk.http.schemas import Decision

    with api.open_workspace(workspace) as space, space.engine.connect() as connection:
        row = find_or_latest(connection, decision)
    if as_json:
        print_json(Decision.of(row).model_dump(mode="json"))
        return
    for sentence in explain(row):
        print(sentence)
